//! Revocations in memory: tokens to refuse although their signature is valid. They make checking a token cost no SQL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use moka::{Expiry, sync::Cache};

use super::{
    changes::{Change, Entry},
    ended_indexes::{EndedIndexes, ListState},
    session_cutoffs::Cutoff,
};
use crate::domain::ids::{ClientId, SessionId, UserId};

/// How old the newest confirmation may be before tokens are refused for lack of knowledge.
const STALE: Duration = Duration::from_secs(5);

/// How long after a client's deletion its new tokens are refused as well: a replica may learn of the deletion as late
/// as [`STALE`] allows, and clocks differ by as much as verifiers accept.
const NOT_HEARD: TimeDelta = TimeDelta::seconds(35);

/// How far the clock may be set back without reviving a revoked token: token expiry follows that clock, entries here do
/// not.
pub(crate) const CLOCK_STEP: TimeDelta = TimeDelta::minutes(5);

/// Ended sessions, denied tokens and deleted clients, each for as long as a token could live that it refuses. Their
/// number is not bounded, since an eviction would be a forgotten revocation; every entry expires by itself.
#[derive(Debug, Clone)]
pub struct Revocations {
    sessions: Cache<SessionId, Timed<()>>,
    /// The bits of the status lists.
    indexes: EndedIndexes,
    /// The latest cutoff of each account.
    accounts: Cache<UserId, Timed<Cutoff>>,
    tokens: Cache<String, Timed<()>>,
    clients: Cache<ClientId, Timed<DateTime<Utc>>>,
    confirmed: Confirmed,
}

/// A value, and how long to keep it.
#[derive(Debug, Clone, Copy)]
struct Timed<T>(T, Duration);

struct ByItself;

impl<K, T> Expiry<K, Timed<T>> for ByItself {
    fn expire_after_create(&self, _: &K, value: &Timed<T>, _: Instant) -> Option<Duration> {
        Some(value.1)
    }

    fn expire_after_update(&self, _: &K, value: &Timed<T>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(value.1)
    }
}

fn cache<K, T>() -> Cache<K, Timed<T>>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    Cache::builder().expire_after(ByItself).build()
}

/// When the database last answered a poll, in milliseconds since this process started.
#[derive(Debug, Clone)]
struct Confirmed {
    born: Instant,
    at: Arc<AtomicU64>,
}

impl Confirmed {
    fn milliseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Revocations {
    fn default() -> Self {
        let confirmed = Confirmed { born: Instant::now(), at: Arc::default() };
        Self {
            sessions: cache(),
            indexes: EndedIndexes::default(),
            accounts: cache(),
            tokens: cache(),
            clients: cache(),
            confirmed,
        }
    }
}

impl Revocations {
    /// Applies a change of this or another process.
    pub fn apply(&self, entry: &Entry, now: DateTime<Utc>) {
        // A change that no longer matters is not kept.
        let Ok(lifetime) = (entry.matters_until + CLOCK_STEP - now).to_std() else { return };
        match &entry.change {
            Change::SessionEnded { session, status } => {
                self.sessions.insert(*session, Timed((), lifetime));
                self.indexes.set(*status, lifetime);
            }
            Change::SessionsEnded(cutoff) => {
                // They may be read in another order than they were written.
                let known = self.accounts.get(&cutoff.user);
                if known.is_none_or(|Timed(known, _)| known.through <= cutoff.through) {
                    self.accounts.insert(cutoff.user, Timed(*cutoff, lifetime));
                }
            }
            Change::TokenDenied { token } => self.tokens.insert(token.clone(), Timed((), lifetime)),
            Change::ClientDeleted { client, at } => self.clients.insert(client.clone(), Timed(*at, lifetime)),
            Change::AccountChanged(_) | Change::ClientChanged(_) | Change::KeyRevoked(_) => {}
        }
    }

    /// Confirms that every change committed before `asked` is known.
    pub fn confirm(&self, asked: Instant) {
        self.confirmed.at.fetch_max(self.confirmed.milliseconds(asked), Ordering::AcqRel);
    }

    /// The approximate number of known ended sessions, denied tokens and deleted clients.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.sessions.entry_count()
            + self.accounts.entry_count()
            + self.tokens.entry_count()
            + self.clients.entry_count()
    }

    /// The time since the last confirmation.
    #[must_use]
    pub fn age(&self) -> Duration {
        let now = self.confirmed.milliseconds(Instant::now());
        Duration::from_millis(now.saturating_sub(self.confirmed.at.load(Ordering::Acquire)))
    }

    /// Whether this process knows every change older than five seconds. If not, it refuses to verify tokens.
    #[must_use]
    pub fn are_current(&self) -> bool {
        self.age() <= STALE
    }

    /// Whether the session has ended, which belongs to the account.
    #[must_use]
    pub fn has_ended(&self, session: SessionId, account: UserId) -> bool {
        let is_cut_off = |Timed(cutoff, _): Timed<Cutoff>| session <= cutoff.through && cutoff.kept != Some(session);
        self.sessions.contains_key(&session) || self.accounts.get(&account).is_some_and(is_cut_off)
    }

    /// Whether the token of this `jti` was denied.
    #[must_use]
    pub fn is_denied(&self, token: &str) -> bool {
        self.tokens.contains_key(token)
    }

    /// Whether the client was deleted after it got a token issued at `issued`, in seconds since 1970. Tokens of a
    /// replica that had not yet learned of the deletion, or whose clock is ahead, are refused too.
    #[must_use]
    pub fn is_deleted(&self, client: &ClientId, issued: i64) -> bool {
        self.clients.get(client).is_some_and(|Timed(at, _)| issued <= (at + NOT_HEARD).timestamp())
    }

    /// The bits of status list `list`, one for each session that has ended; `None` if they still have the version
    /// `known`.
    #[must_use]
    pub fn status_list(&self, list: u16, known: Option<u64>) -> Option<ListState> {
        self.indexes.state(list, known)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::status_list::StatusPosition;

    fn ended(session: u128, seconds: i64) -> (SessionId, Entry) {
        let session = SessionId(Uuid::from_u128(session));
        let status = StatusPosition { list: 3, index: 7 };
        let matters_until = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        (session, Entry { change: Change::SessionEnded { session, status }, matters_until })
    }

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const NOBODY: UserId = UserId(Uuid::nil());

    #[test]
    fn a_cutoff_ends_what_began_before_it_but_one() {
        let revocations = Revocations::default();
        let session = |n| SessionId(Uuid::from_u128(n));
        let (ada, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let cuts_off = |through, kept| {
            let cutoff = Cutoff { user: ada, through: session(through), kept: Some(session(kept)) };
            let matters_until = NOW + TimeDelta::seconds(600);
            revocations.apply(&Entry { change: Change::SessionsEnded(cutoff), matters_until }, NOW);
        };
        let ended = || (1..=9).filter(|n| revocations.has_ended(session(*n), ada)).collect::<Vec<_>>();
        cuts_off(5, 3);
        assert_eq!(ended(), [1, 2, 4, 5]);
        cuts_off(7, 6);
        assert_eq!(ended(), [1, 2, 3, 4, 5, 7]);
        cuts_off(5, 3); // read again, after the later one
        assert_eq!(ended(), [1, 2, 3, 4, 5, 7]);
        assert!(!revocations.has_ended(session(1), bob));
    }

    #[test]
    fn an_ended_session_is_remembered_and_one_without_live_tokens_is_not() {
        let revocations = Revocations::default();
        let ((live, lives), (dead, died)) = (ended(1, 600), ended(2, -301));
        revocations.apply(&lives, NOW);
        revocations.apply(&died, NOW);
        assert!(revocations.has_ended(live, NOBODY));
        assert!(!revocations.has_ended(dead, NOBODY));
        assert_eq!(revocations.status_list(3, None).expect("its first state").bits[0], 1 << 7);
        assert!(revocations.status_list(2, None).expect("its first state").bits.is_empty());
    }

    #[test]
    fn no_number_of_ended_sessions_makes_it_forget_one() {
        let revocations = Revocations::default();
        (0..20_000).for_each(|n| revocations.apply(&ended(n, 600).1, NOW));
        assert!((0..20_000).all(|n| revocations.has_ended(SessionId(Uuid::from_u128(n)), NOBODY)));
    }

    #[test]
    fn a_new_client_under_the_same_id_is_not_refused_for_its_predecessor() {
        let revocations = Revocations::default();
        let Ok(client) = ClientId::parse("orders") else { panic!("a good id") };
        let at = NOW + TimeDelta::seconds(100);
        let change = Change::ClientDeleted { client: client.clone(), at };
        revocations.apply(&Entry { change, matters_until: at + TimeDelta::seconds(600) }, NOW);
        assert!(revocations.is_deleted(&client, 99) && revocations.is_deleted(&client, 135));
        assert!(!revocations.is_deleted(&client, 136));
    }

    #[test]
    fn what_was_never_confirmed_for_five_seconds_is_not_current() {
        let mut revocations = Revocations::default();
        assert!(revocations.are_current(), "just born");
        let Some(past) = Instant::now().checked_sub(Duration::from_mins(1)) else { return };
        revocations.confirmed.born = past;
        assert!(!revocations.are_current());
        revocations.confirm(Instant::now());
        assert!(revocations.are_current());
    }
}
