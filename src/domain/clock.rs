//! The source of time.

use std::time::Instant;

use chrono::{DateTime, SubsecRound, Utc};

/// A source of time. The service asks it once per request; tests use one that they advance.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present, in whole microseconds. Both databases can store these, so a stored time equals the given one.
    fn now(&self) -> DateTime<Utc>;

    /// A monotonic reading, to measure elapsed time in this process: [`Self::now`] goes back when the machine's clock is
    /// set back.
    fn instant(&self) -> Instant;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else uses")]
        Utc::now().trunc_subsecs(6)
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}
