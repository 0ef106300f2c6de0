//! Access tokens whose signature was verified: the next request with one costs a digest instead.
//!
//! Whether a token is still good (its expiry, its key, its session) is asked each time; only the signature of the same
//! bytes does not change.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use crate::domain::claims::AccessClaims;

/// The SHA-256 of a token.
pub type TokenDigest = [u8; 32];

/// The most tokens: some 8 MB.
const MOST: u64 = 8192;
/// How long a token is remembered: most live no longer.
const LIFETIME: Duration = Duration::from_mins(10);

/// A token whose signature was good.
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    /// The key that signed it.
    pub kid: String,
    pub claims: Arc<AccessClaims>,
}

/// The tokens that this process has verified.
#[derive(Debug, Clone)]
pub struct VerifiedTokens(Cache<TokenDigest, VerifiedToken>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(LIFETIME).build())
    }
}

impl VerifiedTokens {
    #[must_use]
    pub fn find(&self, token: &TokenDigest) -> Option<VerifiedToken> {
        self.0.get(token)
    }

    #[must_use]
    pub fn contains(&self, token: &TokenDigest) -> bool {
        self.0.contains_key(token)
    }

    pub fn insert(&self, token: TokenDigest, verified: VerifiedToken) {
        self.0.insert(token, verified);
    }
}
