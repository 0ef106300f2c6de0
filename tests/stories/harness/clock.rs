//! A clock that a story moves.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use signet::domain::clock::{Clock, SystemClock};

/// Starts at the present and stands still until it is moved. Clones are the same clock.
#[derive(Debug, Clone)]
pub(crate) struct StoryClock(Arc<AtomicI64>);

impl StoryClock {
    /// A clock that shows the present.
    pub(crate) fn at_present() -> Self {
        Self(Arc::new(AtomicI64::new(SystemClock.now().timestamp_micros())))
    }

    /// Lets `time` pass.
    pub(crate) fn advance(&self, time: TimeDelta) {
        self.0.fetch_add(time.num_microseconds().expect("stories are not that long"), Ordering::SeqCst);
    }
}

impl Clock for StoryClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).expect("stories are not that long")
    }
}

/// So many seconds.
pub(crate) fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

/// So many days.
pub(crate) fn days(count: i64) -> TimeDelta {
    TimeDelta::days(count)
}
