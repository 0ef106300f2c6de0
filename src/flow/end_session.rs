//! Ends sessions. Every end goes through here, whatever its cause, so that none is told to the database and forgotten
//! elsewhere.

use std::sync::Arc;

use super::{Trouble, audit::Event};
use crate::{
    domain::{clock::Clock, session::EndReason},
    store::{
        self, Database, StoreError, Transaction,
        revocations::{EndedSession, Revocations},
        sessions::{self, Which},
    },
};

/// Ends sessions.
#[derive(Debug, Clone)]
pub struct EndSession {
    /// Where sessions are.
    pub db: Database,
    /// What this process refuses from then on.
    pub revocations: Revocations,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Sessions that end when their transaction commits.
#[must_use = "the ends hold in this process only once they are announced"]
#[derive(Debug)]
pub struct Ending {
    ended: Vec<EndedSession>,
    reason: EndReason,
}

impl EndSession {
    /// Ends these sessions, durably and at once. Says how many there were.
    ///
    /// # Errors
    /// [`Trouble`] where the database did not confirm; then nothing has ended.
    pub async fn run(&self, which: &Which, reason: EndReason) -> Result<usize, Trouble> {
        let transaction = store::begin(&self.db).await?;
        let ending = self.within(&transaction, which, reason).await?;
        Ok(self.commit(transaction, ending).await?)
    }

    /// Ends these sessions together with whatever else `transaction` changes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn within(
        &self,
        transaction: &Transaction,
        which: &Which,
        reason: EndReason,
    ) -> Result<Ending, StoreError> {
        let ended = sessions::end(transaction, which, reason, self.clock.now()).await?;
        Ok(Ending { ended, reason })
    }

    /// Commits, then refuses the sessions' tokens in this process. Says how many sessions ended.
    ///
    /// # Errors
    /// [`StoreError`] where the database did not confirm.
    pub async fn commit(&self, transaction: Transaction, ending: Ending) -> Result<usize, StoreError> {
        store::commit(transaction).await?;
        let now = self.clock.now();
        for ended in &ending.ended {
            self.revocations.deny(*ended, now);
            Event::done("session_end").because(ending.reason.as_str()).session(ended.session).record();
        }
        Ok(ending.ended.len())
    }

    /// Loads the ends that still matter, before the first request is answered.
    ///
    /// # Errors
    /// [`Trouble`] where the database cannot tell.
    pub async fn load(&self) -> Result<(), Trouble> {
        let now = self.clock.now();
        for ended in sessions::ended_with_live_tokens(&self.db, now).await? {
            self.revocations.deny(ended, now);
        }
        Ok(())
    }
}
