//! Retry schedules.

use chrono::{DateTime, TimeDelta, Utc};

/// A wait that doubles after each failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: TimeDelta,
    /// The longest wait.
    pub longest: TimeDelta,
    /// How long attempts go on, counted from when the job was stored.
    pub tried_for: TimeDelta,
}

impl Backoff {
    /// The time of the next attempt after failure number `attempts`, counted from 1; `None` if the job is given up.
    ///
    /// `chance` takes up to half of the wait away, so that jobs that failed together are not all retried at one moment.
    #[must_use]
    pub fn next_attempt(
        &self,
        written_at: DateTime<Utc>,
        now: DateTime<Utc>,
        attempts: u32,
        chance: u16,
    ) -> Option<DateTime<Utc>> {
        let doublings = attempts.saturating_sub(1).min(16);
        let whole = (self.first * 2_i32.pow(doublings)).min(self.longest);
        let less = whole.num_milliseconds() / 2 * i64::from(chance) / i64::from(u16::MAX);
        let next = now + whole - TimeDelta::milliseconds(less);
        (next < written_at + self.tried_for).then_some(next)
    }
}
