//! Tells this process and every other what each must refuse, or read again: within the transaction that makes the
//! change, and at once when it has committed.

use std::{sync::Arc, time::Instant};

use super::Trouble;
use crate::{
    domain::clock::Clock,
    store::{
        self, Database, StoreError, Transaction,
        changes::{self, Entry, LONGEST_TRANSACTION},
        remembered::Remembered,
        revocations::Revocations,
    },
};

/// What this process knows of changes, and where others learn of them.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Where changes are written.
    pub db: Database,
    /// What is refused.
    pub revocations: Revocations,
    /// What is kept of accounts and clients.
    pub remembered: Remembered,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Changes that hold when their transaction commits.
#[must_use = "the changes hold in this process only once they are committed here"]
#[derive(Debug)]
pub struct Written {
    entries: Vec<Entry>,
    since: Instant,
}

impl Changes {
    /// Writes changes into the transaction that makes them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, transaction: &Transaction, entries: Vec<Entry>) -> Result<Written, StoreError> {
        let since = Instant::now();
        changes::write(transaction, &entries).await?;
        Ok(Written { entries, since })
    }

    /// Commits, then applies the changes in this process. It goes on to the end even if whoever asked has gone.
    ///
    /// # Errors
    /// [`Trouble`] where the database did not confirm, or took longer than the other replicas look back.
    pub async fn commit(&self, transaction: Transaction, written: Written) -> Result<(), Trouble> {
        if written.since.elapsed() > LONGEST_TRANSACTION {
            return Err(Trouble::TooSlow);
        }
        let changes = self.clone();
        let finish = async move {
            store::commit(transaction).await?;
            for entry in &written.entries {
                changes.learn(entry);
            }
            Ok::<_, StoreError>(())
        };
        // A task of its own: dropped between the commit and what follows, a revocation would wait for the next round.
        let done = tokio::spawn(finish).await;
        done.map_err(|_| Trouble::TooSlow)?.map_err(Trouble::from)
    }

    /// Applies a change in this process.
    fn learn(&self, entry: &Entry) {
        self.revocations.learn(entry, self.clock.now());
        self.remembered.forget(&entry.change);
    }

    /// Learns all that matters, before the first request is answered or after a time of silence.
    ///
    /// # Errors
    /// [`Trouble`] where the database cannot tell.
    pub async fn load(&self) -> Result<(), Trouble> {
        let asked = Instant::now();
        let entries = changes::all(&self.db, self.clock.now()).await?;
        self.remembered.forget_all();
        for entry in &entries {
            self.learn(entry);
        }
        self.revocations.confirm(asked);
        Ok(())
    }

    /// Learns what has come lately.
    ///
    /// # Errors
    /// [`Trouble`] where the database cannot tell.
    pub async fn look(&self) -> Result<(), Trouble> {
        let asked = Instant::now();
        let entries = changes::recent(&self.db).await?;
        for entry in &entries {
            self.learn(entry);
        }
        self.revocations.confirm(asked);
        Ok(())
    }
}
