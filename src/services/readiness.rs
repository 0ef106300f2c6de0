//! Whether this process can do its work now.

use crate::store::{self, Database, revocations::Revocations};

/// Tells whether the process is ready.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Asked whether it answers.
    pub db: Database,
    /// Asked whether the newest are known.
    pub revocations: Revocations,
}

/// Why a process is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The database does not answer.
    #[error("the database cannot be reached")]
    Database,
    /// What ended lately is not known here, so no token can be judged.
    #[error("the newest revocations are not known here yet")]
    Revocations,
}

impl Readiness {
    /// Asks all that requests need.
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
