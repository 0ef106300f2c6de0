//! Trouble on our side, which every flow may meet: never the request's fault, and never permission.

use std::time::Duration;

use crate::{
    crypto::{jose::jwt::SignError, password::hash::HashError},
    store::StoreError,
};

/// Why a flow could not do its work. The same request may succeed later.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The database did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many passwords wait to be hashed.
    #[error("too many passwords wait to be hashed")]
    Busy {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// A password could not be hashed or checked.
    #[error("a password hash cannot be used: {0}")]
    Hash(String),
    /// This process has not heard of the newest revocations for too long, and will not guess.
    #[error("the newest revocations are not known here")]
    Stale,
    /// The database took longer than it may.
    #[error("the database took too long")]
    TooSlow,
    /// A token could not be signed.
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
