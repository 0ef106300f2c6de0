//! Why a federated login fails.

use crate::{
    crypto::jose::provider_token::ProviderTokenError, outbound::provider::ProviderError, services::Unavailable,
    store::StoreError,
};

/// Why a login or link with a provider failed.
#[derive(Debug, thiserror::Error)]
pub enum FederateError {
    #[error("there is no such provider")]
    UnknownProvider,
    /// The attempt is another browser's or provider's, too old, or used.
    #[error("the attempt is stale")]
    Stale,
    /// The person or the provider refused.
    #[error("the provider says no")]
    Denied,
    /// The provider cannot be reached or is too slow.
    #[error("the provider does not answer")]
    ProviderUnavailable,
    /// The provider's response is not valid.
    #[error("the provider's answer is of no use: {0}")]
    InvalidProviderResponse(ProviderError),
    /// The `iss` is another provider's (RFC 9207).
    #[error("the answer is from somebody else")]
    WrongIssuer,
    /// The provider's ID token is not valid.
    #[error("the token of the provider is not good: {0}")]
    Token(#[from] ProviderTokenError),
    /// The person has no account, and registration is closed.
    #[error("registration is closed")]
    Closed,
    #[error("the account is disabled")]
    Disabled,
    /// The identity is linked to another account.
    #[error("the identity is linked to another account")]
    Taken,
    /// No form of ours started the login, and it would change whose browser this is, or an account.
    #[error("nobody pressed a button")]
    NotPressed,
    /// The person who started the link is no longer logged in.
    #[error("nobody is logged in")]
    NotLoggedIn,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(FederateError: StoreError);

impl From<ProviderError> for FederateError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Down | ProviderError::Slow => Self::ProviderUnavailable,
            ProviderError::Refused | ProviderError::Garbage(_) => Self::InvalidProviderResponse(error),
        }
    }
}

impl FederateError {
    /// The reason, in one word for the log.
    pub(in crate::services) fn word(&self) -> &'static str {
        match self {
            Self::UnknownProvider => "unknown_provider",
            Self::Stale => "stale",
            Self::Denied => "denied",
            Self::ProviderUnavailable => "provider_silent",
            Self::InvalidProviderResponse(_) => "provider_untold",
            Self::WrongIssuer => "wrong_issuer",
            Self::Token(_) => "provider_token",
            Self::Closed => "closed",
            Self::Disabled => "disabled",
            Self::Taken => "taken",
            Self::NotPressed => "not_pressed",
            Self::NotLoggedIn => "not_logged_in",
            Self::Unavailable(_) => "trouble",
        }
    }
}
