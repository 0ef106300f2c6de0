//! A clock that a story moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use signet::testing::{Clock, SystemClock};

/// Starts at the present and stands still until it is moved. Clones are the same clock.
#[derive(Debug, Clone)]
pub(crate) struct StoryClock {
    /// Microseconds since 1970.
    shown: Arc<AtomicI64>,
    /// Microseconds that have passed since `begin`.
    passed: Arc<AtomicU64>,
    begin: Instant,
}

impl StoryClock {
    /// A clock that shows the present.
    pub(crate) fn at_present() -> Self {
        let shown = Arc::new(AtomicI64::new(SystemClock.now().timestamp_micros()));
        Self { shown, passed: Arc::default(), begin: SystemClock.instant() }
    }

    /// Lets `time` pass.
    pub(crate) fn advance(&self, time: TimeDelta) {
        let micros = time.num_microseconds().expect("stories are not that long");
        self.shown.fetch_add(micros, Ordering::SeqCst);
        self.passed.fetch_add(micros.try_into().expect("time does not run backwards"), Ordering::SeqCst);
    }

    /// Sets the wall clock back. The monotonic clock does not move.
    pub(crate) fn is_set_back(&self, time: TimeDelta) {
        self.shown.fetch_sub(time.num_microseconds().expect("stories are not that long"), Ordering::SeqCst);
    }
}

impl Clock for StoryClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.shown.load(Ordering::SeqCst)).expect("stories are not that long")
    }

    fn instant(&self) -> Instant {
        self.begin + Duration::from_micros(self.passed.load(Ordering::SeqCst))
    }
}

pub(crate) fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

pub(crate) fn days(count: i64) -> TimeDelta {
    TimeDelta::days(count)
}
