//! Publishes changes of accounts, clients and sessions: written in the transaction that makes them, applied in this
//! process at the commit, and read by the other processes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use tracing::Instrument;

use crate::{
    domain::{
        clock::Clock,
        ids::{ClientId, UserId},
    },
    services::{Unavailable, audit::Event, metrics},
    store::{
        self, Database, StoreError, Transaction,
        changes::{self, Change, Entry, LONGEST_TRANSACTION, OVERLAP},
        entity_cache::EntityCache,
        refused_names::RefusedNames,
        revocations::Revocations,
    },
};

/// The changes that this process knows, and the table from which other processes read them.
#[derive(Debug, Clone)]
pub struct ChangeFeed {
    /// Where changes are written.
    pub db: Database,
    /// The revocations that this process knows.
    pub revocations: Revocations,
    /// The cache of accounts and clients.
    pub entities: EntityCache,
    /// The cache of refused names.
    pub refused: RefusedNames,
    /// The time source.
    pub clock: Arc<dyn Clock>,
}

/// Changes that hold when their transaction commits.
#[must_use = "the changes hold in this process only once they are committed here"]
#[derive(Debug)]
pub struct PendingChanges {
    entries: Vec<Entry>,
    since: Instant,
    events: Vec<Event>,
}

impl PendingChanges {
    /// Logs `event` when the transaction has committed, even if the request was dropped.
    pub fn recording(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }
}

/// How long a process may remember an account's profile, or a client.
const KNOWN_FOR: TimeDelta = TimeDelta::minutes(10);

impl ChangeFeed {
    /// Writes changes into the transaction that makes them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, transaction: &Transaction, entries: Vec<Entry>) -> Result<PendingChanges, StoreError> {
        let since = Instant::now();
        changes::write(transaction, &entries).await?;
        Ok(PendingChanges { entries, since, events: Vec::new() })
    }

    /// Commits, then applies the changes in this process. It completes even if the request is dropped.
    ///
    /// # Errors
    /// [`Unavailable`] where the database did not confirm, or took longer than the other replicas look back.
    pub async fn commit(&self, transaction: Transaction, written: PendingChanges) -> Result<(), Unavailable> {
        if written.since.elapsed() > LONGEST_TRANSACTION {
            return Err(Unavailable::TooSlow);
        }
        let changes = self.clone();
        let finish = async move {
            store::commit(transaction).await?;
            for entry in &written.entries {
                changes.apply(entry);
            }
            written.events.into_iter().for_each(Event::record);
            Ok::<_, StoreError>(())
        };
        // A task of its own: dropped between the commit and what follows, a revocation would wait for the next round.
        // It inherits neither the span nor the counters of this one.
        let done = tokio::spawn(metrics::counting_in(metrics::here(), finish).in_current_span()).await;
        done.map_err(|_| Unavailable::TooSlow)?.map_err(Unavailable::from)
    }

    /// The entry for an account that is changed now.
    #[must_use]
    pub fn account_changed(&self, user: UserId) -> Entry {
        Entry { change: Change::AccountChanged(user), matters_until: self.clock.now() + KNOWN_FOR }
    }

    /// The entry for a client whose registration is changed now.
    #[must_use]
    pub fn client_changed(&self, client: &ClientId) -> Entry {
        Entry { change: Change::ClientChanged(client.clone()), matters_until: self.clock.now() + KNOWN_FOR }
    }

    /// Applies a change in this process.
    fn apply(&self, entry: &Entry) {
        self.revocations.apply(entry, self.clock.now());
        self.entities.forget(&entry.change);
        self.refused.apply(&entry.change);
    }

    /// Reads all entries that matter, before the first request or after a long gap. Returns the time since which they
    /// are known.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub async fn load(&self) -> Result<Instant, Unavailable> {
        let began = Instant::now();
        self.entities.forget_all();
        self.read_all().await?;
        // Entries that became visible behind the page being read are found by their time.
        self.look_back(began.elapsed() + OVERLAP).await
    }

    /// Reads all entries that matter again, page by page, beside the regular polls.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub async fn read_all(&self) -> Result<(), Unavailable> {
        let now = self.clock.now();
        let mut after = Some(0);
        while let Some(last) = after {
            let (entries, next) = changes::page(&self.db, now, last).await?;
            for entry in &entries {
                self.apply(entry);
            }
            after = next;
        }
        Ok(())
    }

    /// Reads the latest entries. Returns the time since which all are known.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub async fn poll(&self) -> Result<Instant, Unavailable> {
        self.look_back(OVERLAP).await
    }

    async fn look_back(&self, span: Duration) -> Result<Instant, Unavailable> {
        let asked = Instant::now();
        for entry in &changes::since(&self.db, span).await? {
            self.apply(entry);
        }
        self.revocations.confirm(asked);
        Ok(asked)
    }
}
