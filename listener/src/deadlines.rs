//! How long a peer may take for each part of a connection.

use std::time::Duration;

/// How long a peer may take. Each limit bounds one action of the peer; none bounds the age of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// From the TCP connection to the end of the TLS handshake.
    pub(super) handshake: Duration,
    /// For a whole request header: from the opening of the connection, or from the first byte of a later request.
    pub(super) header: Duration,
    /// From the header to the start of the answer. It ends a body that arrives too slowly.
    pub(super) request: Duration,
    /// For a connection on which no request begins or ends and no byte of an answer is written.
    pub(super) idle: Duration,
    /// For a peer that reads nothing of what is written to it.
    pub(super) stall: Duration,
    /// For reading a whole answer, after which the connection may be evicted ([`super::connection_table`]).
    pub(super) slow: Duration,
    /// For reading a whole answer, after which the connection is closed.
    pub(super) answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            request: Duration::from_secs(30),
            // Proxies keep their connections for 60 s by default. A proxy that reuses one must be the first to close it.
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(20),
            slow: Duration::from_secs(5),
            // The largest answer is some 1.5 MB, so this asks for 5 kB/s.
            answer: Duration::from_mins(5),
        }
    }
}
