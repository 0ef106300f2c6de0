//! The counters of a listener.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The counts of one listener. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    open: AtomicU64,
    malformed: AtomicU64,
    too_large: AtomicU64,
}

/// An open connection. Dropping it ends the count.
#[derive(Debug)]
pub(super) struct Open(Counts);

impl Counts {
    /// The open connections; the requests that were refused as malformed (400), and for the size of their head (431).
    #[must_use]
    pub fn read(&self) -> [u64; 3] {
        let Inner { open, malformed, too_large } = &*self.0;
        [open, malformed, too_large].map(|count| count.load(Ordering::Relaxed))
    }

    pub(super) fn open(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// Counts the request that ended a connection with this error, if it got an answer that no endpoint gave. Returns
    /// its status.
    pub(super) fn refused(&self, error: &(dyn std::error::Error + 'static)) -> Option<u16> {
        let error = error.downcast_ref::<hyper::Error>()?;
        if error.is_parse_too_large() {
            self.0.too_large.fetch_add(1, Ordering::Relaxed);
            return Some(431);
        }
        error.is_parse().then(|| {
            self.0.malformed.fetch_add(1, Ordering::Relaxed);
            400
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
