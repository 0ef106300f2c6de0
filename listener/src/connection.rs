//! One connection, from the TCP stream to its last answer.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    body::{Body as _, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use poem::{
    Addr, Body, Endpoint, Request, Response,
    http::{self, StatusCode, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Deadlines,
    connection_state::{AnswerBody, AskedBody, ConnectionState, Overdue, TimedIo},
    connection_table::ConnectionHandle,
};

/// The most bytes of a request's header, names and values and all. It is also the read buffer of an HTTP/1 connection.
const HEADER_BYTES: u32 = 32 * 1024;
/// The most requests at once on one HTTP/2 connection.
const CONCURRENT_STREAMS: u32 = 100;
/// The most streams that the peer has reset and we have not yet looked at, before the connection is ended (rapid
/// reset, CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// The most streams that we had to reset for the peer's errors, before the connection is ended (RUSTSEC-2024-0003).
const ERROR_RESETS: usize = 128;
/// What one stream, and one connection, may send ahead of being read. No request body is larger than 64 kB.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// After how long a silence an HTTP/2 peer is asked for a sign of life, and how long it has to give one. A peer that
/// stops in the middle of a frame cannot.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// What all connections have in common.
pub(super) struct Connections<E> {
    endpoint: Arc<E>,
    tls: Option<TlsAcceptor>,
    http: Builder<TokioExecutor>,
    deadlines: Deadlines,
    address: SocketAddr,
    stopped: watch::Receiver<()>,
}

impl<E> Connections<E>
where
    E: Endpoint<Output = Response> + 'static,
{
    /// `address` stands in for a connection's own, where the system cannot tell it any more; `stopped` closes when the
    /// service is to stop.
    pub(super) fn new(
        endpoint: E,
        tls: Option<TlsAcceptor>,
        deadlines: Deadlines,
        address: SocketAddr,
        stopped: watch::Receiver<()>,
    ) -> Self {
        Self { endpoint: Arc::new(endpoint), tls, http: http(), deadlines, address, stopped }
    }

    /// Serves one connection to its end, whoever ends it; also when `handle` is asked to go and waits for its peer.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, handle: ConnectionHandle) {
        let local = stream.local_addr().unwrap_or(self.address);
        match &self.tls {
            None => self.speak(stream, local, peer, Scheme::HTTP, handle).await,
            Some(tls) => {
                let asked = handle.asked();
                let handshake = tokio::select! {
                    handshake = timeout(self.deadlines.handshake, tls.accept(stream)) => handshake,
                    () = stopped(self.stopped.clone()) => return,
                    () = asked.notified() => return tracing::debug!(%peer, "connection closed to make room"),
                };
                // Scanners and plain HTTP end here by the thousand: not worth a line above debug.
                match handshake {
                    Ok(Ok(stream)) => self.speak(stream, local, peer, Scheme::HTTPS, handle).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                }
            }
        }
    }

    async fn speak<S>(&self, stream: S, local: SocketAddr, peer: SocketAddr, scheme: Scheme, handle: ConnectionHandle)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let asked = handle.asked();
        let exchange = ConnectionState::open(self.deadlines, handle);
        let local = LocalAddr(Addr::SocketAddr(plain(local)));
        let remote = RemoteAddr(Addr::SocketAddr(plain(peer)));
        let service = service_fn(|request: http::Request<Incoming>| {
            let in_flight = exchange.begin(request.version());
            let has_body = !request.body().is_end_stream();
            let mut request = Request::from((request, local.clone(), remote.clone(), scheme.clone()));
            if has_body {
                let body = AskedBody::new(request.take_body().into_bytes_stream(), exchange.clone());
                request.set_body(Body::from_bytes_stream(body));
            }
            let endpoint = Arc::clone(&self.endpoint);
            let limit = self.deadlines.request;
            async move {
                let answer = timeout(limit, endpoint.get_response(request)).await;
                let answer = answer.unwrap_or_else(|_| Response::from(StatusCode::REQUEST_TIMEOUT));
                let answer = http::Response::<_>::from(answer).map(|body| AnswerBody::new(body, in_flight));
                Ok::<_, Infallible>(answer)
            }
        });
        let wire = TokioIo::new(TimedIo::new(stream, exchange.clone()));
        let mut connection = pin!(self.http.serve_connection(wire, service));
        let mut overdue = pin!(exchange.overdue());
        let mut closing = false;
        loop {
            tokio::select! {
                // The connection first: what it just read or wrote moves the deadline.
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, error, "connection failed");
                    }
                    return;
                }
                () = stopped(self.stopped.clone()), if !closing => {
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                }
                () = asked.notified() => {
                    if exchange.is_evictable() {
                        return tracing::debug!(%peer, "connection closed to make room");
                    }
                }
                what = overdue.as_mut() => {
                    if closing || what != Overdue::Idle {
                        tracing::debug!(%peer, ?what, "connection closed for its silence");
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                    exchange.prolong();
                    overdue.set(exchange.overdue());
                }
            }
        }
    }
}

/// Resolves when the service is to stop.
async fn stopped(mut stopped: watch::Receiver<()>) {
    // Nothing is ever sent; the error says that the sender is gone.
    while stopped.changed().await.is_ok() {}
}

/// An IPv4 peer of a dual-stack socket under its own address, so that lists of IPv4 networks hold it.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// HTTP/1.1 and HTTP/2, told apart by their first bytes. Upgrades are not offered.
fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // The deadlines of `ConnectionState` stand in its place.
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES as usize);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES)
        .max_concurrent_streams(CONCURRENT_STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}
