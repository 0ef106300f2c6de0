//! The files and processes of one run of the test binary, and their removal.

use std::{
    io::Write,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
};

static RUN: LazyLock<Run> = LazyLock::new(Run::begin);

/// The folder of this run and the line to the supervisor that removes it when this process ends in any way.
struct Run {
    folder: PathBuf,
    supervisor: Mutex<Child>,
}

impl Run {
    fn begin() -> Self {
        let folder = tempfile::Builder::new().prefix("signet-stories-").tempdir().expect("a temporary folder").keep();
        // PostgreSQL may run as another user, who needs access.
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o711)).expect("the folder is ours");
        let supervisor = Command::new("sh")
            .args(["-c", include_str!("supervisor.sh"), "supervisor"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal must reach this process and not the supervisor.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        Self { folder, supervisor: Mutex::new(supervisor) }
    }

    fn tell(&self, line: &str) {
        let mut supervisor = self.supervisor.lock().expect("no story fails while it holds this");
        let stdin = supervisor.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{line}").expect("the supervisor lives as long as we do");
    }
}

/// A new folder, removed when the run ends. Other users may enter it, not list it.
pub(crate) fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = run_folder().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    std::fs::create_dir(&folder).expect("the run's folder is ours");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o711)).expect("the folder is ours");
    folder
}

fn run_folder() -> &'static Path {
    &RUN.folder
}

/// Kills the process when this run ends.
pub(crate) fn supervise(pid: u32) {
    RUN.tell(&format!("add {pid}"));
}

/// Undoes [`supervise`] once the process has been waited for: its id may be reused.
pub(crate) fn release(pid: u32) {
    RUN.tell(&format!("drop {pid}"));
}

/// A TCP port on the loopback address that nobody listens on. None is given twice, and none is from the range that
/// outgoing connections use, so that no other story takes it before it is bound.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static STEP: AtomicU16 = AtomicU16::new(0);
    loop {
        let process = u16::try_from(std::process::id() % u32::from(COUNT)).expect("below 18 000");
        let step = STEP.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (process.wrapping_mul(7).wrapping_add(step)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
