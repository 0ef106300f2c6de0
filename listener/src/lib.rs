//! The listener: accepts connections, speaks TLS where it has a certificate, and hands each request to one endpoint.
//!
//! It stands in the place of poem's own server, which sets no time limit on headers, spins when `accept` fails and
//! brings a second cryptographic library. Everything here is about connections, HTTP/1.1 (RFC 9112) and HTTP/2
//! (RFC 9113) alike: how many bytes, how many streams, how long. What a request means is the endpoint's business.

mod accept;
mod connection;
mod connection_limit;
mod connection_state;
mod connection_table;
mod descriptors;
pub mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use poem::{Endpoint, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use self::{
    accept::{Backoff, accept},
    connection::Connections,
    connection_limit::ConnectionLimit,
};

/// How long a peer may take. Each bound is on what the peer does, never on how long it may stay.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// From the TCP connection to the end of the TLS handshake.
    handshake: Duration,
    /// For a whole request header: from the opening of the connection, or from the first byte of a later request.
    header: Duration,
    /// From the header to the start of the answer. It is what ends a body that trickles in.
    request: Duration,
    /// For a connection on which no request begins or ends and no answer moves.
    idle: Duration,
    /// For a peer that takes nothing at all of what is written to it.
    stall: Duration,
    /// How long a peer may take for a whole answer, after which it may be asked to make room, and at all.
    slow: Duration,
    answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            request: Duration::from_secs(30),
            // Proxies keep their connections for 60 s by default: the one that reuses them must be the first to part.
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(20),
            slow: Duration::from_secs(5),
            // The largest answer is some 1.5 MB, so this asks for 5 kB/s.
            answer: Duration::from_mins(5),
        }
    }
}

/// A bound listener, with or without TLS. Nothing is accepted before [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<(TlsAcceptor, tls::Certificate)>,
    deadlines: Deadlines,
    most: usize,
}

impl Server {
    /// Binds to `listen`; port 0 takes a free port, which [`Server::address`] then tells.
    ///
    /// With a certificate every connection is TLS 1.2 or 1.3, and plain HTTP is closed unanswered.
    ///
    /// The process's limit of file descriptors is raised as far as it may be, and bounds how many connections there
    /// are at once. Where they are that many, a new one takes the place of one that waits for its peer.
    ///
    /// # Errors
    ///
    /// What the system says of the address (in use, not ours, not permitted).
    pub async fn bind(listen: SocketAddr, tls: Option<tls::Certificate>) -> io::Result<Self> {
        let tls = match tls {
            Some(certificate) => Some((certificate.acceptor().map_err(io::Error::other)?, certificate)),
            None => None,
        };
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, tls, deadlines: Deadlines::default(), most: descriptors::connections() })
    }

    /// The address that is listened on, with the port that the system chose where `listen` left it open.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves, then returns once everything in flight has been answered, or after `drain`.
    ///
    /// On `stop` the port is closed, idle connections and unfinished handshakes are closed at once, and a request
    /// that has begun keeps its connection until its answer is written. What remains after `drain` is cut off.
    /// Dropping the future closes every connection at once.
    ///
    /// While it serves, the certificate's files are looked at each second and taken over when they changed. A broken
    /// new certificate is logged once, and the old one stays.
    pub async fn run(
        self,
        endpoint: impl Endpoint<Output = Response> + 'static,
        stop: impl Future<Output = ()> + Send,
        drain: Duration,
    ) {
        let Self { listener, address, tls, deadlines, most } = self;
        let (acceptor, certificate) = tls.unzip();
        // Dropping `stopping` is the signal: every connection waits for its end of the channel to close.
        let (stopping, stopped) = watch::channel(());
        let connections = Arc::new(Connections::new(endpoint, acceptor, deadlines, address, stopped));
        let mut open = JoinSet::new();

        tokio::select! {
            () = stop => {}
            () = serve(&listener, &connections, &mut open, ConnectionLimit::new(most)) => {}
            () = tls::keep_current(certificate) => {}
        }

        drop(listener);
        drop(stopping);
        let drained = timeout(drain, async {
            while let Some(ended) = open.join_next().await {
                report(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!(connections = open.len(), "connections were still busy at the end of the drain; cut off");
            open.shutdown().await;
        }
    }
}

/// The accept loop. It never ends; each connection is a task of `open`, so that nothing a peer does, a panic in its
/// handler included, can hold up or end the loop.
async fn serve<E>(
    listener: &TcpListener,
    connections: &Arc<Connections<E>>,
    open: &mut JoinSet<()>,
    mut limit: ConnectionLimit,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            Some(ended) = open.join_next() => report(ended),
            accepted = accept(listener, backoff.until()) => match accepted {
                Ok((stream, peer)) => {
                    limit.make(open).await;
                    let handle = limit.register(peer.ip());
                    open.spawn(Arc::clone(connections).serve(prepare(stream), peer, handle));
                }
                Err(error) => {
                    backoff.failed(&error, Instant::now());
                    limit.evict_one();
                }
            },
        }
    }
}

/// Answers are small and written whole; waiting to fill a segment (Nagle) would only delay them.
fn prepare(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    stream
}

/// The endpoint turns its own panics into answers; one that comes this far is a defect worth a line in the log.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

#[cfg(test)]
mod tests;
