//! The `signet` program as an operator runs it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    eventually, run,
    site::{Ask, Site},
};

/// How long a program may take for anything, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Asserts that it succeeded.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Asserts its exit status, and a line on standard error with these words.
    #[track_caller]
    pub(crate) fn with(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        let clear = self.err.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(clear, "no line with {words:?}: {self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    /// Its standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A running program, with its output in files.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    words: PathBuf,
    /// The address that it listens on, or will.
    pub(crate) site: Site,
}

impl Process {
    /// Starts `signet` in `folder`, with this environment and no other.
    pub(crate) fn start(folder: &Path, environment: &[(String, String)], arguments: &[&str], input: &str) -> Self {
        Self::launch(&[], folder, environment, arguments, input)
    }

    /// As [`Self::start`], through another program, which gets `signet` and its arguments as its last.
    pub(crate) fn launch(
        launcher: &[&str],
        folder: &Path,
        environment: &[(String, String)],
        arguments: &[&str],
        input: &str,
    ) -> Self {
        let words = run::folder();
        std::fs::write(words.join("in"), input).expect("the folder is ours");
        let file = |name: &str| File::create(words.join(name)).expect("the folder is ours");
        let command = [launcher, &[env!("CARGO_BIN_EXE_signet")], arguments].concat();
        let child = Command::new(command[0])
            .args(&command[1..])
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(File::open(words.join("in")).expect("it was just made"))
            .stdout(Stdio::from(file("out")))
            .stderr(Stdio::from(file("err")))
            .spawn()
            .expect("the program starts");
        run::supervise(child.id());
        let listen = environment.iter().find(|(name, _)| name == "SIGNET_LISTEN").map_or("127.0.0.1:8080", |(_, v)| v);
        Self { child, words, site: Site::at(format!("http://{listen}")) }
    }

    pub(crate) async fn ready(mut self) -> Self {
        let begin = Instant::now();
        while !self.is_ready().await {
            let status = self.child.try_wait().expect("it is our child");
            assert!(status.is_none(), "it ended with {status:?}: {}", self.log());
            assert!(begin.elapsed() < PATIENCE, "it does not become ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self
    }

    async fn is_ready(&self) -> bool {
        let listens = tokio::net::TcpStream::connect(self.site.base().trim_start_matches("http://")).await.is_ok();
        listens && self.site.get("/readyz").answer().await.status == 200
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name: `TERM`, `KILL`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh starts").success());
    }

    pub(crate) async fn ends(mut self) -> Ended {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Ended { code: status.code(), out: self.words("out"), err: self.words("err") }
    }

    pub(crate) fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs, on Linux");
        // After the name, which is in parentheses: the 12th and 13th are user and system time, in hundredths.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// Its standard output and standard error so far. A thread of the service writes them, so that a line may come after
    /// the answer that it tells of: see [`Self::whole_log`].
    pub(crate) fn log(&self) -> String {
        self.words("out") + &self.words("err")
    }

    /// The log with everything that the service has said until now: it waits for the line of a request made here.
    pub(crate) async fn whole_log(&self) -> String {
        let last = self.site.get("/v1/users/me").answer().await.header("x-request-id").to_owned();
        eventually(PATIENCE, "the last line is written", async || self.log().contains(&last)).await;
        self.log()
    }

    fn words(&self, name: &str) -> String {
        let bytes = std::fs::read(self.words.join(name)).expect("the file was made at the start");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended long ago.
        self.child.kill().ok();
        self.child.wait().ok();
        run::release(self.child.id());
    }
}
