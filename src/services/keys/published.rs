//! The published keys (RFC 7517 §5), with their entity tag.

use std::sync::{Arc, PoisonError, RwLock};

use crate::crypto::{
    digest,
    jose::jwks,
    keys::ring::{KeySet, Keyring},
};

/// The published keys. Clones share the document.
#[derive(Debug, Clone)]
pub struct PublishedKeys {
    /// The current keys.
    keyring: Arc<Keyring>,
    /// The last document, with the keys that it shows.
    latest: Arc<RwLock<Option<Latest>>>,
}

type Latest = (Arc<KeySet>, Arc<ETagged>);

/// A JSON document and its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETagged {
    /// The JSON.
    pub body: String,
    /// A strong entity tag, in quotes (RFC 9110 §8.8.3): equal for equal documents.
    pub etag: String,
}

impl PublishedKeys {
    #[must_use]
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring, latest: Arc::default() }
    }

    /// The current JWK set: the same one until the keys change.
    #[must_use]
    pub fn document(&self) -> Arc<ETagged> {
        let current = self.keyring.current();
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((keys, document)) = &*latest
            && Arc::ptr_eq(keys, &current)
        {
            return Arc::clone(document);
        }
        drop(latest);
        let jwks::JwkSetDocument { body, etag } = jwks::document(&current);
        let document = Arc::new(ETagged { body, etag });
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some((current, Arc::clone(&document)));
        document
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
