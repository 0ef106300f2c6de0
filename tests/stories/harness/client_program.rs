//! A client in another language that sends its person to an address and goes on with where they come back.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    Person,
    browser_session::{BrowserSession, location},
    run,
    tools::{python, script, tools},
};

/// A program that speaks lines of JSON, one after the other with the story.
#[derive(Debug)]
pub(crate) struct ClientProgram {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl ClientProgram {
    /// A script that needs this library of Node's.
    pub(crate) fn node(name: &str, library: &str, settings: &Value) -> Self {
        let tools = tools();
        let library = tools.join("node_modules").join(library);
        assert!(library.exists(), "{} is missing: run tests/run once, it installs it", library.display());
        Self::starts(Command::new("node").arg(script(name)).arg(tools), settings)
    }

    /// A script of Python's.
    pub(crate) fn python(name: &str, settings: &Value) -> Self {
        Self::starts(Command::new(python("python")).arg(script(name)), settings)
    }

    fn starts(command: &mut Command, settings: &Value) -> Self {
        let mut child = command
            .arg(settings.to_string())
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        run::supervise(child.id());
        let input = child.stdin.take().expect("it is piped");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, input, lines }
    }

    /// The next line of its output.
    pub(crate) fn says(&mut self) -> Value {
        let line = self.lines.next().expect("it says something").expect("text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Sends it a line.
    pub(crate) fn hears(&mut self, line: &Value) {
        writeln!(self.input, "{line}").expect("it listens");
    }

    /// Sends a person, who may have to log in and to consent, to the address that it says, and tells it where they came
    /// back.
    pub(crate) async fn sends(&mut self, browser: &BrowserSession, person: &Person) {
        let said = self.says();
        let url = said["url"].as_str().unwrap_or_else(|| panic!("no address: {said}"));
        let mut answer = browser.opens(url).await;
        if location(&answer).starts_with("/login") {
            answer = browser.logs_in_at(&location(&answer), &person.username, &person.password).await;
        }
        if location(&answer).starts_with("/consent") {
            let page = browser.follows(&answer).await.is(200);
            answer = browser.sends(&page, "/consent", &[("answer", "allow")]).await;
        }
        self.hears(&json!({"back": location(&answer)}));
    }
}

impl Drop for ClientProgram {
    fn drop(&mut self) {
        // The process may have ended by itself; it must be waited for in any case.
        self.child.kill().ok();
        self.child.wait().ok();
        run::release(self.child.id());
    }
}
