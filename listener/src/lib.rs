//! The listener: accepts connections, speaks TLS where it has a certificate, and hands each request to one endpoint.
//!
//! It replaces poem's own server, which sets no time limit on headers, spins when `accept` fails and brings a second
//! cryptographic library. The listener bounds connections over HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113): their bytes,
//! their streams and their time. It never looks at the meaning of a request.

mod accept;
mod connection;
mod connection_limit;
mod connection_state;
mod connection_table;
mod connection_task;
mod counts;
mod deadlines;
mod descriptors;
pub mod tls;
mod unread_body;

pub use self::counts::Counts;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use poem::{Endpoint, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use self::{
    accept::{Backoff, accept},
    connection::Connections,
    connection_limit::ConnectionLimit,
    connection_task::log_panic,
    deadlines::Deadlines,
};

/// A bound listener, with or without TLS. Nothing is accepted before [`Server::run`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<(TlsAcceptor, tls::Certificate)>,
    deadlines: Deadlines,
    max_connections: usize,
    counts: Counts,
}

impl Server {
    /// Binds to `listen`. Port 0 takes a free port, which [`Server::address`] then returns.
    ///
    /// With a certificate every connection is TLS 1.2 or 1.3, and plain HTTP is closed unanswered.
    ///
    /// The process's soft limit of file descriptors is raised to its hard limit, and bounds the open connections. At
    /// that bound a new connection replaces one that waits for its peer.
    ///
    /// # Errors
    ///
    /// The system's error for the address (in use, not ours, not permitted).
    pub async fn bind(listen: SocketAddr, tls: Option<tls::Certificate>) -> io::Result<Self> {
        let tls = match tls {
            Some(certificate) => Some((certificate.acceptor().map_err(io::Error::other)?, certificate)),
            None => None,
        };
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            tls,
            deadlines: Deadlines::default(),
            max_connections: descriptors::max_connections(),
            counts: Counts::default(),
        })
    }

    /// The address of the listening socket. Where `listen` had port 0, it has the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The listener's counters.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Serves until `stop` resolves, then returns once everything in flight has been answered, or after `drain`.
    ///
    /// On `stop` the port, idle connections and unfinished handshakes are closed at once. A request that has begun keeps
    /// its connection until its answer is written. Connections that remain after `drain` are cut off. Dropping the
    /// future closes every connection at once.
    ///
    /// Meanwhile the certificate's files are checked each second and read again when they changed. A broken new
    /// certificate is logged once, and the old one stays in use.
    pub async fn run(
        self,
        endpoint: impl Endpoint<Output = Response> + 'static,
        stop: impl Future<Output = ()> + Send,
        drain: Duration,
    ) {
        let Self { listener, address, tls, deadlines, max_connections, counts } = self;
        let (acceptor, certificate) = tls.unzip();
        // Dropping `stopping` is the signal: every connection waits for its end of the channel to close.
        let (stopping, stopped) = watch::channel(());
        let connections = Arc::new(Connections::new(endpoint, acceptor, deadlines, address, stopped, counts));
        let mut open = JoinSet::new();

        tokio::select! {
            () = stop => {}
            () = serve(&listener, &connections, &mut open, ConnectionLimit::new(max_connections)) => {}
            () = tls::keep_current(certificate) => {}
        }

        drop(listener);
        drop(stopping);
        let drained = timeout(drain, async {
            while let Some(ended) = open.join_next().await {
                log_panic(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!(connections = open.len(), "connections were still busy at the end of the drain; cut off");
            open.shutdown().await;
        }
    }
}

/// The accept loop. It never ends. Each connection is a task of `open`, so that no peer and no panic in a handler can
/// delay or end the loop.
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
            Some(ended) = open.join_next() => log_panic(ended),
            accepted = accept(listener, backoff.until()) => match accepted {
                Ok((stream, peer)) => {
                    limit.wait_for_capacity(open).await;
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

/// Turns Nagle's algorithm off: answers are small and written whole, so waiting to fill a segment only delays them.
fn prepare(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    stream
}

#[cfg(test)]
mod tests;
