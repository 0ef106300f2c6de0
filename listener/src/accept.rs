//! Accepting, and waiting when that fails.
//!
//! When the process is out of file descriptors, `accept` fails at once and the connection stays in the queue: a loop
//! that only tries again would use a whole core until another connection closes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

/// The wait after the first failure of a burst.
const FIRST_WAIT: Duration = Duration::from_millis(5);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Failures further apart than this are separate bursts. It must exceed the longest wait.
const QUIET: Duration = Duration::from_secs(10);

/// Waits until `not_before`, then for the next connection. Dropping the future loses no connection.
///
/// Connections that died while still in the queue are skipped without a wait: each takes one entry out of the queue,
/// so the loop cannot spin on them, and a peer that resets its connections must not delay other peers.
pub(super) async fn accept(listener: &TcpListener, not_before: Option<Instant>) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(not_before) = not_before {
        sleep_until(not_before).await;
    }
    loop {
        match listener.accept().await {
            Err(error) if is_of_the_peer(&error) => {}
            accepted => return accepted,
        }
    }
}

/// Whether the failure concerns one connection alone, rather than our ability to accept any.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// How long to wait after `accept` failed.
///
/// Only time ends a burst. Without free descriptors, failures and successes alternate: if a success ended the burst, each
/// one would bring back the shortest wait and another line in the log.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    wait: Duration,
    failed_at: Option<Instant>,
}

impl Backoff {
    /// The moment before which nothing should be accepted; `None` before the first failure.
    pub(super) fn until(&self) -> Option<Instant> {
        self.failed_at.map(|at| at + self.wait)
    }

    /// Records a failure at `now`, and logs the first one of each burst.
    pub(super) fn failed(&mut self, error: &io::Error, now: Instant) {
        let burst_goes_on = self.failed_at.is_some_and(|at| now.duration_since(at) < QUIET);
        if burst_goes_on {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        } else {
            self.wait = FIRST_WAIT;
            tracing::error!(%error, "connections cannot be accepted; if too many files are open, raise the limit (ulimit -n)");
        }
        self.failed_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of_files() -> io::Error {
        io::Error::from_raw_os_error(24)
    }

    #[test]
    fn a_burst_of_failures_waits_ever_longer_up_to_a_second() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.until(), None);
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..10 {
            backoff.failed(&out_of_files(), now);
            let until = backoff.until().unwrap();
            waits.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn a_failure_long_after_the_last_one_starts_a_new_burst() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        backoff.failed(&out_of_files(), now);
        backoff.failed(&out_of_files(), now + Duration::from_millis(5));
        let later = now + Duration::from_mins(1);
        backoff.failed(&out_of_files(), later);
        assert_eq!(backoff.until(), Some(later + FIRST_WAIT));
    }

    #[test]
    fn only_failures_of_our_own_make_us_wait() {
        assert!(is_of_the_peer(&io::ErrorKind::ConnectionAborted.into()));
        assert!(is_of_the_peer(&io::ErrorKind::ConnectionReset.into()));
        assert!(!is_of_the_peer(&out_of_files()));
    }
}
