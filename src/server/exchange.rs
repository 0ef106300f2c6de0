//! What happens on one connection, and until when something must happen next.
//!
//! hyper's own header timer runs from the end of one request to the end of the next header, so one duration would
//! have to do for two things: ten seconds would cut the idle connections of every proxy that keeps some in hand, a
//! minute would be generous to a peer that trickles its header. And it knows nothing of HTTP/2.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Frame, SizeHint};
use poem::http::Version;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::Deadlines;

/// The state of one connection, shared by its bytes ([`Wire`]), its requests ([`InFlight`]) and its deadline.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    state: Arc<Mutex<State>>,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct State {
    /// Since when a header is owed: the opening, or the first byte of a later request over HTTP/1.
    header_since: Option<Instant>,
    /// When a request last began or ended, or a part of an answer was last written.
    moved: Instant,
    in_flight: usize,
    /// Whether HTTP/2 is spoken, where bytes between requests (a PING, a window) announce no header.
    multiplexed: bool,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// A header was begun, or never begun on a fresh connection, and is not whole.
    Header,
    /// Nothing has moved.
    Idle,
}

impl Exchange {
    /// A connection that opened just now.
    pub(super) fn open(deadlines: Deadlines) -> Self {
        let now = Instant::now();
        let state = State { header_since: Some(now), moved: now, in_flight: 0, multiplexed: false };
        Self { state: Arc::new(Mutex::new(state)), deadlines }
    }

    /// A request's header is whole; the request is in flight until the value is dropped.
    pub(super) fn begin(&self, version: Version) -> InFlight {
        let mut state = self.state();
        state.header_since = None;
        state.moved = Instant::now();
        state.in_flight += 1;
        state.multiplexed = version == Version::HTTP_2;
        InFlight(self.clone())
    }

    /// Allows another idle period, to a connection that has just been asked to close.
    pub(super) fn prolong(&self) {
        self.state().moved = Instant::now();
    }

    /// Resolves when a deadline has passed.
    pub(super) async fn overdue(&self) -> Overdue {
        let mut alarm = pin!(sleep_until(self.deadline().0));
        poll_fn(|context| self.poll_overdue(alarm.as_mut(), context)).await
    }

    fn poll_overdue(&self, mut alarm: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let (deadline, what) = self.deadline();
            // A later deadline may wait until the alarm has rung; resetting it with each byte would cost more.
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(context));
            if deadline <= Instant::now() {
                return Poll::Ready(what);
            }
            alarm.as_mut().reset(deadline);
        }
    }

    fn deadline(&self) -> (Instant, Overdue) {
        let state = self.state();
        match state.header_since {
            Some(since) => (since + self.deadlines.header, Overdue::Header),
            None => (state.moved + self.deadlines.idle, Overdue::Idle),
        }
    }

    fn read(&self) {
        let mut state = self.state();
        if state.in_flight == 0 && !state.multiplexed {
            state.header_since.get_or_insert_with(Instant::now);
        }
    }

    fn wrote(&self) {
        let mut state = self.state();
        // Over HTTP/2 our own PINGs are written too, and would keep a silent connection alive.
        if !state.multiplexed {
            state.moved = Instant::now();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a plain assignment, so that a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request from its header to the last byte of its answer, or to its end without one.
#[derive(Debug)]
pub(super) struct InFlight(Exchange);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        state.moved = Instant::now();
    }
}

/// The body of an answer; its request is in flight as long as it lives.
#[derive(Debug)]
pub(super) struct AnswerBody<B> {
    body: B,
    _in_flight: InFlight,
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B, in_flight: InFlight) -> Self {
        Self { body, _in_flight: in_flight }
    }
}

impl<B: Body + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of a connection (inside TLS, where there is TLS), told to its [`Exchange`] as they pass.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    exchange: Exchange,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, exchange: Exchange) -> Self {
        Self { stream, exchange }
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.exchange.wrote();
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.exchange.read();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
