//! Where the time comes in.

use std::{
    fmt::Debug,
    time::{Duration, SystemTime},
};

/// Tells the time. A verifier asks it about tokens and about its copies alike, so that a test which moves one clock
/// sees both grow old.
pub trait Clock: Send + Sync + Debug {
    /// The present.
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

/// `time` as claims write it (RFC 7519 §2, `NumericDate`), in whole seconds; 1970 for whatever is before.
pub(crate) fn numeric_date(time: SystemTime) -> i64 {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// The time that a claim names. `None` where this machine cannot say it.
pub(crate) fn time_of(numeric_date: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(numeric_date).ok()?))
}
