//! Ends sessions. Every end goes through here, whatever its cause, so that none is told to the database and forgotten
//! elsewhere.

use std::sync::Arc;

use super::{
    Trouble,
    audit::Event,
    changes::{Changes, Written},
};
use crate::{
    domain::{clock::Clock, ids::SessionId, session::EndReason},
    store::{
        self, Database, StoreError, Transaction,
        changes::{Change, Entry},
        sessions::{self, Which},
    },
};

/// Ends sessions.
#[derive(Debug, Clone)]
pub struct EndSession {
    /// Where sessions are.
    pub db: Database,
    /// Tells this process and the others.
    pub changes: Changes,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Sessions that end when their transaction commits.
#[must_use = "the ends hold in this process only once they are committed here"]
#[derive(Debug)]
pub struct Ending {
    ended: Vec<SessionId>,
    reason: EndReason,
    written: Written,
}

impl EndSession {
    /// Ends these sessions, durably and at once. Says how many there were.
    ///
    /// # Errors
    /// [`Trouble`] where the database did not confirm.
    pub async fn run(&self, which: &Which, reason: EndReason) -> Result<usize, Trouble> {
        let transaction = store::begin(&self.db).await?;
        let ending = self.within(&transaction, which, reason, Vec::new()).await?;
        self.commit(transaction, ending).await
    }

    /// Ends these sessions together with whatever else `transaction` changes; `also` is what others must learn of that.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn within(
        &self,
        transaction: &Transaction,
        which: &Which,
        reason: EndReason,
        also: Vec<Entry>,
    ) -> Result<Ending, StoreError> {
        let ended = sessions::end(transaction, which, reason, self.clock.now()).await?;
        let mut entries = also;
        entries.extend(ended.iter().map(|ended| Entry {
            change: Change::SessionEnded { session: ended.session, status: ended.status },
            matters_until: ended.access_ends_at,
        }));
        let written = self.changes.write(transaction, entries).await?;
        Ok(Ending { ended: ended.iter().map(|ended| ended.session).collect(), reason, written })
    }

    /// Commits, then refuses the sessions' tokens in this process. Says how many sessions ended.
    ///
    /// # Errors
    /// [`Trouble`] where the database did not confirm.
    pub async fn commit(&self, transaction: Transaction, ending: Ending) -> Result<usize, Trouble> {
        self.changes.commit(transaction, ending.written).await?;
        for session in &ending.ended {
            Event::done("session_end").because(ending.reason.as_str()).session(*session).record();
        }
        Ok(ending.ended.len())
    }
}
