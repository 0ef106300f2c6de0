//! Failures on our side, which every service may meet. They are never the request's fault, and never permission.

use std::time::Duration;

use crate::{
    crypto::{jose::jwt::SignError, password::hash::HashError},
    store::StoreError,
};

/// Why a service could not do its work. The same request may succeed later.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue for password hashing is full.
    #[error("too many passwords wait to be hashed")]
    Busy { retry_after: Duration },
    /// The document that describes a client cannot be fetched at the moment.
    #[error("the document of a client cannot be fetched at the moment")]
    Document { retry_after: Duration },
    #[error("a password hash cannot be used: {0}")]
    Hash(String),
    /// This process has had no news of revocations for too long, and does not guess.
    #[error("the newest revocations are not known here")]
    Stale,
    #[error("the database took too long")]
    TooSlow,
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl From<HashError> for Unavailable {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy { retry_after } => Self::Busy { retry_after },
            HashError::Broken(why) => Self::Hash(why),
        }
    }
}

/// Lets `?` turn these causes into the `Unavailable` variant of a service's error.
macro_rules! unavailable_from {
    ($error:ty: $($cause:ty),+) => {
        $(impl From<$cause> for $error {
            fn from(cause: $cause) -> Self {
                Self::Unavailable(cause.into())
            }
        })+
    };
}
