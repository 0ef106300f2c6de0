//! Failures that have no shape yet: each kind of route renders them in its own.

use std::time::Duration;

use poem::{error::ResponseError, http::StatusCode};

use crate::services::{Unavailable, sessions::bearer::BearerError};

/// The text of a 429 for people.
pub(in crate::http) const TOO_MANY: &str =
    "There were too many requests; try again after the seconds that Retry-After says.";

/// An answer that took too long to find.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer took too long")]
pub(in crate::http) struct Overdue;

impl ResponseError for Overdue {
    fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// A request that came without TLS, and not from a proxy.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("this service speaks plain HTTP to its proxies alone")]
pub(in crate::http) struct Misdirected;

impl ResponseError for Misdirected {
    fn status(&self) -> StatusCode {
        StatusCode::MISDIRECTED_REQUEST
    }
}

/// More requests than are allowed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many requests")]
pub(in crate::http) struct TooManyRequests {
    /// The value of `Retry-After`, in whole seconds.
    pub(in crate::http) retry_after: u64,
}

impl TooManyRequests {
    /// Retry after `wait`, rounded up to whole seconds and never zero (RFC 9110 §10.2.3).
    pub(in crate::http) fn after(wait: Duration) -> Self {
        Self { retry_after: wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1) }
    }
}

impl ResponseError for TooManyRequests {
    fn status(&self) -> StatusCode {
        StatusCode::TOO_MANY_REQUESTS
    }
}

/// Why a bearer token was refused.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum BearerRefusal {
    /// None was sent.
    #[error("no access token was sent")]
    Missing,
    /// The `Authorization` field is not of the form `Bearer TOKEN`.
    #[error("the Authorization field is malformed")]
    Malformed,
    /// Tokens stand in two places.
    #[error("the access token was sent in two ways")]
    Twice,
    /// It was sent and is not good enough.
    #[error(transparent)]
    Token(#[from] BearerError),
}

impl ResponseError for BearerRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Token(BearerError::Token(_) | BearerError::Ended) => StatusCode::UNAUTHORIZED,
            Self::Malformed | Self::Twice => StatusCode::BAD_REQUEST,
            Self::Token(BearerError::Insufficient) => StatusCode::FORBIDDEN,
            Self::Token(BearerError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl BearerRefusal {
    /// The challenge (RFC 6750 §3) and the code: a request without a token gets no error code (§3.1).
    pub(in crate::http) fn challenge(&self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("Bearer", "token_missing"),
            Self::Malformed | Self::Twice => (r#"Bearer error="invalid_request""#, "invalid_request"),
            Self::Token(BearerError::Token(_) | BearerError::Ended) => {
                (r#"Bearer error="invalid_token""#, "invalid_token")
            }
            Self::Token(BearerError::Insufficient | BearerError::Unavailable(_)) => {
                (r#"Bearer error="insufficient_scope""#, "insufficient_scope")
            }
        }
    }
}

/// The value of `Retry-After` in seconds. Also logs the cause, once.
pub(in crate::http) fn retry_after(unavailable: &Unavailable) -> u64 {
    match unavailable {
        Unavailable::Busy { retry_after } => {
            tracing::warn!("the password queue is full");
            (*retry_after).max(Duration::from_secs(1)).as_secs()
        }
        Unavailable::Document { retry_after } => {
            tracing::info!("the document of a client cannot be fetched");
            (*retry_after).max(Duration::from_secs(1)).as_secs()
        }
        Unavailable::Store(_)
        | Unavailable::Hash(_)
        | Unavailable::Sign(_)
        | Unavailable::Stale
        | Unavailable::TooSlow => {
            tracing::error!(cause = %unavailable, "a request failed");
            2
        }
    }
}
