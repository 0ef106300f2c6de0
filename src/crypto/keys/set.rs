//! The keys in force, as one reading of the folder found them.

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{
    crypto::keys::{folder::Listing, public_key::PublicKey, root_secret::RootSecret, signing_key::SigningKey},
    domain::{
        key_schedule::{self, FirstKey, KeyDates, KeyState, KeyTimes, Life, RevokedKey},
        signing_key::SigningAlgorithm,
    },
};

pub use crate::domain::signing_key::KeyKind;

/// A key with its dates and its file.
#[derive(Debug)]
pub struct Held<K> {
    pub key: Arc<K>,
    pub life: Life,
    /// Where it was read.
    pub file: PathBuf,
}

impl<K> Clone for Held<K> {
    fn clone(&self) -> Self {
        Self { key: Arc::clone(&self.key), life: self.life, file: self.file.clone() }
    }
}

/// A key as it was read, with its file and its time of publication.
pub(in crate::crypto) type Found<K> = (K, PathBuf, DateTime<Utc>);

/// What a reading of the folder found.
#[derive(Debug, Default)]
pub(in crate::crypto) struct FoundKeys {
    pub(in crate::crypto) signing: Vec<Found<SigningKey>>,
    /// The public halves of keys that are gone.
    pub(in crate::crypto) public: Vec<Found<PublicKey>>,
    pub(in crate::crypto) root_secrets: Vec<Found<RootSecret>>,
    pub(in crate::crypto) listing: Listing,
}

/// Every key of the folder that was not revoked, oldest first.
#[derive(Debug, Default)]
pub struct KeySet {
    signing: Vec<Held<SigningKey>>,
    /// Keys that are gone, without their private half: hints at who logs out may still be under them.
    public: Vec<Held<PublicKey>>,
    root_secrets: Vec<Held<RootSecret>>,
    listing: Listing,
    times: KeyTimes,
    revoked: Arc<[RevokedKey]>,
}

impl KeySet {
    /// Makes a set of these keys. Keys of the same time are ordered by identifier, so that replicas agree.
    pub(in crate::crypto) fn new(found: FoundKeys, times: KeyTimes, revoked: Arc<[RevokedKey]>) -> Self {
        let mut set = Self {
            signing: held(found.signing),
            public: held(found.public),
            root_secrets: held(found.root_secrets),
            listing: found.listing,
            times,
            revoked,
        };
        set.schedule();
        set
    }

    /// A set of keys without files, with the default times.
    #[cfg(any(test, fuzzing))]
    pub(in crate::crypto) fn of(signing: Vec<SigningKey>, root_secrets: Vec<RootSecret>) -> Self {
        let signing = signing.into_iter().map(|key| (key.published(), key)).map(|(at, key)| (key, PathBuf::new(), at));
        let roots = root_secrets.into_iter().map(|root| (root.published(), root));
        let roots = roots.map(|(at, root)| (root, PathBuf::new(), at));
        let found = FoundKeys { signing: signing.collect(), root_secrets: roots.collect(), ..FoundKeys::default() };
        Self::new(found, KeyTimes::default(), Arc::default())
    }

    /// The same keys, without those that were revoked.
    #[must_use]
    pub fn without(&self, revoked: Arc<[RevokedKey]>) -> Self {
        let mut set = Self {
            signing: self.signing.clone(),
            public: self.public.clone(),
            root_secrets: self.root_secrets.clone(),
            listing: self.listing.clone(),
            times: self.times,
            revoked,
        };
        set.schedule();
        set
    }

    /// Orders the keys, drops the revoked ones and gives each its dates.
    fn schedule(&mut self) {
        let Self { signing, public, root_secrets, revoked, times, .. } = self;
        let is_revoked = |kid: &str| revoked.iter().any(|key| key.kid == kid);
        signing.retain(|held| !is_revoked(held.key.kid()));
        root_secrets.retain(|held| !is_revoked(held.key.kid()));
        // The private half stands while it is there.
        public.retain(|held| {
            !is_revoked(held.key.kid()) && !signing.iter().any(|private| private.key.kid() == held.key.kid())
        });
        let firsts = SigningAlgorithm::ALL.map(|algorithm| {
            let kind = KeyKind::Signing(algorithm);
            let private = signing.iter().filter(|held| held.key.algorithm() == algorithm);
            let gone = public.iter().filter(|held| held.key.algorithm() == algorithm);
            let dates = private.map(|held| held.life.published).chain(gone.map(|held| held.life.published));
            let dates = dates.chain(revoked.iter().filter(|key| key.kind == kind).map(|key| key.published));
            (algorithm, dates.min())
        });
        for (algorithm, born) in firsts {
            let is_older = |(_, other): &(_, Option<DateTime<Utc>>)| other.is_some() && *other < born;
            let first = if firsts.iter().any(is_older) { FirstKey::Waits } else { FirstKey::AtOnce };
            let private = signing.iter_mut().filter(|held| held.key.algorithm() == algorithm);
            let gone = public.iter_mut().filter(|held| held.key.algorithm() == algorithm);
            let lives = private.map(|held| (held.key.kid().to_owned(), &mut held.life));
            let lives = lives.chain(gone.map(|held| (held.key.kid().to_owned(), &mut held.life)));
            date(lives.collect(), KeyKind::Signing(algorithm), first, times, revoked);
        }
        let lives = root_secrets.iter_mut().map(|held| (held.key.kid().to_owned(), &mut held.life));
        date(lives.collect(), KeyKind::RootSecret, FirstKey::AtOnce, times, revoked);
        signing.sort_by(|a, b| (a.life.published, a.key.kid()).cmp(&(b.life.published, b.key.kid())));
        public.sort_by(|a, b| (a.life.published, a.key.kid()).cmp(&(b.life.published, b.key.kid())));
        root_secrets.sort_by(|a, b| (a.life.published, a.key.kid()).cmp(&(b.life.published, b.key.kid())));
    }

    /// Whether there is a key of this kind to sign with.
    #[must_use]
    pub fn has(&self, kind: KeyKind) -> bool {
        match kind {
            KeyKind::Signing(algorithm) => self.signing.iter().any(|held| held.key.algorithm() == algorithm),
            KeyKind::RootSecret => !self.root_secrets.is_empty(),
        }
    }

    /// The fingerprint of each key and root secret. It reveals nothing of the private half.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<(KeyKind, String)> {
        let signing = self.signing.iter().map(|held| &held.key);
        let signing = signing.map(|key| (KeyKind::Signing(key.algorithm()), key.kid().to_owned()));
        let roots = self.root_secrets.iter().map(|held| (KeyKind::RootSecret, held.key.fingerprint()));
        signing.chain(roots).collect()
    }

    #[must_use]
    pub fn kids(&self) -> Vec<&str> {
        self.signing.iter().map(|held| held.key.kid()).collect()
    }

    /// All signing keys, oldest first.
    #[must_use]
    pub fn signing_keys(&self) -> &[Held<SigningKey>] {
        &self.signing
    }

    /// The public halves of keys that are gone, oldest first.
    #[must_use]
    pub fn public_keys(&self) -> &[Held<PublicKey>] {
        &self.public
    }

    /// All root secrets, oldest first.
    #[must_use]
    pub fn root_secrets(&self) -> &[Held<RootSecret>] {
        &self.root_secrets
    }

    /// The keys that were revoked.
    #[must_use]
    pub fn revoked(&self) -> &Arc<[RevokedKey]> {
        &self.revoked
    }

    #[must_use]
    pub fn times(&self) -> &KeyTimes {
        &self.times
    }

    /// The keys of the JWKS at `now`, oldest first.
    pub fn shown(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Held<SigningKey>> {
        self.signing.iter().filter(move |held| held.life.is_shown(now))
    }

    /// The dates of all signing keys.
    pub fn lives(&self) -> impl Iterator<Item = &Life> {
        self.signing.iter().map(|held| &held.life)
    }

    /// The key of `algorithm` that signs at `now`, if there is one. The first of its algorithm does so although it waits,
    /// since there is no other.
    #[must_use]
    pub fn active(&self, algorithm: SigningAlgorithm, now: DateTime<Utc>) -> Option<&SigningKey> {
        let keys = self.signing.iter().filter(|held| held.key.algorithm() == algorithm);
        key_schedule::active(&keys, |held| held.life, now).map(|held| &*held.key)
    }

    /// The key that signs access tokens at `now`, by preference one of `algorithm`.
    ///
    /// While the first key of a further algorithm waits, the tokens are signed with an algorithm that verifiers know: they
    /// would look for the new key in a copy of the JWKS that lacks it.
    #[must_use]
    pub fn active_for_access(&self, algorithm: SigningAlgorithm, now: DateTime<Utc>) -> Option<&SigningKey> {
        let is_active = |held: &&Held<SigningKey>| held.life.state(now) == KeyState::Active;
        let of = |algorithm| {
            let mut keys = self.signing.iter().filter(move |held| held.key.algorithm() == algorithm);
            keys.find(is_active).map(|held| &*held.key)
        };
        of(algorithm).or_else(|| SigningAlgorithm::ALL.into_iter().find_map(of)).or_else(|| self.active(algorithm, now))
    }

    /// The root secret that signs and derives at `now`, if there is one.
    ///
    /// It follows the schedule of signing keys: a new one waits until every replica has read it. Otherwise one replica
    /// would refuse the refresh tokens of another and log their owners out.
    #[must_use]
    pub fn active_root_secret(&self, now: DateTime<Utc>) -> Option<&RootSecret> {
        key_schedule::active(&self.root_secrets.iter(), |held| held.life, now).map(|held| &*held.key)
    }

    /// The public key with this identifier, if tokens under it may be valid at `now`.
    #[must_use]
    pub fn find(&self, kid: &str, now: DateTime<Utc>) -> Option<&PublicKey> {
        self.shown(now).find(|held| held.key.kid() == kid).map(|held| held.key.public())
    }

    /// The public key with this identifier, although every token under it may have expired.
    #[must_use]
    pub fn find_of_any_age(&self, kid: &str) -> Option<&PublicKey> {
        let signing = self.signing.iter().map(|held| held.key.public());
        signing.chain(self.public.iter().map(|held| &*held.key)).find(|key| key.kid() == kid)
    }

    /// The root secret with this identifier, active or not.
    #[must_use]
    pub fn find_root_secret(&self, kid: &str) -> Option<&RootSecret> {
        self.root_secrets.iter().map(|held| &*held.key).find(|secret| secret.kid() == kid)
    }

    /// The files of this set.
    pub(in crate::crypto) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Whether `other` holds the same keys with the same times.
    pub(in crate::crypto) fn same_keys(&self, other: &Self) -> bool {
        fn schedule(set: &KeySet) -> impl Iterator<Item = (&str, DateTime<Utc>)> {
            let signing = set.signing.iter().map(|held| (held.key.kid(), held.life.published));
            let public = set.public.iter().map(|held| (held.key.kid(), held.life.published));
            let roots = set.root_secrets.iter().map(|held| (held.key.kid(), held.life.published));
            signing.chain(public).chain(roots)
        }
        schedule(self).eq(schedule(other))
    }
}

fn held<K>(found: Vec<Found<K>>) -> Vec<Held<K>> {
    let blank = |published| Life { published, active: None, retired: None, gone: None };
    found.into_iter().map(|(key, file, at)| Held { key: Arc::new(key), life: blank(at), file }).collect()
}

/// Gives each key of one kind its dates. The revoked ones count: their end is another's beginning.
fn date(mut keys: Vec<(String, &mut Life)>, kind: KeyKind, first: FirstKey, times: &KeyTimes, revoked: &[RevokedKey]) {
    let here = keys.iter().map(|(kid, life)| (life.published, kid.clone(), None));
    let before = revoked.iter().filter(|key| key.kind == kind);
    let before = before.map(|key| (key.published, key.kid.clone(), Some(key.revoked)));
    let mut all: Vec<_> = here.chain(before).collect();
    all.sort();
    let dates = all.iter().map(|(published, _, revoked)| KeyDates { published: *published, revoked: *revoked });
    let lives = key_schedule::lives(&dates.collect::<Vec<_>>(), first, times.lead, times.retirement(kind));
    for ((_, kid, _), life) in all.iter().zip(lives) {
        if let Some((_, of)) = keys.iter_mut().find(|(name, _)| name == kid) {
            **of = life;
        }
    }
}

#[cfg(test)]
mod tests;
