//! The keys in force, as one reading of the folder found them.

use chrono::{DateTime, Utc};

use crate::{
    crypto::keys::{folder::Listing, root_secret::RootSecret, signing_key::SigningKey},
    domain::signing_key::{self, SigningAlgorithm},
};

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A private key for tokens that others verify.
    Signing(SigningAlgorithm),
    /// The secret from which every symmetric key is derived.
    RootSecret,
}

impl KeyKind {
    /// The name in file names and records: `ES256`, `EdDSA`, `RS256` or `root`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing(algorithm) => algorithm.as_str(),
            Self::RootSecret => "root",
        }
    }
}

/// Every key of the folder, oldest first.
#[derive(Debug, Default)]
pub struct KeySet {
    signing: Vec<SigningKey>,
    root_secrets: Vec<RootSecret>,
    listing: Listing,
}

impl KeySet {
    /// Makes a set of these keys. Keys of the same time are ordered by identifier, so that replicas agree.
    pub(in crate::crypto) fn new(
        mut signing: Vec<SigningKey>,
        mut root_secrets: Vec<RootSecret>,
        listing: Listing,
    ) -> Self {
        signing.sort_by(|a, b| (a.published(), a.kid()).cmp(&(b.published(), b.kid())));
        root_secrets.sort_by(|a, b| (a.published(), a.kid()).cmp(&(b.published(), b.kid())));
        Self { signing, root_secrets, listing }
    }

    /// Whether there is a key of this kind.
    #[must_use]
    pub fn has(&self, kind: KeyKind) -> bool {
        match kind {
            KeyKind::Signing(algorithm) => self.signing.iter().any(|key| key.algorithm() == algorithm),
            KeyKind::RootSecret => !self.root_secrets.is_empty(),
        }
    }

    /// The fingerprint of each key and root secret. It reveals nothing of the private half.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<(KeyKind, String)> {
        let signing = self.signing.iter().map(|key| (KeyKind::Signing(key.algorithm()), key.kid().to_owned()));
        let roots = self.root_secrets.iter().map(|secret| (KeyKind::RootSecret, secret.fingerprint()));
        signing.chain(roots).collect()
    }

    #[must_use]
    pub fn kids(&self) -> Vec<&str> {
        self.signing.iter().map(SigningKey::kid).collect()
    }

    /// All signing keys, oldest first.
    #[must_use]
    pub fn signing_keys(&self) -> &[SigningKey] {
        &self.signing
    }

    /// All root secrets, oldest first.
    #[must_use]
    pub fn root_secrets(&self) -> &[RootSecret] {
        &self.root_secrets
    }

    /// The key of `algorithm` that signs at `now`, if there is one.
    #[must_use]
    pub fn active(&self, algorithm: SigningAlgorithm, now: DateTime<Utc>) -> Option<&SigningKey> {
        let keys: Vec<_> = self.signing.iter().filter(|key| key.algorithm() == algorithm).collect();
        let published: Vec<_> = keys.iter().map(|key| key.published()).collect();
        signing_key::active(&published, now).map(|index| keys[index])
    }

    /// The root secret that signs and derives at `now`, if there is one.
    ///
    /// It follows the schedule of signing keys: a new one waits until every replica has read it. Otherwise one replica
    /// would refuse the refresh tokens of another and log their owners out.
    #[must_use]
    pub fn active_root_secret(&self, now: DateTime<Utc>) -> Option<&RootSecret> {
        let published: Vec<_> = self.root_secrets.iter().map(RootSecret::published).collect();
        signing_key::active(&published, now).map(|index| &self.root_secrets[index])
    }

    /// The signing key with this identifier, active or not: its signatures are verified as long as it is here.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.signing.iter().find(|key| key.kid() == kid)
    }

    /// The root secret with this identifier, active or not.
    #[must_use]
    pub fn find_root_secret(&self, kid: &str) -> Option<&RootSecret> {
        self.root_secrets.iter().find(|secret| secret.kid() == kid)
    }

    /// The files of this set.
    pub(in crate::crypto) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Whether `other` holds the same keys with the same times.
    pub(in crate::crypto) fn same_keys(&self, other: &Self) -> bool {
        fn schedule(set: &KeySet) -> impl Iterator<Item = (&str, DateTime<Utc>)> {
            let signing = set.signing.iter().map(|key| (key.kid(), key.published()));
            signing.chain(set.root_secrets.iter().map(|secret| (secret.kid(), secret.published())))
        }
        schedule(self).eq(schedule(other))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn key(algorithm: SigningAlgorithm, published: DateTime<Utc>) -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap(), published).unwrap()
    }

    #[test]
    fn each_algorithm_has_its_own_schedule() {
        let keys = vec![
            key(SigningAlgorithm::ES256, at(60)),
            key(SigningAlgorithm::EdDSA, at(61)),
            key(SigningAlgorithm::ES256, at(0)),
        ];
        let set = KeySet::new(keys, vec![], Listing::default());
        let signs = |algorithm, now| set.active(algorithm, now).map(SigningKey::published);
        assert_eq!(signs(SigningAlgorithm::ES256, at(65)), Some(at(0)), "verifiers may not know the newer key yet");
        assert_eq!(signs(SigningAlgorithm::ES256, at(66)), Some(at(60)));
        assert_eq!(signs(SigningAlgorithm::EdDSA, at(61)), Some(at(61)), "the first of its algorithm");
        assert!(signs(SigningAlgorithm::RS256, at(66)).is_none());
        assert!(set.kids().iter().all(|kid| set.find(kid).is_some()) && set.find("another").is_none());
    }

    #[test]
    fn a_new_root_secret_waits_until_every_replica_has_read_it() {
        let roots = vec![RootSecret::new(&[2; 32], at(60)), RootSecret::new(&[1; 32], at(0))];
        let set = KeySet::new(vec![], roots, Listing::default());
        assert_eq!(set.active_root_secret(at(65)).map(RootSecret::published), Some(at(0)));
        assert_eq!(set.active_root_secret(at(66)).map(RootSecret::published), Some(at(60)));
        assert!(KeySet::default().active_root_secret(at(0)).is_none());
    }
}
