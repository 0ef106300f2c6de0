//! The published keys (RFC 7517 §5), with their entity tag.

use std::sync::Arc;

use crate::crypto::{digest, jose::jwks, keys::ring::Keyring};

/// The published keys.
#[derive(Debug, Clone)]
pub struct PublishedKeys {
    /// The current keys.
    pub keyring: Arc<Keyring>,
}

/// A JSON document and its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETagged {
    /// The JSON.
    pub body: String,
    /// A strong entity tag, in quotes (RFC 9110 §8.8.3): equal for equal documents.
    pub etag: String,
}

impl PublishedKeys {
    /// The current JWK set.
    #[must_use]
    pub fn document(&self) -> ETagged {
        let jwks::JwkSetDocument { body, etag } = jwks::document(&self.keyring.current());
        ETagged { body, etag }
    }
}

impl ETagged {
    /// Tags a document with its digest.
    #[must_use]
    pub fn of(body: String) -> Self {
        let etag = digest::entity_tag(&body);
        Self { body, etag }
    }
}
