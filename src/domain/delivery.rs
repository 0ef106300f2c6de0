//! The retry schedule of emails.

use chrono::{DateTime, TimeDelta, Utc};

use super::backoff::Backoff;

/// How long a process leases an email without renewing. When it dies, another one sends the email after this time, so it
/// is far below the promised half minute, and several times [`RENEWED_EVERY`].
pub const LEASE: TimeDelta = TimeDelta::seconds(20);
/// How often a working process renews its lease, in seconds.
pub const RENEWED_EVERY: u64 = 5;
/// How long an email is retried: a mail server that is down over a long weekend loses none.
pub const TRIED_FOR: TimeDelta = TimeDelta::days(3);
/// How long an email that was given up is kept, for the operator to inspect.
pub const DEAD_KEPT: TimeDelta = TimeDelta::days(30);

/// The wait between two attempts doubles from five seconds to half an hour.
const BACKOFF: Backoff =
    Backoff { first: TimeDelta::seconds(5), longest: TimeDelta::minutes(30), tried_for: TRIED_FOR };

/// When to try again after the `attempts`th failure, counted from 1; `None`: it is given up. `chance` as for
/// [`Backoff::next_attempt`].
#[must_use]
pub fn next_attempt(
    written_at: DateTime<Utc>,
    now: DateTime<Utc>,
    attempts: u32,
    chance: u16,
) -> Option<DateTime<Utc>> {
    BACKOFF.next_attempt(written_at, now, attempts, chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(attempts: u32, chance: u16) -> Option<i64> {
        let now = DateTime::UNIX_EPOCH;
        next_attempt(now, now, attempts, chance).map(|next| (next - now).num_milliseconds())
    }

    #[test]
    fn the_wait_doubles_from_five_seconds_to_half_an_hour() {
        let waits: Vec<_> = (1..=12).map(|attempts| wait(attempts, 0).unwrap() / 1000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800, 1800]);
        assert_eq!(wait(u32::MAX, 0), Some(1_800_000));
    }

    #[test]
    fn chance_takes_up_to_half_of_it_away() {
        assert_eq!(wait(1, u16::MAX), Some(2500));
        assert!((2500..5000).contains(&wait(1, 30_000).unwrap()));
    }

    #[test]
    fn a_letter_is_given_up_after_three_days() {
        let written = DateTime::UNIX_EPOCH;
        let late = written + TRIED_FOR - TimeDelta::minutes(31);
        assert!(next_attempt(written, late, 150, 0).is_some());
        assert_eq!(next_attempt(written, late + TimeDelta::minutes(1), 150, 0), None);
    }

    #[test]
    fn what_a_dead_process_held_goes_out_within_half_a_minute() {
        assert!(LEASE <= TimeDelta::seconds(25));
        assert!(i64::try_from(RENEWED_EVERY).unwrap() * 3 <= LEASE.num_seconds(), "two lost renewals are borne");
    }
}
