//! Why a federated login fails.

use crate::{
    crypto::jose::provider_token::ProviderTokenError, outbound::provider::ProviderError, services::Unavailable,
    store::StoreError,
};

/// Why nobody is logged in, and nothing linked.
#[derive(Debug, thiserror::Error)]
pub enum FederateError {
    /// There is no such provider.
    #[error("there is no such provider")]
    UnknownProvider,
    /// The attempt is not this browser's, not for this provider, too old, or was used.
    #[error("the attempt is stale")]
    Stale,
    /// The person, or the provider, said no.
    #[error("the provider says no")]
    Denied,
    /// The provider cannot be reached, or takes too long.
    #[error("the provider does not answer")]
    ProviderUnavailable,
    /// The provider answered what is of no use.
    #[error("the provider's answer is of no use: {0}")]
    InvalidProviderResponse(ProviderError),
    /// The answer is another provider's (RFC 9207).
    #[error("the answer is from somebody else")]
    WrongIssuer,
    /// What the provider signed is not good.
    #[error("the token of the provider is not good: {0}")]
    Token(#[from] ProviderTokenError),
    /// Somebody new came, and registration is closed.
    #[error("registration is closed")]
    Closed,
    /// The account may not be used.
    #[error("the account is disabled")]
    Disabled,
    /// The identity opens another account.
    #[error("the identity is linked to another account")]
    Taken,
    /// Whoever wanted to link it is not logged in any more.
    #[error("nobody is logged in")]
    NotLoggedIn,
    /// Trouble on our side.
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
    /// Why, in one word for the log.
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
            Self::NotLoggedIn => "not_logged_in",
            Self::Unavailable(_) => "trouble",
        }
    }
}
