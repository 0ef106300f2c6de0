//! The published keys (RFC 7517 §5), with their entity tag.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use crate::{
    crypto::{
        digest,
        jose::jwks,
        keys::ring::{KeySet, Keyring},
    },
    domain::{clock::Clock, key_schedule},
};

/// The published keys. Clones share the document.
#[derive(Debug, Clone)]
pub struct PublishedKeys {
    /// The current keys.
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    latest: Arc<RwLock<Option<Latest>>>,
}

/// The last document.
#[derive(Debug)]
struct Latest {
    /// The keys that it was made of.
    keys: Arc<KeySet>,
    /// It shows the keys of this time, until the next is gone.
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    document: Arc<ETagged>,
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
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, clock: Arc<dyn Clock>) -> Self {
        Self { keyring, clock, latest: Arc::default() }
    }

    /// The current JWK set, the same one until the keys change; and for how many seconds caches may keep it.
    #[must_use]
    pub fn document(&self) -> (Arc<ETagged>, i64) {
        let (current, now) = (self.keyring.current(), self.clock.now());
        let activations = current.lives().filter_map(|life| life.active);
        let max_age = key_schedule::max_age(activations, now).num_seconds();
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Latest { keys, from, until, document }) = &*latest
            && Arc::ptr_eq(keys, &current)
            && *from <= now
            && until.is_none_or(|until| now < until)
        {
            return (Arc::clone(document), max_age);
        }
        drop(latest);
        let jwks::JwkSetDocument { body, etag } = jwks::document(&current, now);
        let document = Arc::new(ETagged { body, etag });
        let until = current.lives().filter_map(|life| life.gone).filter(|gone| *gone > now).min();
        let latest = Latest { keys: current, from: now, until, document: Arc::clone(&document) };
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(latest);
        (document, max_age)
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
