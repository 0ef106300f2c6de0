//! Proof Key for Code Exchange (RFC 7636), always with S256 (RFC 9700 §2.1.1).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// Whether a client's codes need a challenge. Public clients always do (RFC 9700 §2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkce {
    /// Every request has a challenge.
    Required,
    /// A request may have no challenge. Then its code is redeemed without a verifier, and refused with one (RFC 9700
    /// §4.8.2).
    Optional,
}

impl Pkce {
    /// The value of `--pkce`; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Required, Self::Optional].into_iter().find(|pkce| pkce.as_str() == text)
    }

    /// The value as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }
}

/// The code challenge of an authorization request: BASE64URL(SHA-256(verifier)) (RFC 7636 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChallenge(String);

/// The text is not a code challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("code_challenge is 43 characters of base64url: the SHA-256 digest of the verifier")]
pub struct NotAChallenge;

/// The code verifier of a token request (RFC 7636 §4.1).
#[derive(Debug)]
pub struct CodeVerifier(SecretString);

/// The text is not a code verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is 43 to 128 letters, digits, '-', '.', '_' and '~'")]
pub struct NotAVerifier;

impl CodeChallenge {
    /// Reads a challenge.
    ///
    /// # Errors
    /// [`NotAChallenge`] for a text that is not a digest.
    pub fn parse(text: &str) -> Result<Self, NotAChallenge> {
        let digest = BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|digest| digest.len() == 32);
        digest.map(|_| Self(text.to_owned())).ok_or(NotAChallenge)
    }

    /// The challenge of a verifier that has this digest.
    #[must_use]
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(digest))
    }

    /// The challenge as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CodeVerifier {
    /// Reads a verifier.
    ///
    /// # Errors
    /// [`NotAVerifier`] for other characters and lengths.
    pub fn parse(text: SecretString) -> Result<Self, NotAVerifier> {
        let bytes = text.expose_secret().as_bytes();
        let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        if (43..=128).contains(&bytes.len()) && bytes.iter().all(unreserved) {
            Ok(Self(text))
        } else {
            Err(NotAVerifier)
        }
    }

    /// The bytes of the verifier, to be digested.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_a_digest() {
        // RFC 7636 appendix B.
        assert!(CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").is_ok());
        for bad in [
            "",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMA",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=",
        ] {
            assert_eq!(CodeChallenge::parse(bad), Err(NotAChallenge), "{bad}");
        }
    }

    #[test]
    fn a_verifier_is_long_and_plain_and_never_shown() {
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()).unwrap();
        assert!(!format!("{verifier:?}").contains("dBjf"));
        for bad in ["a".repeat(42), "a".repeat(129), "+".repeat(43), "ä".repeat(43)] {
            assert!(CodeVerifier::parse(bad.into()).is_err());
        }
    }
}
