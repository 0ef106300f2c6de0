//! What happens on one connection, and until when something must happen next.
//!
//! hyper's own header timer runs from the end of one request to the end of the next header, so one duration would
//! have to do for two things: ten seconds would cut the idle connections of every proxy that keeps some in hand, a
//! minute would be generous to a peer that trickles its header. And it knows nothing of HTTP/2.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};
use poem::http::Version;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Deadlines,
    connection_table::{ConnectionHandle, EvictionClass},
};

/// The state of one connection, shared by its bytes ([`TimedIo`]), its requests ([`InFlight`]) and its deadline.
#[derive(Clone, Debug)]
pub(super) struct ConnectionState {
    state: Arc<Mutex<State>>,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct State {
    handle: ConnectionHandle,
    /// Since when a header is owed: the opening, or the first byte of a later request over HTTP/1.
    header_since: Option<Instant>,
    /// When a request last began or ended, or a part of an answer was last written.
    moved: Instant,
    /// Since when the peer has taken nothing of what we have for it.
    stalled_since: Option<Instant>,
    /// Requests that are not answered yet.
    unanswered: usize,
    /// Those of them that wait for more of their bodies.
    arriving: usize,
    /// The answers that have not left us to their end, by number: since when. The first is the oldest.
    taking: BTreeMap<u64, Instant>,
    /// Those of them that wait for the next flush alone: hyper lets go of a body before its last bytes are written.
    ended: Vec<u64>,
    answers: u64,
    /// The answer that made the connection a slow one, until its end.
    slow: Option<u64>,
    /// Whether an answer has come to its end.
    proven: bool,
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
    /// The peer takes nothing of what was written.
    Stalled,
    /// An answer is not taken to its end, however much else moves.
    Answer,
}

impl ConnectionState {
    /// A connection that is about to send its first request.
    pub(super) fn open(deadlines: Deadlines, handle: ConnectionHandle) -> Self {
        let now = Instant::now();
        let state = State {
            handle,
            header_since: Some(now),
            moved: now,
            stalled_since: None,
            unanswered: 0,
            arriving: 0,
            taking: BTreeMap::new(),
            ended: Vec::new(),
            answers: 0,
            slow: None,
            proven: false,
            multiplexed: false,
        };
        Self { state: Arc::new(Mutex::new(state)), deadlines }
    }

    /// A request's header is whole; the request is in flight until the value is dropped.
    pub(super) fn begin(&self, version: Version) -> InFlight {
        let mut state = self.state();
        state.header_since = None;
        state.moved = Instant::now();
        state.unanswered += 1;
        state.multiplexed = version == Version::HTTP_2;
        state.classify();
        InFlight { exchange: self.clone(), answer: None }
    }

    /// Whether the connection waits for its peer, and may be closed to make room for another.
    pub(super) fn is_evictable(&self) -> bool {
        self.state().handle.is_evictable()
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
                match what {
                    Some(what) => return Poll::Ready(what),
                    None => self.state().mark_slow(),
                }
            }
            alarm.as_mut().reset(self.deadline().0);
        }
    }

    /// The next deadline, and what is overdue then; `None`: nothing, but the connection counts as slow.
    fn deadline(&self) -> (Instant, Option<Overdue>) {
        let state = self.state();
        let mut next = match state.header_since {
            Some(since) => (since + self.deadlines.header, Some(Overdue::Header)),
            None => (state.moved + self.deadlines.idle, Some(Overdue::Idle)),
        };
        let mut sooner = |since: Instant, allowed: Duration, what| {
            if since + allowed < next.0 {
                next = (since + allowed, what);
            }
        };
        if let Some(since) = state.stalled_since {
            sooner(since, self.deadlines.stall, Some(Overdue::Stalled));
        }
        if let Some((number, since)) = state.taking.first_key_value() {
            sooner(*since, self.deadlines.answer, Some(Overdue::Answer));
            if state.slow != Some(*number) {
                sooner(*since, self.deadlines.slow, None);
            }
        }
        next
    }

    fn read(&self) {
        let mut state = self.state();
        if state.unanswered == 0 && state.taking.is_empty() && !state.multiplexed {
            state.header_since.get_or_insert_with(Instant::now);
        }
    }

    fn wrote(&self) {
        let mut state = self.state();
        state.stalled_since = None;
        // Over HTTP/2 our own PINGs are written too, and would keep a silent connection alive.
        if !state.multiplexed {
            state.moved = Instant::now();
        }
    }

    fn stalls(&self) {
        self.state().stalled_since.get_or_insert_with(Instant::now);
    }

    fn flushed(&self) {
        let mut state = self.state();
        state.stalled_since = None;
        if state.ended.is_empty() {
            return;
        }
        for number in std::mem::take(&mut state.ended) {
            state.taking.remove(&number);
            state.slow = state.slow.filter(|slow| *slow != number);
        }
        state.proven = true;
        state.handle.touch();
        state.classify();
    }

    /// A request waits for more of its body, or no longer does.
    fn awaits(&self, waiting: bool) {
        let mut state = self.state();
        if waiting {
            state.arriving += 1;
        } else {
            state.arriving -= 1;
        }
        state.classify();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a plain assignment, so that a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the place on the roster that follows from all else.
    fn classify(&mut self) {
        let class = if self.unanswered > self.arriving {
            None
        } else if !self.taking.is_empty() {
            self.slow.map(|_| EvictionClass::Slow)
        } else if self.proven {
            Some(EvictionClass::Idle)
        } else {
            Some(EvictionClass::Unproven)
        };
        self.handle.classify(class);
    }

    fn mark_slow(&mut self) {
        self.slow = self.taking.first_key_value().map(|(number, _)| *number);
        self.classify();
    }
}

/// A request from its header to the last byte of its answer, or to its end without one.
#[derive(Debug)]
pub(super) struct InFlight {
    exchange: ConnectionState,
    answer: Option<u64>,
}

impl InFlight {
    /// The answer is there; from now on it is the peer that takes its time.
    pub(super) fn answered(&mut self) {
        let mut state = self.exchange.state();
        state.unanswered -= 1;
        state.answers += 1;
        let number = state.answers;
        state.taking.insert(number, Instant::now());
        state.classify();
        self.answer = Some(number);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.exchange.state();
        match self.answer {
            None => state.unanswered -= 1,
            Some(number) => state.ended.push(number),
        }
        state.moved = Instant::now();
        state.classify();
    }
}

/// The body of a request. While more of it is awaited, the request is not whole.
#[derive(Debug)]
pub(super) struct AskedBody<S> {
    body: S,
    exchange: ConnectionState,
    waiting: bool,
}

impl<S> AskedBody<S> {
    pub(super) fn new(body: S, exchange: ConnectionState) -> Self {
        Self { body, exchange, waiting: false }
    }

    fn waits(&mut self, waiting: bool) {
        if waiting != self.waiting {
            self.waiting = waiting;
            self.exchange.awaits(waiting);
        }
    }
}

impl<S: Stream + Unpin> Stream for AskedBody<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        self.waits(polled.is_pending());
        polled
    }
}

impl<S> Drop for AskedBody<S> {
    fn drop(&mut self) {
        self.waits(false);
    }
}

/// The body of an answer; its request is in flight as long as it lives.
#[derive(Debug)]
pub(super) struct AnswerBody<B> {
    body: B,
    _in_flight: InFlight,
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B, mut in_flight: InFlight) -> Self {
        in_flight.answered();
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

/// The bytes of a connection (inside TLS, where there is TLS), told to its [`ConnectionState`] as they pass.
#[derive(Debug)]
pub(super) struct TimedIo<S> {
    stream: S,
    exchange: ConnectionState,
}

impl<S> TimedIo<S> {
    pub(super) fn new(stream: S, exchange: ConnectionState) -> Self {
        Self { stream, exchange }
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(1..)) => self.exchange.wrote(),
            Poll::Pending => self.exchange.stalls(),
            Poll::Ready(_) => {}
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
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
        let result = Pin::new(&mut self.stream).poll_flush(context);
        // TLS takes more than it has sent, and sends the rest here.
        if result.is_pending() {
            self.exchange.stalls();
        } else {
            self.exchange.flushed();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
