//! Readiness: whether this process can serve requests now.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use crate::{
    domain::clock::Clock,
    store::{self, Database, revocations::Revocations},
};

/// How long one look at the database answers all who ask: nobody may load it by asking.
const FRESH: Duration = Duration::from_secs(1);
/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// When the database was looked at, and what was found.
type LastLook = (Instant, Result<(), NotReady>);

/// Checks whether the process is ready. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Must take writes.
    db: Database,
    /// Must be current.
    revocations: Revocations,
    clock: Arc<dyn Clock>,
    stopping: Arc<AtomicBool>,
    last: Arc<Mutex<Option<LastLook>>>,
}

/// Why a process is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The database does not answer.
    #[error("the database cannot be reached")]
    Database,
    /// The database is read-only or full: nobody can log in.
    #[error("the database cannot be written")]
    ReadOnly,
    /// The newest revocations are not known here, so no token can be judged.
    #[error("the newest revocations are not known here yet")]
    Revocations,
    /// The port closes soon.
    #[error("the service is stopping")]
    Stopping,
}

impl Readiness {
    #[must_use]
    pub fn new(db: Database, revocations: Revocations, clock: Arc<dyn Clock>) -> Self {
        Self { db, revocations, clock, stopping: Arc::default(), last: Arc::default() }
    }

    /// Checks everything that requests need.
    ///
    /// # Errors
    /// [`NotReady`], the first reason found.
    pub async fn check(&self) -> Result<(), NotReady> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(NotReady::Stopping);
        }
        self.database().await?;
        if self.revocations.are_current() { Ok(()) } else { Err(NotReady::Revocations) }
    }

    /// From now on the process is not ready, although it still answers.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What the last look at the database found; a new look where that is older than [`FRESH`]. Those who ask meanwhile
    /// wait for it.
    async fn database(&self) -> Result<(), NotReady> {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = *last
            && at.elapsed() < FRESH
        {
            return found;
        }
        let found = self.look().await;
        *last = Some((Instant::now(), found));
        found
    }

    async fn look(&self) -> Result<(), NotReady> {
        let writes = store::is_writable(&self.db, self.clock.now());
        match tokio::time::timeout(PATIENCE, writes).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => {
                tracing::warn!("not ready: the database is read-only");
                Err(NotReady::ReadOnly)
            }
            Ok(Err(cause)) => {
                tracing::warn!(%cause, "not ready");
                Err(if cause.is_refused_write() { NotReady::ReadOnly } else { NotReady::Database })
            }
            Err(_) => {
                tracing::warn!("not ready: the database does not answer in time");
                Err(NotReady::Database)
            }
        }
    }
}
