//! A chromedriver, which speaks the W3C's `WebDriver` protocol, and the Chromium that it starts.

use std::{
    io::{BufRead, BufReader, Lines},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::wd::Capabilities;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::json;

use super::run;

/// A host that the browser finds on this machine, and that is another site than the service.
pub(crate) const FOREIGN_HOST: &str = "elsewhere.example";

/// Whether scripts of pages run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    Run,
    Blocked,
}

/// A chromedriver that runs, and below it the browser that it starts.
#[derive(Debug)]
pub(super) struct Driver {
    child: Child,
    /// The driver's home and the browser's profile.
    folder: PathBuf,
    port: u16,
    /// Kept open while the driver runs: it may still write.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    pub(super) fn start() -> Self {
        const READY: &str = "started successfully on port ";
        let folder = run::folder();
        let words = std::fs::File::create(folder.join("words")).expect("the folder is ours");
        let mut child = Command::new(program("SIGNET_TEST_CHROMEDRIVER", &["chromedriver"], "chromium-driver"))
            .arg("--port=0")
            .current_dir(&folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", &folder)
            .env("TMPDIR", &folder)
            // Chromium sets these two. Where they are new, glibc moves the environment while another of its threads
            // may be reading it, and one start in a hundred dies of that.
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .env("FC_FONTATIONS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(words)
            // The browser and its helpers join the group.
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        run::supervise(child.id());
        let mut said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = said.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once(READY)?;
            port.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("chromedriver tells its port");
        Self { child, folder, port, _said: said }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The capabilities of the browser to start.
    pub(super) fn capabilities(&self, scripts: Scripts) -> Capabilities {
        capabilities(&self.folder, scripts)
    }

    /// The output of the driver and the browser.
    pub(super) fn words(&self) -> String {
        std::fs::read_to_string(self.folder.join("words")).unwrap_or_default()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        // It closes its browser, and waits for its end.
        kill_process(group, Signal::TERM).ok();
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // What is left of the group, if anything; its number is not another's before the last of it is gone.
        kill_process_group(group, Signal::KILL).ok();
        self.child.wait().ok();
        run::release(self.child.id());
    }
}

/// What the browser is to be, with its profile in this folder.
fn capabilities(folder: &Path, scripts: Scripts) -> Capabilities {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    // Nothing leaves this machine.
    let hosts = format!(
        "--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE ::1, EXCLUDE localhost"
    );
    let mut options = json!({
        "binary": program("SIGNET_TEST_CHROMIUM", &["chromium", "google-chrome"], "chromium"),
        "args": [
            "--headless=new",
            // The sandbox wants rights that a container does not have; every page here is ours.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            // It ends when the other end of the pipe is gone, however the driver ends.
            "--remote-debugging-pipe",
            "--window-size=1280,800",
            &profile,
            &hosts,
        ],
    });
    if scripts == Scripts::Blocked {
        options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
    }
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
        // Milliseconds.
        "timeouts": {"pageLoad": 60_000, "script": 30_000},
    });
    capabilities.as_object().cloned().unwrap_or_default()
}

/// A program: the one that this variable names, or the first of these names that is on the path.
fn program(variable: &str, names: &[&str], package: &str) -> PathBuf {
    let on_the_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
    };
    let found = std::env::var_os(variable).map(PathBuf::from).or_else(on_the_path);
    found.unwrap_or_else(|| panic!("install the package {package}, or name the program in {variable}"))
}
