//! Failed passwords delay the next attempts.
//!
//! Every attempt is counted before its password is hashed, so that parallel attempts gain nothing. The attempt is taken
//! off again if the password was right, or if an error of the service kept it from being evaluated. Two kinds of counter
//! bound the same attempts: one for the login identifier, whether or not an account has it, and one for the account
//! itself, by whichever identifier it was found.

use chrono::{DateTime, TimeDelta, Utc};

/// The most failures in a row that are evaluated before an account is locked (NIST SP 800-63B-4 §3.2.2).
pub const MOST_FAILURES: i32 = 100;
/// How long it stays locked, and after how long without an attempt its failures are forgotten.
pub const REST: TimeDelta = TimeDelta::days(30);
/// The longest wait for the next attempt before the lock.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(1);

/// The key of a counter: an HMAC, so that the database does not reveal the identifiers that users typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleKey(pub [u8; 32]);

/// The rule of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counting {
    /// A number of attempts within a time, by the generic cell rate algorithm (ITU-T I.371). A right password takes off
    /// its own attempt alone: otherwise a stranger could see when an account's owner logs in by email address.
    Rate,
    /// Failures in a row, with growing waits. A right password ends the row.
    Row,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

    /// The wait after this many failures in a row ([`Counting::Row`]). The first ones are free; then the wait doubles
    /// each time, up to a day. From [`MOST_FAILURES`] on the account is locked, independent of the configuration.
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

    /// Counts an attempt at `now`. `None` where it must wait until [`ThrottleState::free_at`]: it is not evaluated, and does
    /// not count, so that an owner who waits can log in while a stranger goes on trying.
    #[must_use]
    pub fn attempt(
        &self,
        counting: Counting,
        standing: Option<ThrottleState>,
        now: DateTime<Utc>,
    ) -> Option<ThrottleState> {
        let standing = standing.filter(|standing| standing.forget_at > now);
        let failures = standing.map_or(0, |standing| standing.failures) + 1;
        if standing.is_some_and(|standing| standing.free_at > now) {
            return None;
        }
        Some(match counting {
            Counting::Rate => {
                let behind = now - self.burst();
                let free_at = standing.map_or(behind, |standing| standing.free_at.max(behind)) + self.step();
                ThrottleState { failures, free_at, forget_at: free_at + self.burst() }
            }
            Counting::Row => ThrottleState { failures, free_at: now + self.wait(failures), forget_at: now + REST },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn rule() -> ThrottleRule {
        ThrottleRule::new(10, TimeDelta::minutes(15))
    }

    /// Attempts, one at each of these times: which of them are evaluated.
    fn evaluated(rule: ThrottleRule, counting: Counting, times: impl IntoIterator<Item = DateTime<Utc>>) -> Vec<bool> {
        let mut standing = None;
        let attempt = |now| {
            let counted = rule.attempt(counting, standing, now);
            standing = counted.or(standing);
            counted.is_some()
        };
        times.into_iter().map(attempt).collect()
    }

    #[test]
    fn as_many_attempts_as_configured_come_at_once_and_then_one_a_step() {
        for counting in [Counting::Rate, Counting::Row] {
            let at_once = evaluated(rule(), counting, [NOW; 200]);
            assert_eq!(at_once.iter().filter(|done| **done).count(), 10, "{counting:?}");
            assert!(at_once[..10].iter().all(|done| *done), "{counting:?}");
        }
        let later = |seconds| NOW + TimeDelta::seconds(seconds);
        let times = [NOW; 10].into_iter().chain([later(89), later(90), later(90), later(180)]);
        assert_eq!(evaluated(rule(), Counting::Rate, times)[10..], [false, true, false, true]);
    }

    #[test]
    fn the_wait_doubles_up_to_a_day_and_a_hundred_failures_bring_rest() {
        let waits: Vec<_> = (0..=101).map(|failures| rule().wait(failures).num_seconds()).collect();
        assert_eq!(waits[..10], [0; 10]);
        assert_eq!(waits[10..14], [90, 180, 360, 720]);
        assert_eq!((waits[19], waits[20], waits[99]), (46_080, 86_400, 86_400));
        assert_eq!((waits[100], waits[101]), (30 * 86_400, 30 * 86_400));
        assert_eq!(ThrottleRule::new(1_000_000, TimeDelta::days(1)).wait(100), REST, "whatever is configured");
    }

    #[test]
    fn a_rule_of_any_size_is_a_rule() {
        for rule in [ThrottleRule::new(u32::MAX, TimeDelta::seconds(1)), ThrottleRule::new(0, TimeDelta::days(1))] {
            assert!(rule.step() > TimeDelta::zero() && rule.burst() >= TimeDelta::zero());
            assert!((0..200).all(|failures| rule.wait(failures) <= REST));
        }
    }

    proptest! {
        #[test]
        fn never_more_than_a_hundred_failures_in_a_row_are_evaluated(
            count in 1_u32..1_000_000, seconds in 1_i64..86_400, gaps in prop::collection::vec(0_i64..REST.num_seconds(), 1..300),
        ) {
            let rule = ThrottleRule::new(count, TimeDelta::seconds(seconds));
            let mut now = NOW;
            // Up to thirty days after the first: what is forgotten begins a new row.
            let times = gaps.into_iter().map(|gap| { now += TimeDelta::seconds(gap / 300); now });
            let done = evaluated(rule, Counting::Row, times.chain([NOW; 300].map(|_| NOW + REST - TimeDelta::seconds(1))));
            prop_assert!(done.iter().filter(|done| **done).count() <= 100);
        }

        #[test]
        fn the_wait_never_shrinks(count in 1_u32..1_000_000, seconds in 1_i64..86_400, failures in 0_i32..200) {
            let rule = ThrottleRule::new(count, TimeDelta::seconds(seconds));
            prop_assert!(rule.wait(failures) <= rule.wait(failures + 1));
        }

        #[test]
        fn whoever_waits_gets_in_however_long_a_stranger_went_on(
            count in 1_u32..1000, seconds in 1_i64..86_400, attempts in 1_usize..300, row in any::<bool>(),
        ) {
            let (rule, counting) =
                (ThrottleRule::new(count, TimeDelta::seconds(seconds)), if row { Counting::Row } else { Counting::Rate });
            let mut standing = None;
            for _ in 0..attempts {
                standing = rule.attempt(counting, standing, NOW).or(standing);
            }
            let free_at = standing.map_or(NOW, |standing: ThrottleState| standing.free_at.max(NOW));
            prop_assert!(rule.attempt(counting, standing, free_at).is_some());
        }

        #[test]
        fn no_window_holds_more_than_twice_what_is_configured(
            count in 1_u32..50, gaps in prop::collection::vec(0_i64..120, 1..400),
        ) {
            let (per, mut now) = (TimeDelta::minutes(15), NOW);
            let times: Vec<_> = gaps.into_iter().map(|gap| { now += TimeDelta::seconds(gap); now }).collect();
            let done = evaluated(ThrottleRule::new(count, per), Counting::Rate, times.clone());
            let done: Vec<_> = times.into_iter().zip(done).filter(|(_, done)| *done).map(|(at, _)| at).collect();
            for begin in &done {
                let within = done.iter().filter(|at| (*begin..*begin + per).contains(at)).count();
                prop_assert!(within <= 2 * usize::try_from(count).unwrap());
            }
        }
    }
}
