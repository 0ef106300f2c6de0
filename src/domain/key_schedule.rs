//! The life of keys: published, active, retired, gone. It follows from the times of publication, the revocations and the
//! clock alone, so that replicas agree without talking.
//!
//! A key is *published* for the lead time before it signs, so that every verifier can know it. The *active* key of a kind
//! signs until the next one does, or until it is revoked. A *retired* key signs no more, and is published until the last
//! token under it has expired. Then it is *gone*.

use chrono::{DateTime, TimeDelta, Utc};

use super::signing_key::KeyKind;

/// How long verifiers may keep the JWKS: its `Cache-Control: max-age`, unless a change is near.
pub const JWKS_MAX_AGE: TimeDelta = TimeDelta::minutes(5);

/// How long a new key waits beyond [`JWKS_MAX_AGE`] before it signs: time for every replica to see the file, and the most
/// by which the clocks of replicas may differ.
pub const PROPAGATION: TimeDelta = TimeDelta::minutes(1);

/// The shortest lead time, and the default.
pub const SHORTEST_LEAD: TimeDelta = TimeDelta::minutes(6);

/// The shortest `max-age` of the JWKS: each verifier of a busy service would otherwise ask for every token.
pub const SHORTEST_MAX_AGE: TimeDelta = TimeDelta::seconds(10);

/// By how much a verifier's clock may be behind, so that it accepts a token after its expiry here.
pub const VERIFIER_SKEW: TimeDelta = TimeDelta::minutes(2);

const _: () = assert!(JWKS_MAX_AGE.num_seconds() + PROPAGATION.num_seconds() <= SHORTEST_LEAD.num_seconds());

/// The times that keys live by. Every replica has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTimes {
    /// How long a key is published before it signs.
    pub lead: TimeDelta,
    /// The lifetime of the longest token under a signing key.
    pub tokens: TimeDelta,
    /// The lifetime of a refresh token.
    pub refresh_tokens: TimeDelta,
    /// How long after a key is gone its public half verifies hints at who logs out.
    pub hints: TimeDelta,
}

impl Default for KeyTimes {
    /// The times of a service whose configuration is the default.
    fn default() -> Self {
        Self {
            lead: SHORTEST_LEAD,
            tokens: TimeDelta::minutes(10),
            refresh_tokens: TimeDelta::days(30),
            hints: TimeDelta::days(90),
        }
    }
}

impl KeyTimes {
    /// How long a key of `kind` is retired before it is gone.
    #[must_use]
    pub fn retirement(&self, kind: KeyKind) -> TimeDelta {
        match kind {
            KeyKind::Signing(_) => JWKS_MAX_AGE + self.tokens + VERIFIER_SKEW,
            KeyKind::RootSecret => self.refresh_tokens + VERIFIER_SKEW,
        }
    }
}

/// A key that was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedKey {
    pub kid: String,
    pub kind: KeyKind,
    pub published: DateTime<Utc>,
    pub revoked: DateTime<Utc>,
}

/// When a key was published, and when it was revoked, if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDates {
    pub published: DateTime<Utc>,
    pub revoked: Option<DateTime<Utc>>,
}

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It does not sign yet; verifiers get to know it.
    Published,
    /// It signs.
    Active,
    /// It signs no more; tokens under it may still be valid.
    Retired,
    /// No valid token is under it.
    Gone,
}

impl KeyState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }
}

/// The dates of a key's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    pub published: DateTime<Utc>,
    /// When it begins to sign; `None` if it was revoked before.
    pub active: Option<DateTime<Utc>>,
    /// When it ends to sign; `None` if no later key is published.
    pub retired: Option<DateTime<Utc>>,
    /// When its last token has expired; `None` if no later key is published.
    pub gone: Option<DateTime<Utc>>,
}

impl Life {
    /// The state at `now`.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> KeyState {
        let is_over = |date: Option<DateTime<Utc>>| date.is_some_and(|date| date <= now);
        if is_over(self.gone) {
            KeyState::Gone
        } else if is_over(self.retired) {
            KeyState::Retired
        } else if is_over(self.active) {
            KeyState::Active
        } else {
            KeyState::Published
        }
    }

    /// Whether the key belongs into the JWKS at `now`. A key is shown from the moment that it is there, whatever time its
    /// file name gives: shown too early it harms nobody.
    #[must_use]
    pub fn is_shown(&self, now: DateTime<Utc>) -> bool {
        self.gone.is_none_or(|gone| gone > now)
    }

    /// When the state changes next.
    #[must_use]
    pub fn next_change(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        [self.active, self.retired, self.gone].into_iter().flatten().find(|date| *date > now)
    }
}

/// When the first key of a kind is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstKey {
    /// At once: it is the first of the installation, or nobody has to know it.
    AtOnce,
    /// After the lead time, as any other: verifiers have a copy of the JWKS without this algorithm.
    Waits,
}

/// The lives of the keys of one kind, which are given oldest first. Each is retired for `retirement`.
///
/// A key is active once it has been published for `lead`; and when the active key is revoked, the next one is active at
/// once.
#[must_use]
pub fn lives(keys: &[KeyDates], first: FirstKey, lead: TimeDelta, retirement: TimeDelta) -> Vec<Life> {
    let mut lives: Vec<Life> =
        keys.iter().map(|key| Life { published: key.published, active: None, retired: None, gone: None }).collect();
    let lives_at = |index: &usize, at: DateTime<Utc>| keys[*index].revoked.is_none_or(|revoked| revoked > at);
    let begins = |index: usize| match first {
        FirstKey::AtOnce => keys[index].published,
        FirstKey::Waits => keys[index].published + lead,
    };
    let mut current = (0..keys.len()).find(|index| lives_at(index, begins(*index)));
    let mut since = current.map(begins);
    while let (Some(index), Some(from)) = (current, since) {
        lives[index].active = Some(from);
        let later = index + 1..keys.len();
        let waited = |next: usize| (keys[next].published + lead).max(from);
        let due = later.clone().find(|next| lives_at(next, waited(*next))).map(|next| (next, waited(next)));
        let revoked = keys[index].revoked.filter(|revoked| due.is_none_or(|(_, at)| *revoked < at));
        let next = match revoked {
            Some(revoked) => {
                let at = |next: usize| keys[next].published.max(revoked);
                later.clone().find(|next| lives_at(next, at(*next))).map(|next| (next, at(next)))
            }
            None => due,
        };
        let retired = revoked.or(next.map(|(_, at)| at));
        lives[index].retired = retired;
        lives[index].gone = retired.map(|retired| retired + retirement);
        current = next.map(|(next, _)| next);
        since = next.map(|(_, at)| at);
    }
    lives
}

/// The key that signs at `now`: the active one. Before the first is active, as after a clock was set back, it is the next
/// one. Where a revoked key has no successor yet, a retired one may fill the gap, since verifiers know it.
pub fn active<'a, K>(
    keys: &(impl DoubleEndedIterator<Item = &'a K> + Clone),
    life: impl Fn(&K) -> Life,
    now: DateTime<Utc>,
) -> Option<&'a K> {
    let is = |state| {
        let life = &life;
        move |key: &&K| life(key).state(now) == state
    };
    let first = |state| keys.clone().find(is(state));
    first(KeyState::Active).or_else(|| first(KeyState::Published)).or_else(|| keys.clone().rfind(is(KeyState::Retired)))
}

/// How long caches may keep the JWKS at `now`, given the dates at which published keys become active. It shrinks as one
/// nears: no cache then holds a set that was fetched earlier for longer than until [`PROPAGATION`] before that.
#[must_use]
pub fn max_age(activations: impl Iterator<Item = DateTime<Utc>>, now: DateTime<Utc>) -> TimeDelta {
    let next = activations.filter(|date| *date > now).min();
    let left = next.map_or(JWKS_MAX_AGE, |next| next - PROPAGATION - now);
    left.min(JWKS_MAX_AGE).max(SHORTEST_MAX_AGE)
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
