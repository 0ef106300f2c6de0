//! Programs that this one starts, and what they cost.

use std::{
    net::TcpListener,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::{Failure, client::Connection};

/// Hundredths of a second: Linux counts processor time in these, whatever its clock.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a program may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program that ends with this value.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    name: String,
    /// Its address, a host and a port.
    pub(crate) authority: String,
}

impl Program {
    /// Starts it, and waits until it listens at `port`.
    pub(crate) async fn start(command: &mut Command, port: u16) -> Result<Self, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
        let mut program = Self { child, name, authority: format!("127.0.0.1:{port}") };
        let begin = Instant::now();
        while Connection::open(&program.authority).await.is_err() {
            if let Some(status) = program.child.try_wait()? {
                return Err(format!("{} ended with {status}", program.name).into());
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("{} does not listen", program.name).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(program)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGTERM first: the main process of nginx ends its workers.
        Command::new("kill").arg(self.child.id().to_string()).status().ok();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Processor seconds of a process, and of its children, living ones and those it has waited for.
pub(crate) fn processor_seconds(pid: u32) -> f64 {
    let mut ticks = stat(pid).map_or(0, |stat| stat.own + stat.waited_for);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let other = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(stat);
        ticks += other.filter(|other| other.parent == pid).map_or(0, |other| other.own);
    }
    #[expect(clippy::cast_precision_loss, reason = "a time needs no more than 52 bits")]
    let ticks = ticks as f64;
    ticks / TICKS_PER_SECOND
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}

struct Stat {
    parent: u32,
    own: u64,
    waited_for: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before is in parentheses, and may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let parent = u32::try_from(field(1)?).ok()?;
    Some(Stat { parent, own: field(11)? + field(12)?, waited_for: field(13)? + field(14)? })
}

/// A port of the loopback address on which nobody listens.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
