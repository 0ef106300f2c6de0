//! Signature algorithms and the schedule of the keys that make them.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// An algorithm that signs tokens for other services (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    ES256,
    EdDSA,
    /// RSA PKCS#1 v1.5 with SHA-256; keys of 3072 bits and more.
    RS256,
}

impl SigningAlgorithm {
    pub const ALL: [Self; 3] = [Self::ES256, Self::EdDSA, Self::RS256];

    /// The algorithm as `alg` names it; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    /// The value of `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::RS256 => "RS256",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long verifiers may keep the JWKS: its `Cache-Control: max-age`.
pub const JWKS_MAX_AGE: TimeDelta = TimeDelta::minutes(5);

/// How long a new key waits beyond [`JWKS_MAX_AGE`] before it signs: time for every replica to see the file.
pub const PROPAGATION: TimeDelta = TimeDelta::minutes(1);

/// Chooses the key that signs at `now` from the keys of one algorithm, by their times of publication; `None` if there is
/// no key.
///
/// A key becomes active once every verifier can know it; the first key of an algorithm is active at once, since no verifier
/// can hold an older set that matters.
#[must_use]
pub fn active(published: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<usize> {
    let known = |at: &DateTime<Utc>| *at + JWKS_MAX_AGE + PROPAGATION <= now;
    let newest_known = published.iter().enumerate().filter(|(_, at)| known(at)).max_by_key(|(_, at)| **at);
    let first = || published.iter().enumerate().min_by_key(|(_, at)| **at);
    newest_known.or_else(first).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_only_when_every_verifier_can_know_it() {
        let start = DateTime::UNIX_EPOCH;
        let at = |minutes| start + TimeDelta::minutes(minutes);
        assert_eq!(active(&[], at(0)), None);
        assert_eq!(active(&[at(0)], at(0)), Some(0), "the first key signs at once");
        assert_eq!(active(&[at(0), at(60)], at(65)), Some(0));
        assert_eq!(active(&[at(0), at(60)], at(66)), Some(1));
        assert_eq!(active(&[at(66), at(60)], at(61)), Some(1), "two young keys: the older");
    }
}
