//! Readiness: whether this process can serve requests now.

use crate::store::{self, Database, revocations::Revocations};

/// Checks whether the process is ready.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Must answer.
    pub db: Database,
    /// Must be current.
    pub revocations: Revocations,
}

/// Why a process is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The database does not answer.
    #[error("the database cannot be reached")]
    Database,
    /// The newest revocations are not known here, so no token can be judged.
    #[error("the newest revocations are not known here yet")]
    Revocations,
}

impl Readiness {
    /// Checks everything that requests need.
    ///
    /// # Errors
    /// [`NotReady`], the first reason found.
    pub async fn check(&self) -> Result<(), NotReady> {
        if let Err(cause) = store::is_reachable(&self.db).await {
            tracing::warn!(%cause, "not ready");
            return Err(NotReady::Database);
        }
        if self.revocations.are_current() { Ok(()) } else { Err(NotReady::Revocations) }
    }
}
