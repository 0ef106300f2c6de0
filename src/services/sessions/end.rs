//! Ends sessions. Every end goes through here, so that each one is written, published to the replicas and notified to
//! its client.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    domain::{clock::Clock, session::EndReason},
    services::{
        Unavailable,
        audit::Event,
        change_feed::{ChangeFeed, PendingChanges},
    },
    store::{
        self, Database, StoreError, Transaction,
        changes::{Change, Entry},
        logout_notices,
        sessions::{self, SessionSelector},
    },
};

#[derive(Debug, Clone)]
pub struct EndSession {
    pub db: Database,
    /// Publishes the ends.
    pub changes: ChangeFeed,
    /// Wakes this process's worker of jobs; other processes poll.
    pub awake: Arc<Notify>,
    pub clock: Arc<dyn Clock>,
}

/// Sessions that end when their transaction commits.
#[must_use = "the ends hold in this process only once they are committed here"]
#[derive(Debug)]
pub struct EndedSessions {
    sessions: usize,
    notices: u64,
    written: PendingChanges,
}

impl EndedSessions {
    /// Logs `event` when the transaction has committed, beside one event for each session that ended.
    pub fn recording(self, event: Event) -> Self {
        Self { written: self.written.recording(event), ..self }
    }
}

impl EndSession {
    /// Ends these sessions, durably and at once. Returns their number.
    ///
    /// # Errors
    /// [`Unavailable`] where the database did not confirm.
    pub async fn run(&self, which: &SessionSelector, reason: EndReason) -> Result<usize, Unavailable> {
        let transaction = store::begin(&self.db).await?;
        let ending = self.within(&transaction, which, reason, Vec::new()).await?;
        self.commit(transaction, ending).await
    }

    /// Ends these sessions together with the other changes of `transaction`, whose entries are `also`. Notices for
    /// their clients are written too.
    pub async fn within(
        &self,
        transaction: &Transaction,
        which: &SessionSelector,
        reason: EndReason,
        also: Vec<Entry>,
    ) -> Result<EndedSessions, StoreError> {
        let ended = sessions::end(transaction, which, reason, self.clock.now()).await?;
        // Built-in clients have no back-channel logout URI; skip them.
        let of_clients = ended.iter().filter(|ended| !ended.client.is_built_in()).map(|ended| ended.session);
        let of_clients: Vec<_> = of_clients.collect();
        let notices = logout_notices::write(transaction, &of_clients, self.clock.now()).await?;
        let mut entries = also;
        entries.extend(ended.iter().map(|ended| Entry {
            change: Change::SessionEnded { session: ended.session, status: ended.status },
            matters_until: ended.access_ends_at,
        }));
        let mut written = self.changes.write(transaction, entries).await?;
        for ended in &ended {
            written = written.recording(Event::done("session_end").because(reason.as_str()).session(ended.session));
        }
        Ok(EndedSessions { sessions: ended.len(), notices, written })
    }

    /// Commits, then refuses the sessions' tokens in this process. Returns the number of sessions that ended.
    ///
    /// # Errors
    /// [`Unavailable`] where the database did not confirm.
    pub async fn commit(&self, transaction: Transaction, ending: EndedSessions) -> Result<usize, Unavailable> {
        self.changes.commit(transaction, ending.written).await?;
        if ending.notices > 0 {
            self.awake.notify_one();
        }
        Ok(ending.sessions)
    }
}
