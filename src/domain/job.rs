//! Jobs: work that is done after the commit of its cause, and is retried until it is done.

use chrono::TimeDelta;

use super::backoff::Backoff;

/// The kind of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Sends an email.
    Email,
    /// Tells a client of a logout (OIDC Back-Channel Logout 1.0).
    LogoutNotice,
    /// Ends the rest of very many sessions.
    SessionEnd,
}

/// How long a process leases a job without renewing. When it dies, another one does the job after this time, so it is
/// far below the promised half minute, and several times [`RENEWED_EVERY`].
pub const LEASE: TimeDelta = TimeDelta::seconds(20);
/// How often a working process renews its lease, in seconds.
pub const RENEWED_EVERY: u64 = 5;
/// How long a job that was given up is kept, for the operator to inspect.
pub const DEAD_KEPT: TimeDelta = TimeDelta::days(30);

/// A mail server that is down over a long weekend loses no email.
pub const EMAIL: Backoff =
    Backoff { first: TimeDelta::seconds(5), longest: TimeDelta::minutes(30), tried_for: TimeDelta::days(3) };
/// A deployment or a short outage of the client loses no logout. A client that is gone for longer is not told, because
/// its access tokens have expired by then.
pub const LOGOUT_NOTICE: Backoff =
    Backoff { first: TimeDelta::seconds(2), longest: TimeDelta::minutes(5), tried_for: TimeDelta::hours(1) };

/// Sessions that are to end must end, however long the database is down.
pub const SESSION_END: Backoff =
    Backoff { first: TimeDelta::seconds(1), longest: TimeDelta::seconds(30), tried_for: TimeDelta::days(365) };

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Email, Self::LogoutNotice, Self::SessionEnd];

    /// The name in the database and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::LogoutNotice => "logout_notice",
            Self::SessionEnd => "session_end",
        }
    }

    /// Its retry schedule.
    #[must_use]
    pub fn backoff(self) -> Backoff {
        match self {
            Self::Email => EMAIL,
            Self::LogoutNotice => LOGOUT_NOTICE,
            Self::SessionEnd => SESSION_END,
        }
    }

    /// Whether the topic of such a job names its receiver. When one fails, the others for that receiver wait as long,
    /// so that a receiver that does not answer delays no other.
    #[must_use]
    pub fn waits_by_topic(self) -> bool {
        self == Self::LogoutNotice
    }

    /// Whether a job that was given up is kept for the operator, who can have it tried again.
    #[must_use]
    pub fn is_kept_when_dead(self) -> bool {
        self != Self::LogoutNotice
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn an_email_is_retried_after_five_seconds_up_to_half_an_hour() {
        let now = DateTime::UNIX_EPOCH;
        let wait = |attempts, chance| {
            EMAIL.next_attempt(now, now, attempts, chance).map(|next| (next - now).num_milliseconds())
        };
        let waits: Vec<_> = (1..=12).map(|attempts| wait(attempts, 0).unwrap() / 1000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800, 1800]);
        assert_eq!(wait(u32::MAX, 0), Some(1_800_000));
        assert_eq!(wait(1, u16::MAX), Some(2500));
        assert!((2500..5000).contains(&wait(1, 30_000).unwrap()));
    }

    #[test]
    fn an_email_is_given_up_after_three_days() {
        let written = DateTime::UNIX_EPOCH;
        let late = written + EMAIL.tried_for - TimeDelta::minutes(31);
        assert!(EMAIL.next_attempt(written, late, 150, 0).is_some());
        assert_eq!(EMAIL.next_attempt(written, late + TimeDelta::minutes(1), 150, 0), None);
    }

    #[test]
    fn a_client_is_told_again_for_an_hour() {
        let ended = DateTime::UNIX_EPOCH;
        let wait = |attempts| (LOGOUT_NOTICE.next_attempt(ended, ended, attempts, 0).unwrap() - ended).num_seconds();
        let waits: Vec<_> = (1..=10).map(wait).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let late = ended + TimeDelta::minutes(54);
        assert!(LOGOUT_NOTICE.next_attempt(ended, late, 30, 0).is_some());
        assert_eq!(LOGOUT_NOTICE.next_attempt(ended, late + TimeDelta::minutes(1), 30, 0), None);
    }

    #[test]
    fn what_a_dead_process_held_is_done_within_half_a_minute() {
        assert!(LEASE <= TimeDelta::seconds(25));
        assert!(i64::try_from(RENEWED_EVERY).unwrap() * 3 <= LEASE.num_seconds(), "two lost renewals are borne");
    }
}
