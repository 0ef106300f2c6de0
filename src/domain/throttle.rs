//! Failed passwords delay the next attempts.
//!
//! Every attempt is counted before its password is hashed, so that parallel attempts gain nothing. The attempt is taken
//! off again if the password was right, or if an error of the service kept it from being evaluated.
//!
//! Several counters bound the same attempts. The smallest belongs to one login identifier and one client network: it
//! refuses a single source by itself. Two more count over all networks, one for the identifier, whether or not an
//! account has it, and one for the account. Only an attack from many networks reaches these.

use chrono::{DateTime, TimeDelta, Utc};

/// The most failures in a row that are evaluated before an account is locked (NIST SP 800-63B-4 §3.2.2).
pub const MOST_FAILURES: i32 = 100;
/// How long the account stays locked. Without an attempt for as long, its failures are forgotten.
pub const REST: TimeDelta = TimeDelta::days(30);
/// The longest wait for the next attempt before the lock.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(1);
/// How long the failures of one network at one identifier are counted together.
const DAY: TimeDelta = TimeDelta::days(1);
/// How many networks may use up their attempts before the counters over all networks refuse.
const NETWORKS: u32 = 10;
/// The most failures over all networks without a wait. The waits up to [`MOST_FAILURES`] last more than a day together,
/// so that no attack locks an account within minutes.
const MOST_FREE: u32 = 90;
/// How far the clocks of two replicas may differ.
pub const SKEW: TimeDelta = TimeDelta::seconds(30);

/// The key of a counter: an HMAC, so that the database does not reveal the identifiers that users typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleKey(pub [u8; 32]);

/// The rule of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counting {
    /// An identifier, over all networks: a number of attempts within a time, by the generic cell rate algorithm (ITU-T
    /// I.371). A right password takes off its own attempt alone: otherwise a stranger could see when an account's owner
    /// logs in by email address.
    Rate,
    /// One device or session of an account: failures in a row, with growing waits. A right password ends the row.
    Row,
    /// An identifier from one network: failures of a day, with growing waits. A right password takes off its own
    /// attempt alone, for the same reason as in [`Counting::Rate`].
    Source,
    /// An account, over all networks: failures in a row, with growing waits. A right password ends the row.
    Account,
    /// An identifier that no account has: as [`Counting::Account`], but forgotten after a day. There is no password to
    /// guess, and rows that strangers create must not stay.
    Nobody,
}

impl Counting {
    pub const ALL: [Self; 5] = [Self::Rate, Self::Row, Self::Source, Self::Account, Self::Nobody];

    /// Whether the counter is forgotten a day after its first failure, unless a wait is longer.
    #[must_use]
    pub fn lasts_a_day(self) -> bool {
        matches!(self, Self::Source | Self::Nobody)
    }

    /// Whether a right password sets the counter to zero.
    #[must_use]
    pub fn ends_with_a_right_password(self) -> bool {
        matches!(self, Self::Row | Self::Account)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    pub key: ThrottleKey,
    pub counting: Counting,
}

/// The state of a counter. Times are in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleState {
    /// Attempts that failed or are being evaluated.
    pub failures: i32,
    /// When the next attempt may come.
    pub free_at: DateTime<Utc>,
    /// When the counter is forgotten.
    pub forget_at: DateTime<Utc>,
}

/// How many failures are free, and how fast further attempts become available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleRule {
    count: i32,
    step: TimeDelta,
}

impl ThrottleRule {
    /// `count` failures within `per`. An attempt becomes free every `per / count`, at least a millisecond.
    #[must_use]
    pub fn new(count: u32, per: TimeDelta) -> Self {
        let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
        Self { count, step: (per / count).max(TimeDelta::milliseconds(1)) }
    }

    /// The time after which an attempt becomes free again.
    #[must_use]
    pub fn step(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.step.num_milliseconds())
    }

    /// How far the [`Counting::Rate`] may run ahead: all attempts but one.
    #[must_use]
    pub fn burst(&self) -> TimeDelta {
        self.step() * (self.count - 1)
    }

    /// The wait after this many failures. The first ones are free; then the wait doubles each time, up to a day. From
    /// [`MOST_FAILURES`] on the account is locked, independent of the configuration.
    #[must_use]
    pub fn wait(&self, failures: i32) -> TimeDelta {
        if failures >= MOST_FAILURES {
            return REST;
        }
        let Some(doublings) = failures.checked_sub(self.count).and_then(|beyond| u32::try_from(beyond).ok()) else {
            return TimeDelta::zero();
        };
        let factor = 2_i32.checked_pow(doublings);
        factor.and_then(|factor| self.step().checked_mul(factor)).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
    }
}

/// The rules of all counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleRules {
    /// The rule for one network, device or session.
    one: ThrottleRule,
    /// The rule for an identifier or account, over all networks.
    all: ThrottleRule,
}

impl ThrottleRules {
    /// `count` failures within `per` from one network, and ten times as many from all of them, at most 90.
    #[must_use]
    pub fn new(count: u32, per: TimeDelta) -> Self {
        let one = ThrottleRule::new(count, per);
        let free = count.saturating_mul(NETWORKS).clamp(1, MOST_FREE);
        // An attempt becomes free as fast as for one network: no attack from few networks keeps the others waiting.
        Self { one, all: ThrottleRule { count: i32::try_from(free).unwrap_or(i32::MAX), step: one.step } }
    }

    /// The rule of a counter.
    #[must_use]
    pub fn of(&self, counting: Counting) -> &ThrottleRule {
        match counting {
            Counting::Row | Counting::Source => &self.one,
            Counting::Rate | Counting::Account | Counting::Nobody => &self.all,
        }
    }

    /// The furthest that `free_at` can be in the future. A counter with a later time was written before the clock was
    /// set back, and refuses nothing.
    #[must_use]
    pub fn longest(&self, counting: Counting, failures: i32) -> TimeDelta {
        match counting {
            Counting::Rate => self.all.step() + SKEW,
            _ => self.of(counting).wait(failures) + SKEW,
        }
    }

    /// Whether an attempt must wait at `now`.
    #[must_use]
    pub fn must_wait(&self, counting: Counting, standing: ThrottleState, now: DateTime<Utc>) -> bool {
        let ThrottleState { failures, free_at, forget_at } = standing;
        forget_at > now && free_at > now && free_at <= now + self.longest(counting, failures)
    }

    /// Counts an attempt at `now`. `None` if the attempt must wait until [`ThrottleState::free_at`]: then it is not
    /// evaluated and does not count, so that an owner who waits can log in while a stranger goes on trying.
    #[must_use]
    pub fn attempt(
        &self,
        counting: Counting,
        standing: Option<ThrottleState>,
        now: DateTime<Utc>,
    ) -> Option<ThrottleState> {
        let standing = standing.filter(|standing| standing.forget_at > now);
        if standing.is_some_and(|standing| self.must_wait(counting, standing, now)) {
            return None;
        }
        let failures = standing.map_or(0, |standing| standing.failures) + 1;
        let rule = self.of(counting);
        if counting == Counting::Rate {
            let behind = now - rule.burst();
            // Later than now only where the clock was set back.
            let before = standing.map_or(behind, |standing| standing.free_at.clamp(behind, now));
            let free_at = before + rule.step();
            return Some(ThrottleState { failures, free_at, forget_at: free_at + rule.burst() });
        }
        let free_at = now + rule.wait(failures);
        let forget_at = if counting.lasts_a_day() {
            // The day begins with the first failure.
            standing.map_or(now + DAY, |standing| standing.forget_at.min(now + DAY)).max(free_at)
        } else {
            now + REST
        };
        Some(ThrottleState { failures, free_at, forget_at })
    }
}

/// How long [`Counting::Source`] and [`Counting::Nobody`] last without a wait.
#[must_use]
pub fn day() -> TimeDelta {
    DAY
}

#[cfg(test)]
mod tests;
