//! The clock of a verifier.

use std::{
    fmt::Debug,
    time::{Duration, SystemTime},
};

/// A source of the current time. The verifier uses it for tokens and for cached documents, so that a test can make both
/// expire with one clock.
pub trait Clock: Send + Sync + Debug {
    /// The current time.
    fn now(&self) -> SystemTime;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else uses")]
        SystemTime::now()
    }
}

/// `time` as a `NumericDate` (RFC 7519 §2), in whole seconds; times before 1970 become 0.
pub(crate) fn numeric_date(time: SystemTime) -> i64 {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// The time of a `NumericDate`. `None` if this machine cannot represent it.
pub(crate) fn time_of(numeric_date: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(numeric_date).ok()?))
}
