//! Which sessions have ended, in memory: what makes checking a token cost no SQL.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use moka::{Expiry, sync::Cache};

use crate::domain::ids::SessionId;

/// The sessions that have ended while an access token of theirs could still live. It has no bound on its size, since
/// an eviction would be a forgotten revocation; every entry leaves by itself when its last access token has expired.
#[derive(Debug, Clone)]
pub struct Revocations {
    ended: Cache<SessionId, Duration>,
}

/// A session that has ended, and until when an access token of it may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSession {
    /// Which.
    pub session: SessionId,
    /// No access token of it lives longer.
    pub access_ends_at: DateTime<Utc>,
}

struct UntilItsLastToken;

impl Expiry<SessionId, Duration> for UntilItsLastToken {
    fn expire_after_create(&self, _: &SessionId, lifetime: &Duration, _: Instant) -> Option<Duration> {
        Some(*lifetime)
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self { ended: Cache::builder().expire_after(UntilItsLastToken).build() }
    }
}

impl Revocations {
    /// Refuses the session's tokens from now on.
    pub fn deny(&self, ended: EndedSession, now: DateTime<Utc>) {
        if let Ok(lifetime) = (ended.access_ends_at - now).to_std() {
            self.ended.insert(ended.session, lifetime);
        }
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn has_ended(&self, session: SessionId) -> bool {
        self.ended.contains_key(&session)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_ended_session_is_remembered_and_one_without_live_tokens_is_not() {
        let now = DateTime::UNIX_EPOCH;
        let revocations = Revocations::default();
        let (live, dead) = (SessionId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
        revocations.deny(EndedSession { session: live, access_ends_at: now + TimeDelta::minutes(10) }, now);
        revocations.deny(EndedSession { session: dead, access_ends_at: now - TimeDelta::seconds(1) }, now);
        assert!(revocations.has_ended(live));
        assert!(!revocations.has_ended(dead));
    }

    #[test]
    fn no_number_of_ended_sessions_makes_it_forget_one() {
        let now = DateTime::UNIX_EPOCH;
        let revocations = Revocations::default();
        for n in 0..20_000 {
            let session = SessionId(Uuid::from_u128(n));
            revocations.deny(EndedSession { session, access_ends_at: now + TimeDelta::minutes(10) }, now);
        }
        assert!((0..20_000).all(|n| revocations.has_ended(SessionId(Uuid::from_u128(n)))));
    }
}
