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
        let keys = self.keyring.current();
        let root = keys.active_root_secret(self.clock.now());
        match (root, serde_json::to_vec(value)) {
            (Some(root), Ok(plain)) => seal::seal(&root.derive(Purpose::Seal), context.as_bytes(), &plain),
            _ => String::new(),
        }
    }

    /// Opens a value that was sealed for `context` under any root secret that is still kept.
    #[must_use]
    pub fn open<T: DeserializeOwned>(&self, context: &str, sealed: &str) -> Option<T> {
        let keys = self.keyring.current();
        let mut roots = keys.root_secrets().iter().rev();
        let plain = roots.find_map(|root| seal::open(&root.derive(Purpose::Seal), context.as_bytes(), sealed))?;
        serde_json::from_slice(&plain).ok()
    }
}
