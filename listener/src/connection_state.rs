//! The state of one connection: its next deadline, and its [`EvictionClass`].
//!
//! hyper's own header timer runs from the end of one request to the end of the next header, so one duration would
//! bound two things. Ten seconds would close the idle connections that proxies keep; a minute is too long for a header
//! that is sent byte by byte. The timer also does not exist for HTTP/2.
//!
//! The eviction class answers the threat that [`super::connection_table`] states: deadlines alone let one network hold
//! every connection.

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
    connection_table::{ConnectionHandle, EvictionClass},
    deadlines::Deadlines,
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
    /// The start of the header that is incomplete: the opening, or the first byte of a later request over HTTP/1.
    header_since: Option<Instant>,
    /// When a request last began or ended, or a part of an answer was last written.
    progressed: Instant,
    /// When the peer stopped to read what is written to it.
    stalled_since: Option<Instant>,
    /// Requests that are not answered yet.
    unanswered: usize,
    /// The unanswered requests that wait for more of their bodies.
    awaiting_body: usize,
    /// The answers that are not yet sent whole, by number, with their start. The first is the oldest.
    sending: BTreeMap<u64, Instant>,
    /// The answers that only wait for the next flush: hyper drops a body before its last bytes are written.
    unflushed: Vec<u64>,
    /// How many answers were begun; the number of the newest.
    answers: u64,
    /// The answer that made the connection [`EvictionClass::Slow`], until its end.
    slow: Option<u64>,
    /// Whether an answer was sent whole.
    proven: bool,
    /// Whether the connection is HTTP/2, where bytes between requests (a PING, a window) announce no header.
    multiplexed: bool,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// A header is incomplete, or no byte of the first one has come.
    Header,
    /// No request began or ended, and no answer was written.
    Idle,
    /// The peer reads nothing of what was written.
    Stalled,
    /// An answer is not read to its end, however much else is.
    Answer,
}

impl ConnectionState {
    /// A connection that is about to send its first request.
    pub(super) fn open(deadlines: Deadlines, handle: ConnectionHandle) -> Self {
        let now = Instant::now();
        let state = State {
            handle,
            header_since: Some(now),
            progressed: now,
            stalled_since: None,
            unanswered: 0,
            awaiting_body: 0,
            sending: BTreeMap::new(),
            unflushed: Vec::new(),
            answers: 0,
            slow: None,
            proven: false,
            multiplexed: false,
        };
        Self { state: Arc::new(Mutex::new(state)), deadlines }
    }

    /// Records that a request's header is complete. The request is in flight until the value is dropped.
    pub(super) fn begin(&self, version: Version) -> InFlight {
        let mut state = self.state();
        state.header_since = None;
        state.progressed = Instant::now();
        state.unanswered += 1;
        state.multiplexed = version == Version::HTTP_2;
        state.classify();
        InFlight { connection: self.clone(), answer: None }
    }

    /// Whether the connection waits for its peer and may be evicted.
    pub(super) fn is_evictable(&self) -> bool {
        self.state().handle.is_evictable()
    }

    /// Starts another idle period, for a connection that has just begun a graceful shutdown.
    pub(super) fn prolong(&self) {
        self.state().progressed = Instant::now();
    }

    /// Resolves when a deadline has passed.
    pub(super) async fn overdue(&self) -> Overdue {
        let mut alarm = pin!(sleep_until(self.deadline().0));
        poll_fn(|context| self.poll_overdue(alarm.as_mut(), context)).await
    }

    fn poll_overdue(&self, mut alarm: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let (deadline, overdue) = self.deadline();
            // A later deadline is set once the alarm has rung: resetting it with each byte would cost more.
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(context));
            if deadline <= Instant::now() {
                match overdue {
                    Some(overdue) => return Poll::Ready(overdue),
                    None => self.state().mark_slow(),
                }
            }
            alarm.as_mut().reset(self.deadline().0);
        }
    }

    /// The next deadline, and which one it is. `None` means that the connection counts as slow from then on.
    fn deadline(&self) -> (Instant, Option<Overdue>) {
        let state = self.state();
        let mut next = match state.header_since {
            Some(since) => (since + self.deadlines.header, Some(Overdue::Header)),
            None => (state.progressed + self.deadlines.idle, Some(Overdue::Idle)),
        };
        let mut sooner = |since: Instant, allowed: Duration, overdue| {
            if since + allowed < next.0 {
                next = (since + allowed, overdue);
            }
        };
        if let Some(since) = state.stalled_since {
            sooner(since, self.deadlines.stall, Some(Overdue::Stalled));
        }
        if let Some((number, since)) = state.sending.first_key_value() {
            sooner(*since, self.deadlines.answer, Some(Overdue::Answer));
            if state.slow != Some(*number) {
                sooner(*since, self.deadlines.slow, None);
            }
        }
        next
    }

    fn read(&self) {
        let mut state = self.state();
        if state.unanswered == 0 && state.sending.is_empty() && !state.multiplexed {
            state.header_since.get_or_insert_with(Instant::now);
        }
    }

    fn wrote(&self) {
        let mut state = self.state();
        state.stalled_since = None;
        // Over HTTP/2 our own PINGs are written too, and would keep an idle connection open.
        if !state.multiplexed {
            state.progressed = Instant::now();
        }
    }

    fn stalled(&self) {
        self.state().stalled_since.get_or_insert_with(Instant::now);
    }

    fn flushed(&self) {
        let mut state = self.state();
        state.stalled_since = None;
        if state.unflushed.is_empty() {
            return;
        }
        for number in std::mem::take(&mut state.unflushed) {
            state.sending.remove(&number);
            state.slow = state.slow.filter(|slow| *slow != number);
        }
        state.proven = true;
        state.handle.touch();
        state.classify();
    }

    /// Records that a request waits for more of its body, or no longer does.
    fn set_awaiting_body(&self, waiting: bool) {
        let mut state = self.state();
        if waiting {
            state.awaiting_body += 1;
        } else {
            state.awaiting_body -= 1;
        }
        state.classify();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is a plain assignment, so a panic elsewhere leaves no half-made change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sets the eviction class that follows from the other fields.
    fn classify(&mut self) {
        let class = if self.unanswered > self.awaiting_body {
            None
        } else if !self.sending.is_empty() {
            self.slow.map(|_| EvictionClass::Slow)
        } else if self.proven {
            Some(EvictionClass::Idle)
        } else {
            Some(EvictionClass::Unproven)
        };
        self.handle.classify(class);
    }

    fn mark_slow(&mut self) {
        self.slow = self.sending.first_key_value().map(|(number, _)| *number);
        self.classify();
    }
}

/// A request, from its header to the last byte of its answer or to its end without one.
#[derive(Debug)]
pub(super) struct InFlight {
    connection: ConnectionState,
    answer: Option<u64>,
}

impl InFlight {
    /// Records that the answer is ready. From now on the connection waits for its peer.
    pub(super) fn answered(&mut self) {
        let mut state = self.connection.state();
        state.unanswered -= 1;
        state.answers += 1;
        let number = state.answers;
        state.sending.insert(number, Instant::now());
        state.classify();
        self.answer = Some(number);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        match self.answer {
            None => state.unanswered -= 1,
            Some(number) => state.unflushed.push(number),
        }
        state.progressed = Instant::now();
        state.classify();
    }
}

/// The body of a request. While it waits for more bytes, the connection waits for its peer.
#[derive(Debug)]
pub(super) struct RequestBody<S> {
    body: S,
    connection: ConnectionState,
    waiting: bool,
}

impl<S> RequestBody<S> {
    pub(super) fn new(body: S, connection: ConnectionState) -> Self {
        Self { body, connection, waiting: false }
    }

    /// Nobody waits for more of the body at present.
    pub(super) fn stop_waiting(&mut self) {
        self.set_waiting(false);
    }

    fn set_waiting(&mut self, waiting: bool) {
        if waiting != self.waiting {
            self.waiting = waiting;
            self.connection.set_awaiting_body(waiting);
        }
    }
}

impl<S: Stream + Unpin> Stream for RequestBody<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        self.set_waiting(polled.is_pending());
        polled
    }
}

impl<S> Drop for RequestBody<S> {
    fn drop(&mut self) {
        self.set_waiting(false);
    }
}

/// The body of an answer. Its request is in flight until it is dropped.
#[derive(Debug)]
pub(super) struct ResponseBody<B> {
    body: B,
    _in_flight: InFlight,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(body: B, mut in_flight: InFlight) -> Self {
        in_flight.answered();
        Self { body, _in_flight: in_flight }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
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

/// A stream (inside TLS, where there is TLS) that reports its reads and writes to its [`ConnectionState`].
#[derive(Debug)]
pub(super) struct TimedIo<S> {
    stream: S,
    connection: ConnectionState,
}

impl<S> TimedIo<S> {
    pub(super) fn new(stream: S, connection: ConnectionState) -> Self {
        Self { stream, connection }
    }

    fn written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(1..)) => self.connection.wrote(),
            Poll::Pending => self.connection.stalled(),
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
            self.connection.read();
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
        // TLS accepts more bytes than it has sent, and sends the rest here.
        if result.is_pending() {
            self.connection.stalled();
        } else {
            self.connection.flushed();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
