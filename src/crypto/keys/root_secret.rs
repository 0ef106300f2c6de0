//! The root secret, from which every symmetric key of the service is derived.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use secrecy::zeroize::Zeroizing;

/// The purpose of a derived key. Keys of different purposes reveal nothing of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Signing refresh tokens (HS256).
    RefreshToken,
    /// CSRF codes of the pages' forms (HMAC-SHA-256).
    Csrf,
    /// Tokens of known devices (HMAC-SHA-256).
    KnownDevice,
    /// Keys of the failed-password counters (HMAC-SHA-256).
    Throttle,
    /// Deriving one-use secrets (HMAC-SHA-256).
    OneUseSecret,
    /// Encrypting state that browsers carry (AES-256-GCM).
    Seal,
}

impl Purpose {
    /// The `info` of HKDF. A label must never change: all tokens under the old one would become invalid.
    fn label(self) -> &'static [u8] {
        match self {
            Self::RefreshToken => b"signet refresh token",
            Self::Csrf => b"signet csrf",
            Self::KnownDevice => b"signet known device",
            Self::Throttle => b"signet throttle",
            Self::OneUseSecret => b"signet one-use secret",
            Self::Seal => b"signet seal",
        }
    }
}

/// The label of the identifier, which is public and reveals nothing of the secret or any key.
const IDENTIFIER: &[u8] = b"signet root secret id";

/// The label of the fingerprint, by which a database knows its root secret again.
const FINGERPRINT: &[u8] = b"signet root secret fingerprint";

/// 256 secret bits to derive keys from.
pub struct RootSecret {
    prk: Prk,
    published: DateTime<Utc>,
    kid: String,
    refresh_signing: EncodingKey,
    refresh_verification: DecodingKey,
}

impl RootSecret {
    /// The root secret of these 256 bits, visible to every replica since `published`.
    #[must_use]
    pub fn new(secret: &[u8; 32], published: DateTime<Utc>) -> Self {
        // No salt: the input is uniformly random already (RFC 5869 §3.1).
        let prk = Salt::new(HKDF_SHA256, &[]).extract(secret);
        let kid = BASE64_URL_SAFE_NO_PAD.encode(expand::<9>(&prk, IDENTIFIER));
        let refresh = Zeroizing::new(expand::<32>(&prk, Purpose::RefreshToken.label()));
        Self {
            published,
            kid,
            refresh_signing: EncodingKey::from_secret(refresh.as_slice()),
            refresh_verification: DecodingKey::from_secret(refresh.as_slice()),
            prk,
        }
    }

    /// The key for `purpose`: HKDF-SHA-256 (RFC 5869) under the purpose's label.
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(expand(&self.prk, purpose.label()))
    }

    /// The identifier: 12 characters of base64url, derived, never a part of the secret.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What a database may keep to know the secret again: a MAC of a constant, which reveals nothing of the secret or any
    /// key.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(expand::<32>(&self.prk, FINGERPRINT))
    }

    /// When every replica could first read it.
    #[must_use]
    pub fn published(&self) -> DateTime<Utc> {
        self.published
    }

    /// The key that signs refresh tokens.
    pub(in crate::crypto) fn refresh_signing(&self) -> &EncodingKey {
        &self.refresh_signing
    }

    /// The key that signs refresh tokens.
    pub(in crate::crypto) fn refresh_verification(&self) -> (Algorithm, &DecodingKey) {
        (Algorithm::HS256, &self.refresh_verification)
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootSecret").field("kid", &self.kid).field("published", &self.published).finish_non_exhaustive()
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(prk: &Prk, label: &[u8]) -> [u8; N] {
    const { assert!(N <= 255 * 32, "HKDF-SHA-256 gives no more (RFC 5869 §2.3)") };
    let mut out = [0; N];
    // Both fail only for a length beyond the one asserted above, or other than that of `out`.
    prk.expand(&[label], Length(N)).and_then(|okm| okm.fill(&mut out)).expect("the length is within bounds");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_from_the_secret_and_the_label_alone() {
        // HKDF-SHA-256 of 32 bytes of 7 without salt, computed apart from this library.
        let root = RootSecret::new(&[7; 32], DateTime::UNIX_EPOCH);
        let again = RootSecret::new(&[7; 32], DateTime::from_timestamp_nanos(1));
        assert_eq!(root.kid(), again.kid());
        assert_eq!(root.derive(Purpose::RefreshToken), again.derive(Purpose::RefreshToken));
        let hex = root.derive(Purpose::RefreshToken).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(hex, "99d40bf6e175b03c59493ff8f347e41842cce4ca39cb5a77419405fd04477099");
        assert_eq!(root.kid(), "d64J1cOh4kcR");
    }

    #[test]
    fn another_secret_gives_another_identifier_and_other_keys() {
        let (one, other) =
            (RootSecret::new(&[1; 32], DateTime::UNIX_EPOCH), RootSecret::new(&[2; 32], DateTime::UNIX_EPOCH));
        assert_ne!(one.kid(), other.kid());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert!(!one.fingerprint().contains(one.kid()), "each has a label of its own");
        assert_ne!(one.derive(Purpose::RefreshToken), other.derive(Purpose::RefreshToken));
        assert_ne!(one.derive(Purpose::RefreshToken), one.derive(Purpose::OneUseSecret));
    }

    #[test]
    fn a_root_secret_never_shows_itself() {
        let secret = [0xAB; 32];
        let shown = format!("{:?}", RootSecret::new(&secret, DateTime::UNIX_EPOCH));
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
    }
}
