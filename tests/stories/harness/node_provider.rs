//! node-oidc-provider, an independent OpenID provider.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::tools::{script, tools};

/// A provider at which anybody logs in by any name.
#[derive(Debug)]
pub(crate) struct NodeProvider {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) issuer: String,
}

impl NodeProvider {
    /// Starts a provider without clients.
    pub(crate) fn opens() -> Self {
        let tools = tools();
        let library = tools.join("node_modules/oidc-provider");
        assert!(library.exists(), "{} is missing: run tests/run once, it installs it", library.display());
        let mut child = Command::new("node")
            .arg(script("oidc-provider.mjs"))
            .arg(tools)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut provider = Self { child, input, output, issuer: String::new() };
        provider.issuer = provider.says();
        provider
    }

    /// Registers this client at the provider.
    pub(crate) fn serves(&mut self, client: &str, secret: &str, redirect_uri: &str) {
        writeln!(self.input, "{client} {secret} {redirect_uri}").expect("it listens");
        assert_eq!(self.says(), "ready");
    }

    fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it speaks UTF-8");
        line.trim().to_owned()
    }
}

impl Drop for NodeProvider {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
