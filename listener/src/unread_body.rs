//! The rest of a request's body, which the answer did not wait for.
//!
//! A handler may answer from the header alone (401, 413, 429) and leave the body unread. Over HTTP/1 the next request of
//! the connection begins behind that body. A client that goes on sending into a closed connection sees a reset, perhaps
//! before it has read the answer; a proxy answers 502. So a small rest is read here before the answer goes out, and
//! otherwise the answer says that the connection closes (RFC 9112 §9.3).

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use poem::{
    http::{HeaderMap, header},
    web::headers::HeaderMapExt as _,
};
use tokio::time::timeout;

use super::connection_state::RequestBody;

/// The most bytes of a rest that are read: no route reads a longer body.
const MAX_REST: usize = 64 * 1024;
/// How long a rest may take to arrive. The answer waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A body that its handler reads, as far as it wants to.
pub(super) struct SharedBody<S>(Arc<Mutex<Progress<S>>>);

/// The same body once its handler has answered.
pub(super) struct UnreadBody<S> {
    body: Arc<Mutex<Progress<S>>>,
    /// The client sends nothing before it is told to, and reading tells it (RFC 9110 §10.1.1).
    waits: bool,
    /// The length that the header states.
    length: Option<u64>,
}

struct Progress<S> {
    body: RequestBody<S>,
    begun: bool,
    ended: bool,
}

/// Splits `body` into the handler's half and ours.
pub(super) fn share<S>(body: RequestBody<S>, headers: &HeaderMap) -> (SharedBody<S>, UnreadBody<S>) {
    let body = Arc::new(Mutex::new(Progress { body, begun: false, ended: false }));
    let expects = headers.get(header::EXPECT).is_some();
    let length = headers.typed_get::<poem::web::headers::ContentLength>().map(|length| length.0);
    (SharedBody(Arc::clone(&body)), UnreadBody { body, waits: expects, length })
}

fn lock<S>(body: &Mutex<Progress<S>>) -> MutexGuard<'_, Progress<S>> {
    // A stream that panicked is not read again: the connection fails with it.
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Stream + Unpin> Stream for SharedBody<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        lock(&self.0).poll(context)
    }
}

impl<S> Drop for SharedBody<S> {
    fn drop(&mut self) {
        // The handler waits for it no longer.
        lock(&self.0).body.stop_waiting();
    }
}

impl<S: Stream + Unpin> Progress<S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.begun = true;
        let polled = Pin::new(&mut self.body).poll_next(context);
        self.ended |= matches!(polled, Poll::Ready(None));
        polled
    }
}

impl<S, B, E> UnreadBody<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: AsRef<[u8]>,
{
    /// Reads the rest of a small body. Returns whether the connection can be used again: the body is at its end.
    pub(super) async fn finish(self) -> bool {
        let (begun, ended) = {
            let body = lock(&self.body);
            (body.begun, body.ended)
        };
        if ended {
            return true;
        }
        if (self.waits && !begun) || self.length.is_some_and(|length| length > MAX_REST as u64) {
            return false;
        }
        timeout(PATIENCE, self.read()).await.unwrap_or(false)
    }

    async fn read(&self) -> bool {
        let mut left = MAX_REST;
        loop {
            match poll_fn(|context| lock(&self.body).poll(context)).await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(bytes)) => match left.checked_sub(bytes.as_ref().len()) {
                    Some(rest) => left = rest,
                    None => return false,
                },
            }
        }
    }
}
