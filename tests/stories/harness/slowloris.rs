//! Clients that open connections and never finish a request.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval_at},
};

use super::site::Site;

/// How often each client sends a byte, or reconnects after its connection was closed.
const PACE: Duration = Duration::from_secs(4);

/// The behaviour of one client.
#[derive(Debug, Clone, Copy)]
enum Habit {
    Silence,
    Header,
    Body,
}

/// Many such clients, until this is dropped. Each reconnects when its connection is closed.
#[derive(Debug)]
pub(crate) struct Slowloris {
    _crowd: JoinSet<()>,
}

impl Slowloris {
    /// Starts this many clients: a third is silent, a third trickles a header, a third a body.
    pub(crate) fn visits(site: &Site, count: u32) -> Self {
        allow_files(u64::from(count) + 500);
        let mut crowd = JoinSet::new();
        for n in 0..count {
            let habit = [Habit::Silence, Habit::Header, Habit::Body][n as usize % 3];
            // Spread over the interval, as an attacker would.
            let first = Instant::now() + PACE * n / count;
            crowd.spawn(linger(site.authority(), habit, first));
        }
        Self { _crowd: crowd }
    }
}

async fn linger(address: String, habit: Habit, first: Instant) {
    let mut pace = interval_at(first, PACE);
    loop {
        pace.tick().await;
        let Ok(mut connection) = TcpStream::connect(&address).await else { continue };
        let begin: &[u8] = match habit {
            Habit::Silence => b"",
            Habit::Header => b"GET /livez HTTP/1.1\r\nHost: signet\r\nX-Filler: ",
            Habit::Body => {
                b"POST /oauth/token HTTP/1.1\r\nHost: signet\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
            }
        };
        let mut alive = connection.write_all(begin).await.is_ok();
        let mut answer = [0; 4096];
        while alive {
            tokio::select! {
                read = connection.read(&mut answer) => alive = matches!(read, Ok(1..)),
                _ = pace.tick() => {
                    alive = matches!(habit, Habit::Silence) || connection.write_all(b"x").await.is_ok();
                }
            }
        }
    }
}

/// Raises this process's limit of open files.
fn allow_files(count: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < count) {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
        assert!(maximum.is_none_or(|maximum| maximum >= count), "this story needs {count} open files (ulimit -Hn)");
    }
}
