//! The reasons for which a token is refused, by the answer that a service gives.

use std::{sync::Arc, time::Duration};

/// When a caller that got [`VerifyError::Unavailable`] may try again: failed fetches are repeated no sooner.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a token is not accepted.
///
/// Clients get one answer, `invalid_token`, for [`Malformed`](Self::Malformed), [`Untrusted`](Self::Untrusted) and
/// [`Revoked`](Self::Revoked) (RFC 6750 §3.1); the reason belongs in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is no token. 401, with a challenge that names no error.
    #[error("no access token")]
    Missing,
    /// Not a JWT in the form of an access token. 401.
    #[error("not a well-formed access token: {0}")]
    Malformed(&'static str),
    /// Well-formed, but a check failed. 401.
    #[error("not to be trusted: {0}")]
    Untrusted(Distrust),
    /// Genuine, but its status is no longer `VALID`: the session has ended. 401.
    #[error("revoked (status {0})")]
    Revoked(u8),
    /// The token cannot be checked: the issuer does not answer, and no cached document is recent enough. 503, because the
    /// token may be valid, and clients discard a token on 401.
    #[error("cannot be checked now, for want of {document}: {cause}")]
    Unavailable {
        /// The missing document.
        document: Document,
        /// Why the last attempt to fetch it failed.
        cause: Arc<str>,
    },
}

impl VerifyError {
    /// The HTTP status to answer with: 503 if the token cannot be checked, otherwise 401.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing | Self::Malformed(_) | Self::Untrusted(_) | Self::Revoked(_) => 401,
            Self::Unavailable { .. } => 503,
        }
    }

    /// The time for `Retry-After`; `None` if trying again cannot help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Unavailable { .. }).then_some(RETRY_AFTER)
    }
}

impl From<Distrust> for VerifyError {
    fn from(distrust: Distrust) -> Self {
        Self::Untrusted(distrust)
    }
}

/// The check that a well-formed token failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// `typ` is not `at+jwt` (RFC 9068 §4).
    #[error("a token of another kind")]
    WrongType,
    /// The issuer publishes no key with this `kid`.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// `alg` is not the one of that key (RFC 8725 §3.1).
    #[error("signed with another algorithm than the key's")]
    WrongAlgorithm,
    /// The signature does not match that key.
    #[error("the signature is wrong")]
    BadSignature,
    /// `iss` is another issuer.
    #[error("issued by somebody else")]
    WrongIssuer,
    /// `aud` does not name this service.
    #[error("for another audience")]
    WrongAudience,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `iat` or `nbf` is further in the future than the leeway.
    #[error("not valid yet")]
    NotYetValid,
    /// The status list is not one of the issuer's own.
    #[error("its status list is not the issuer's")]
    ForeignStatusList,
    /// The status list has no such index, so the token's status is unknown (Token Status List §8.3).
    #[error("its status list does not cover it")]
    NotInStatusList,
}

/// A document that the issuer publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Document {
    /// The JWK set (RFC 7517 §5).
    #[error("the issuer's keys")]
    Keys,
    /// A status list.
    #[error("the status list")]
    StatusList,
}
