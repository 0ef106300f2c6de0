//! Programs in other languages, which verify what we make. `tests/run` installs them.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use super::{run as machine, test_env::Client};

/// The folder into which `tests/run` installs.
pub(super) fn tools() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools");
    std::env::var_os("SIGNET_TEST_TOOLS").map_or_else(default, PathBuf::from)
}

/// A program of the Python environment.
pub(super) fn python(name: &str) -> PathBuf {
    let program = tools().join("venv/bin").join(name);
    assert!(program.exists(), "{} is missing: run tests/run once, it installs it", program.display());
    program
}

pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify").join(name)
}

/// Runs a program on `input`. Returns its output, or its standard error if it failed.
fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child = command
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let sent = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it is our child");
    sent.expect("it reads all");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The settings of a service that accepts our tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust<'a> {
    pub(crate) jwks_url: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) algorithm: &'a str,
}

impl Trust<'_> {
    fn arguments(&self) -> [&str; 4] {
        [self.jwks_url, self.issuer, self.audience, self.algorithm]
    }

    /// The claims of the token, or why `PyJWT` refuses it.
    pub(crate) fn pyjwt(&self, token: &str) -> Result<Value, String> {
        let mut command = Command::new(python("python"));
        parse(run(command.arg(script("pyjwt.py")).args(self.arguments()), token))
    }

    /// The claims of the token, or why jose refuses it.
    pub(crate) fn jose(&self, token: &str) -> Result<Value, String> {
        let tools = tools();
        let jose = tools.join("node_modules/jose");
        assert!(jose.exists(), "{} is missing: run tests/run once, it installs it", jose.display());
        let mut command = Command::new("node");
        parse(run(command.arg(script("jose.mjs")).arg(tools).args(self.arguments()), token))
    }
}

/// A service that verifies tokens with another library, as long as it runs.
#[derive(Debug)]
pub(crate) struct TokenVerifier {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl TokenVerifier {
    /// One that uses `PyJWT`. The issuer's clock runs `faster` than its own.
    pub(crate) fn pyjwt(jwks_url: &str, issuer: &str, faster: i32) -> Self {
        let mut command = Command::new(python("python"));
        command.arg(script("pyjwt_service.py"));
        Self::starts(command, jwks_url, issuer, faster)
    }

    /// One that uses jose.
    pub(crate) fn jose(jwks_url: &str, issuer: &str, faster: i32) -> Self {
        let mut command = Command::new("node");
        command.arg(script("jose_service.mjs")).arg(tools());
        Self::starts(command, jwks_url, issuer, faster)
    }

    fn starts(mut command: Command, jwks_url: &str, issuer: &str, faster: i32) -> Self {
        let mut child = command
            .args([jwks_url, issuer, issuer, &faster.to_string()])
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        machine::supervise(child.id());
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// `ok`, or why it refuses the token.
    pub(crate) fn judges(&mut self, token: &str) -> String {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{token}").and_then(|()| input.flush()).expect("it reads");
        self.lines.next().expect("it answers").expect("text")
    }
}

impl Drop for TokenVerifier {
    fn drop(&mut self) {
        // As below.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Node service that logs people in with openid-client.
#[derive(Debug)]
pub(crate) struct NodeClient {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl NodeClient {
    /// Starts it at this port of 127.0.0.1, and waits until it serves.
    pub(crate) fn starts(issuer: &str, client: &Client, port: u16) -> Self {
        let tools = tools();
        let library = tools.join("node_modules/openid-client");
        assert!(library.exists(), "{} is missing: run tests/run once, it installs it", library.display());
        let mut child = Command::new("node")
            .arg(script("openid_client.mjs"))
            .arg(tools)
            .args([issuer, &client.id, &client.secret, &port.to_string()])
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        machine::supervise(child.id());
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut service = Self { child, lines };
        assert_eq!(service.says()["listening"], true);
        service
    }

    /// The next line of its output.
    pub(crate) fn says(&mut self) -> Value {
        let line = self.lines.next().expect("it says something").expect("text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for NodeClient {
    fn drop(&mut self) {
        // The process may have ended by itself; it must be waited for in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(printed: Result<String, String>) -> Result<Value, String> {
    serde_json::from_str(&printed?).map_err(|error| error.to_string())
}

/// Validates an `OpenAPI` document. Returns the complaint if it is invalid.
pub(crate) fn validate_openapi(document: &str) -> Result<String, String> {
    run(Command::new(python("openapi-spec-validator")).arg("-"), document)
}

/// Has Schemathesis send what the document at `url` allows and what it does not, and compare the answers with it.
/// Returns the report if one differs. The seed is fixed, so that a failure repeats.
pub(crate) fn fuzzes(url: &str, folder: &Path, more: &[&str]) -> Result<(), String> {
    const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                          response_headers_conformance,response_schema_conformance,allow_header_conformance";
    let output = Command::new(python("st"))
        .args(["run", url, "--no-color", "--continue-on-failure", "--seed", "1", "--max-examples", "10"])
        .args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--checks", CHECKS])
        .args(more)
        .current_dir(folder)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .output()
        .expect("Schemathesis starts");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    // A document without operations would pass as well.
    let tested = report.contains("Test cases:");
    if output.status.success() && tested { Ok(()) } else { Err(report) }
}

/// Runs a program at a terminal of its own with these variables and no other, and types what is asked for: pairs of
/// what to wait for and what to type then. What the terminal showed, and how it ended.
pub(crate) fn at_a_terminal(environment: &[(String, String)], folder: &Path, command: &[&str], steps: &Value) -> Value {
    let mut terminal = Command::new(python("python"));
    terminal
        .arg(script("terminal.py"))
        .args(command)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)));
    parse(run(&mut terminal, &steps.to_string())).unwrap_or_else(|why| panic!("{command:?}: {why}"))
}
