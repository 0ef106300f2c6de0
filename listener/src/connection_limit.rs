//! The limit on open connections. At the limit, [`ConnectionTable`] chooses the connection that closes.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    connection_table::{ConnectionHandle, ConnectionTable},
    connection_task::log_panic,
};

/// How long to wait for an evicted connection to end, or for one that can be evicted, before trying again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Shortages further apart than this are logged separately.
const QUIET: Duration = Duration::from_mins(1);

/// The bound on how many connections are open at once.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    max: usize,
    table: Arc<ConnectionTable>,
    last_shortage: Option<Instant>,
}

impl ConnectionLimit {
    /// At most `max` connections.
    pub(super) fn new(max: usize) -> Self {
        Self { max, table: Arc::default(), last_shortage: None }
    }

    /// Adds a connection that `peer` has just opened to the table.
    pub(super) fn register(&self, peer: IpAddr) -> ConnectionHandle {
        self.table.register(peer)
    }

    /// Evicts the next connection. Returns false if none waits for its peer.
    pub(super) fn evict_one(&self) -> bool {
        self.table.evict_one()
    }

    /// Returns once `open` holds fewer connections than the limit, and evicts until then.
    ///
    /// While the service works on a request of every connection, none can be evicted, and this waits for the first one
    /// to end. New connections wait in the system's queue meanwhile.
    pub(super) async fn wait_for_capacity(&mut self, open: &mut JoinSet<()>) {
        while let Some(ended) = open.try_join_next() {
            log_panic(ended);
        }
        while open.len() >= self.max {
            self.log_shortage(Instant::now());
            self.evict_one();
            tokio::select! {
                Some(ended) = open.join_next() => log_panic(ended),
                () = sleep(RETRY_INTERVAL) => {}
            }
        }
    }

    /// Logs the first shortage of each burst.
    fn log_shortage(&mut self, now: Instant) {
        if self.last_shortage.is_none_or(|at| now.duration_since(at) >= QUIET) {
            tracing::warn!(
                connections = self.max,
                "the limit of connections is reached; new ones replace those that wait for their peer, in the network \
                 with the most first; if the clients are honest, raise the limit of open files (ulimit -n)"
            );
        }
        self.last_shortage = Some(now);
    }
}
