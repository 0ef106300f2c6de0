//! Where the time comes in.

use std::time::Instant;

use chrono::{DateTime, SubsecRound, Utc};

/// Tells the time. The service holds one of these and asks it once a request; tests hold one that they move.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present, in whole microseconds: what both databases can keep, so that a stored time equals the one given.
    fn now(&self) -> DateTime<Utc>;

    /// A reading that only ever grows, to measure time with that has passed in this process: [`Self::now`] goes back
    /// when somebody sets the machine's clock.
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
