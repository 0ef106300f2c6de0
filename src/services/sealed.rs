//! Sealed values that a browser or client carries for us: any replica can open them, and nobody else.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    crypto::{
        keys::ring::{Keyring, Purpose},
        seal,
    },
    domain::clock::Clock,
};

#[derive(Debug, Clone)]
pub struct Sealer {
    /// Its root secrets seal and open.
    pub keyring: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
}

impl Sealer {
    /// Seals `value` for `context`, as base64url. Without a key the result is empty, and cannot be opened.
    #[must_use]
    pub fn seal(&self, context: &str, value: &impl Serialize) -> String {
        serde_json::to_vec(value).map(|plain| self.seal_bytes(context, &plain)).unwrap_or_default()
    }

    /// Seals `plain` for `context`, as base64url. Without a key the result is empty, and cannot be opened.
    #[must_use]
    pub fn seal_bytes(&self, context: &str, plain: &[u8]) -> String {
        let keys = self.keyring.current();
        let root = keys.active_root_secret(self.clock.now());
        root.map(|root| seal::seal(&root.derive(Purpose::Seal), context.as_bytes(), plain)).unwrap_or_default()
    }

    /// Opens a value that was sealed for `context` under any root secret that is still kept.
    #[must_use]
    pub fn open<T: DeserializeOwned>(&self, context: &str, sealed: &str) -> Option<T> {
        serde_json::from_slice(&self.open_bytes(context, sealed)?).ok()
    }

    /// Opens bytes that were sealed for `context` under any root secret that is still kept.
    #[must_use]
    pub fn open_bytes(&self, context: &str, sealed: &str) -> Option<Vec<u8>> {
        let keys = self.keyring.current();
        let mut roots = keys.root_secrets().iter().rev();
        roots.find_map(|root| seal::open(&root.key.derive(Purpose::Seal), context.as_bytes(), sealed))
    }
}
