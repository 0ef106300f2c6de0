//! Follows the key folder while the service runs.

use std::{collections::HashSet, sync::Arc, time::Duration};

use crate::{
    crypto::keys::ring::Keyring,
    domain::clock::Clock,
    services::{keys::establish::fingerprints, metrics::Metrics},
    store::{
        Database,
        key_records::{self, KeyFingerprint},
    },
};

/// How often the key folder is read: a change takes effect within two seconds.
const POLL: Duration = Duration::from_secs(1);

/// Reloads the key folder when it changes, and records the keys that were brought in.
#[derive(Debug)]
pub struct WatchKeys {
    pub keyring: Arc<Keyring>,
    pub db: Database,
    pub clock: Arc<dyn Clock>,
    /// Tells whether the folder is valid.
    pub metrics: Metrics,
}

impl WatchKeys {
    /// Runs until it is dropped.
    pub async fn run(self) {
        // The start has recorded these.
        let mut recorded: HashSet<KeyFingerprint> = fingerprints(&self.keyring.current()).collect();
        let mut logged = None;
        let mut tick = tokio::time::interval(POLL);
        loop {
            tick.tick().await;
            self.reload(&mut logged).await;
            self.record(&mut recorded).await;
        }
    }

    /// Reads the folder again. An invalid one is logged once, and the last valid keys stay in use.
    async fn reload(&self, logged: &mut Option<String>) {
        let keyring = Arc::clone(&self.keyring);
        let read = tokio::task::spawn_blocking(move || {
            keyring.reload().map(|changed| changed.then(|| keyring.current().kids().join(", ")))
        });
        match read.await {
            Ok(Ok(changed)) => {
                if let Some(kids) = changed {
                    tracing::info!(kids, "keys changed");
                }
                self.metrics.key_folder_refused.set(0);
                *logged = None;
            }
            Ok(Err(error)) => {
                self.metrics.key_folder_refused.set(1);
                let text = error.to_string();
                if logged.as_ref() != Some(&text) {
                    tracing::error!(cause = text, "the folder of keys is not good; the last good keys stay");
                    *logged = Some(text);
                }
            }
            Err(cause) => tracing::error!(%cause, "the folder of keys was not read"),
        }
    }

    /// Records new keys, so that a start knows the folder again when the older ones are gone. A failure is tried again
    /// at the next poll.
    async fn record(&self, recorded: &mut HashSet<KeyFingerprint>) {
        let new: Vec<_> =
            fingerprints(&self.keyring.current()).filter(|fingerprint| !recorded.contains(fingerprint)).collect();
        if new.is_empty() {
            return;
        }
        match key_records::remember_fingerprints(&self.db, new.iter().cloned(), self.clock.now()).await {
            Ok(()) => recorded.extend(new),
            Err(cause) => tracing::warn!(%cause, "new keys were not recorded; it will be tried again"),
        }
    }
}
