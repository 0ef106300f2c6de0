//! The schedule by which a client is notified of ended sessions (OIDC Back-Channel Logout 1.0).

use chrono::TimeDelta;

use super::backoff::Backoff;

/// The retry schedule: a deployment or a short outage of the client loses no logout. A client that is gone for longer
/// is not notified, because its sessions have expired by then.
pub const BACKOFF: Backoff =
    Backoff { first: TimeDelta::seconds(2), longest: TimeDelta::minutes(5), tried_for: TimeDelta::hours(1) };
/// How long a process leases a notice. When it dies, another one delivers the notice after this time. Longer than
/// [`DEADLINE`].
pub const LEASE: TimeDelta = TimeDelta::seconds(20);
/// How long the client may take to answer, in seconds.
pub const DEADLINE: u64 = 10;
/// How long a logout token lives (§2.4: at most two minutes).
pub const TOKEN: TimeDelta = TimeDelta::minutes(2);

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_client_is_told_again_for_an_hour() {
        let ended = DateTime::UNIX_EPOCH;
        let wait = |attempts| (BACKOFF.next_attempt(ended, ended, attempts, 0).unwrap() - ended).num_seconds();
        let waits: Vec<_> = (1..=10).map(wait).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let late = ended + TimeDelta::minutes(54);
        assert!(BACKOFF.next_attempt(ended, late, 30, 0).is_some());
        assert_eq!(BACKOFF.next_attempt(ended, late + TimeDelta::minutes(1), 30, 0), None);
    }

    #[test]
    fn nobody_takes_over_what_is_still_being_told() {
        assert!(i64::try_from(DEADLINE).unwrap() * 3 / 2 < LEASE.num_seconds());
    }
}
