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
    http::{self, HeaderValue, StatusCode, Version, header, uri::Scheme},
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
    connection_state::{ConnectionState, Overdue, RequestBody, ResponseBody, TimedIo},
    connection_table::ConnectionHandle,
    counts::Counts,
    deadlines::Deadlines,
    unread_body::share,
};

/// The most bytes of a request's header, names and values included. It is also the read buffer of an HTTP/1 connection.
const HEADER_BYTES: u32 = 32 * 1024;
/// The most requests at once on one HTTP/2 connection.
const CONCURRENT_STREAMS: u32 = 100;
/// The most streams that the peer has reset before we accepted them; more end the connection (rapid reset,
/// CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// The most streams that we reset for the peer's errors; more end the connection (RUSTSEC-2024-0003).
const ERROR_RESETS: usize = 128;
/// The bytes that one stream, and one connection, may send before they are read. No request body exceeds 64 kB.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// After this silence an HTTP/2 peer gets a PING, and has the time-out to answer it. A peer that stops in the middle of a
/// frame cannot answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The parts that all connections share.
pub(super) struct Connections<E> {
    endpoint: Arc<E>,
    tls: Option<TlsAcceptor>,
    http: Builder<TokioExecutor>,
    deadlines: Deadlines,
    address: SocketAddr,
    stopped: watch::Receiver<()>,
    counts: Counts,
}

impl<E> Connections<E>
where
    E: Endpoint<Output = Response> + 'static,
{
    /// `address` replaces a connection's local address where the system no longer knows it. `stopped` closes when the
    /// service must stop.
    pub(super) fn new(
        endpoint: E,
        tls: Option<TlsAcceptor>,
        deadlines: Deadlines,
        address: SocketAddr,
        stopped: watch::Receiver<()>,
        counts: Counts,
    ) -> Self {
        Self { endpoint: Arc::new(endpoint), tls, http: http(), deadlines, address, stopped, counts }
    }

    /// Serves one connection until either side ends it, a deadline passes, or `handle` is evicted.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, handle: ConnectionHandle) {
        let _open = self.counts.open();
        let local = stream.local_addr().unwrap_or(self.address);
        match &self.tls {
            None => self.serve_http(stream, local, peer, Scheme::HTTP, handle).await,
            Some(tls) => {
                let eviction = handle.eviction();
                let handshake = tokio::select! {
                    handshake = timeout(self.deadlines.handshake, tls.accept(stream)) => handshake,
                    () = stopped(self.stopped.clone()) => return,
                    () = eviction.notified() => return tracing::debug!(%peer, "connection evicted at the limit"),
                };
                // Scanners and plain HTTP fail here by the thousand, so the level is debug.
                match handshake {
                    Ok(Ok(stream)) => self.serve_http(stream, local, peer, Scheme::HTTPS, handle).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                }
            }
        }
    }

    async fn serve_http<S>(
        &self,
        stream: S,
        local: SocketAddr,
        peer: SocketAddr,
        scheme: Scheme,
        handle: ConnectionHandle,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let eviction = handle.eviction();
        let state = ConnectionState::open(self.deadlines, handle);
        let local = LocalAddr(Addr::SocketAddr(plain(local)));
        let remote = RemoteAddr(Addr::SocketAddr(plain(peer)));
        let service = service_fn(|request: http::Request<Incoming>| {
            let in_flight = state.begin(request.version());
            let has_body = !request.body().is_end_stream();
            let mut request = Request::from((request, local.clone(), remote.clone(), scheme.clone()));
            // Over HTTP/2 a stream ends by itself, and the others go on.
            let keeps_order = request.version() < Version::HTTP_2;
            let mut unread = None;
            if has_body {
                let body = RequestBody::new(request.take_body().into_bytes_stream(), state.clone());
                let (body, rest) = share(body, request.headers());
                request.set_body(Body::from_bytes_stream(body));
                unread = Some(rest).filter(|_| keeps_order);
            }
            let endpoint = Arc::clone(&self.endpoint);
            let limit = self.deadlines.request;
            async move {
                let answer = timeout(limit, endpoint.get_response(request)).await;
                let mut answer = answer.unwrap_or_else(|_| Response::from(StatusCode::REQUEST_TIMEOUT));
                if let Some(unread) = unread
                    && !unread.finish().await
                {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                let answer = http::Response::<_>::from(answer).map(|body| ResponseBody::new(body, in_flight));
                Ok::<_, Infallible>(answer)
            }
        });
        let io = TokioIo::new(TimedIo::new(stream, state.clone()));
        let mut connection = pin!(self.http.serve_connection(io, service));
        let mut overdue = pin!(state.overdue());
        let mut closing = false;
        loop {
            tokio::select! {
                // The connection comes first: its reads and writes move the deadline.
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        if let Some(status) = self.counts.refused(error.as_ref()) {
                            tracing::info!(%peer, status, "answered a request that is malformed");
                        } else {
                            tracing::debug!(%peer, error, "connection failed");
                        }
                    }
                    return;
                }
                () = stopped(self.stopped.clone()), if !closing => {
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                }
                () = eviction.notified() => {
                    if state.is_evictable() {
                        return tracing::debug!(%peer, "connection evicted at the limit");
                    }
                }
                passed = overdue.as_mut() => {
                    if closing || passed != Overdue::Idle {
                        tracing::debug!(%peer, deadline = ?passed, "connection closed at its deadline");
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    closing = true;
                    state.prolong();
                    overdue.set(state.overdue());
                }
            }
        }
    }
}

/// Resolves when the service must stop.
async fn stopped(mut stopped: watch::Receiver<()>) {
    // Nothing is ever sent; the error means that the sender was dropped.
    while stopped.changed().await.is_ok() {}
}

/// The IPv4 address of an IPv4 peer on a dual-stack socket, so that it matches lists of IPv4 networks.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// HTTP/1.1 and HTTP/2, distinguished by their first bytes. Upgrades are not offered.
fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // `ConnectionState` has its own deadline for headers.
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
