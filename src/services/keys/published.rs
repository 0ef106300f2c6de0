//! The published keys (RFC 7517 §5), as caches may keep them.

use std::sync::Arc;

use crate::{
    crypto::{digest, jose::jwks, keys::ring::Keyring},
    domain::clock::Clock,
};

/// The published keys.
#[derive(Debug, Clone)]
pub struct PublishedKeys {
    /// The keys in force.
    pub keyring: Arc<Keyring>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// A JSON document and its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETagged {
    /// The JSON.
    pub body: String,
    /// A strong entity tag, in quotes (RFC 9110 §8.8.3): the same wherever the document is the same.
    pub etag: String,
}

impl PublishedKeys {
    /// The JWK set of now.
    #[must_use]
    pub fn document(&self) -> ETagged {
        let jwks::JwkSetDocument { body, etag } = jwks::document(&self.keyring.current(), self.clock.now());
        ETagged { body, etag }
    }
}

impl ETagged {
    /// A document that carries the digest of itself as its tag.
    #[must_use]
    pub fn of(body: String) -> Self {
        let etag = digest::entity_tag(&body);
        Self { body, etag }
    }
}
