//! The error codes and grant types of OAuth.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The error codes of the token endpoint and related endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OAuthErrorCode {
    /// A parameter is missing, repeated or malformed (RFC 6749 §5.2).
    InvalidRequest,
    /// Client authentication failed (RFC 6749 §5.2).
    InvalidClient,
    /// The credentials, refresh token or code are not valid (RFC 6749 §5.2).
    InvalidGrant,
    /// The client may not use this grant (RFC 6749 §5.2).
    UnauthorizedClient,
    /// Signet does not support this grant (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// The scope is unknown, malformed or wider than allowed (RFC 6749 §5.2).
    InvalidScope,
    /// The resource is unknown, or this client may not request it (RFC 8707 §2).
    InvalidTarget,
    /// The access token is not valid (RFC 6750 §3.1).
    InvalidToken,
    /// A redirect URI that cannot be registered (RFC 7591 §3.2.2).
    InvalidRedirectUri,
    /// Metadata that cannot be registered (RFC 7591 §3.2.2).
    InvalidClientMetadata,
    /// Signet has a fault; the grant may still be valid (RFC 6749 §4.1.2.1, used here with status 503).
    TemporarilyUnavailable,
}

impl OAuthErrorCode {
    /// The code as it is written on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidToken => "invalid_token",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// The grant that a client exchanges for tokens (RFC 6749 §1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// A user's name and password (RFC 6749 §4.3); first-party clients alone (RFC 9700 §2.4).
    Password,
    /// A refresh token (RFC 6749 §6).
    RefreshToken,
    /// A code from the redirect flow (RFC 6749 §4.1).
    AuthorizationCode,
    /// The client's own credentials (RFC 6749 §4.4).
    ClientCredentials,
}

impl GrantType {
    /// Every grant that a client can be registered for.
    pub const ALL: [Self; 4] = [Self::Password, Self::RefreshToken, Self::AuthorizationCode, Self::ClientCredentials];

    /// The grant as `grant_type` names it; `None` for any other word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }

    /// The value of `grant_type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
