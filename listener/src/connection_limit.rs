//! Room for one more connection.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    connection_table::{ConnectionHandle, ConnectionTable},
    report,
};

/// How long to wait for the one who was asked to go, or for anyone who can be asked, before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Shortages further apart than this are told apart in the log.
const QUIET: Duration = Duration::from_mins(1);

/// The bound on how many connections are open at once.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    most: usize,
    table: Arc<ConnectionTable>,
    short_at: Option<Instant>,
}

impl ConnectionLimit {
    /// Room for `most` connections.
    pub(super) fn new(most: usize) -> Self {
        Self { most, table: Arc::default(), short_at: None }
    }

    /// Takes in a connection that `peer` has just opened.
    pub(super) fn register(&self, peer: IpAddr) -> ConnectionHandle {
        self.table.register(peer)
    }

    /// Asks the next connection to go, where any waits for its peer.
    pub(super) fn evict_one(&self) -> bool {
        self.table.evict_one()
    }

    /// Returns once `open` has room for one more. While every request in it is being worked at, that is when the first
    /// is answered; new connections wait in the system's queue.
    pub(super) async fn make(&mut self, open: &mut JoinSet<()>) {
        while let Some(ended) = open.try_join_next() {
            report(ended);
        }
        while open.len() >= self.most {
            self.note(Instant::now());
            self.evict_one();
            tokio::select! {
                Some(ended) = open.join_next() => report(ended),
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Logs the first of each row of shortages.
    fn note(&mut self, now: Instant) {
        if self.short_at.is_none_or(|at| now.duration_since(at) >= QUIET) {
            tracing::warn!(
                connections = self.most,
                "connections are as many as can be; those that wait for their peer make room for new ones, the most \
                 crowded network's first; if they are honest, raise the limit of open files (ulimit -n)"
            );
        }
        self.short_at = Some(now);
    }
}
