//! Replaces signing keys by itself: one replica acts, and the others read what it wrote.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    crypto::keys::{
        files::{KeyError, KeySet},
        ring::Keyring,
    },
    domain::signing_key::{KeyKind, SigningAlgorithm},
    services::{
        keys::{
            establish::{self, Caller, EstablishError},
            manage::{ManageError, ManageKeys},
        },
        metrics::Metrics,
    },
    store::{self, schema},
};

/// Rotates the signing keys.
#[derive(Debug)]
pub struct RotateKeys {
    pub manage: ManageKeys,
    pub keyring: std::sync::Arc<Keyring>,
    /// How often a key is replaced.
    pub every: TimeDelta,
    /// The algorithm of access tokens.
    pub algorithm: SigningAlgorithm,
    /// The algorithms of clients that may yet come.
    pub strangers: &'static [SigningAlgorithm],
    pub metrics: Metrics,
}

/// How often it is looked whether a key is due.
const LOOK: Duration = Duration::from_secs(1);

/// The least time between two attempts: each takes the lock of all replicas.
const PAUSE: Duration = Duration::from_mins(1);

/// How often a failure is logged.
const REMINDER: Duration = Duration::from_hours(1);

impl RotateKeys {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(LOOK);
        let (mut tried, mut logged): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            tick.tick().await;
            let is_over = |since: Option<Instant>, pause| since.is_none_or(|since| since.elapsed() >= pause);
            let now = self.manage.clock.now();
            if !self.is_due(&self.keyring.current(), None, now) || !is_over(tried, PAUSE) {
                continue;
            }
            tried = Some(Instant::now());
            match self.rotate().await {
                Ok(()) => {
                    self.metrics.key_rotation_refused.set(0);
                    logged = None;
                }
                Err(cause) => {
                    self.metrics.key_rotation_refused.set(1);
                    if is_over(logged, REMINDER) {
                        logged = Some(Instant::now());
                        let advice = advice(&cause);
                        tracing::error!(%cause, "the next signing key is due, and was not made{advice}");
                    }
                }
            }
        }
    }

    /// Whether the newest key of a kind, or of any, is old enough to be replaced.
    fn is_due(&self, set: &KeySet, kind: Option<KeyKind>, now: DateTime<Utc>) -> bool {
        SigningAlgorithm::ALL.into_iter().filter(|of| kind.is_none_or(|kind| kind == KeyKind::Signing(*of))).any(|of| {
            let newest = set.signing_keys().iter().rfind(|held| held.key.algorithm() == of);
            newest.is_some_and(|held| held.life.published + self.every <= now)
        })
    }

    /// Makes what is due, unless another replica has. What is gone is removed on the same occasion.
    async fn rotate(&self) -> Result<(), ManageError> {
        let Self { manage, .. } = self;
        let kinds = establish::kinds(&manage.db, self.algorithm, self.strangers).await?;
        let turn = schema::lock(&manage.db).await?;
        let mut set = establish::checked(&turn, &manage.source, Caller::Service).await?;
        for kind in kinds.into_iter().filter(|kind| *kind != KeyKind::RootSecret) {
            if self.is_due(&set, Some(kind), manage.clock.now()) {
                (_, set) = manage.make(&turn, kind, &set).await?;
            }
        }
        for pruned in manage.prune_files(&set)? {
            tracing::info!(kid = pruned.kid, file = %pruned.file.display(), "key pruned");
        }
        store::commit(turn).await?;
        Ok(())
    }
}

/// What to do about a failure that does not pass by itself.
fn advice(cause: &ManageError) -> &'static str {
    match cause {
        ManageError::Establish(EstablishError::Keys(KeyError::Unwritable { .. } | KeyError::Fixed)) => {
            "; run `signet keys rotate` where the keys can be written and give them to every replica, or set \
             key_rotation = off"
        }
        _ => "; it will be tried again",
    }
}
