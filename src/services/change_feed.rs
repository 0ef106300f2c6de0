//! Publishes changes of accounts, clients and sessions: written in the transaction that makes them, applied in this
//! process at the commit, and read by the other processes.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use tracing::Instrument;

use crate::{
    crypto::keys::ring::Keyring,
    domain::{
        clock::Clock,
        ids::{ClientId, UserId},
        key_schedule::RevokedKey,
    },
    services::{Unavailable, audit::Event, metrics},
    store::{
        self, Database, StoreError, Transaction,
        changes::{self, Change, DatabaseTime, Entry, LONGEST_TRANSACTION, OVERLAP},
        entity_cache::EntityCache,
        refused_names::RefusedNames,
        revocations::Revocations,
    },
};

/// The changes that this process knows, and the table from which other processes read them.
#[derive(Debug, Clone)]
pub struct ChangeFeed {
    /// Where changes are read, and notified once they are committed.
    pub db: Database,
    /// The revocations that this process knows.
    pub revocations: Revocations,
    /// The cache of accounts and clients.
    pub entities: EntityCache,
    /// The cache of refused names.
    pub refused: RefusedNames,
    /// The keys of this process; `None` in a command, which verifies nothing.
    pub keyring: Option<Arc<Keyring>>,
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

/// Longer than any process runs.
const FOR_EVER: TimeDelta = TimeDelta::days(3650);

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
        let feed = self.clone();
        let finish = async move {
            store::commit(transaction).await?;
            for entry in &written.entries {
                feed.apply(entry);
            }
            written.events.into_iter().for_each(Event::record);
            if !written.entries.is_empty()
                && !matches!(tokio::time::timeout(NOTIFYING, changes::notify(&feed.db)).await, Ok(Ok(())))
            {
                tracing::debug!("no notification; the replicas will see the change at their next poll");
            }
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

    /// The entry for a key that is revoked now. It matters for ever: a thief may sign with the key at any time.
    #[must_use]
    pub fn key_revoked(&self, key: RevokedKey) -> Entry {
        Entry { change: Change::KeyRevoked(key), matters_until: self.clock.now() + FOR_EVER }
    }

    /// Applies a change in this process.
    fn apply(&self, entry: &Entry) {
        self.revocations.apply(entry, self.clock.now());
        self.entities.forget(&entry.change);
        self.refused.apply(&entry.change);
        if let (Change::KeyRevoked(key), Some(keyring)) = (&entry.change, &self.keyring)
            && keyring.revoke(key)
        {
            // What it reads is small, and a key is revoked once in years.
            tracing::warn!(kid = key.kid, kind = key.kind.as_str(), "key revoked");
        }
    }

    /// Reads all entries that matter, page by page, before the first request. Returns how far it read.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub async fn load(&self) -> Result<Cursor, Unavailable> {
        let read_to = in_time(changes::clock(&self.db)).await?;
        let now = self.clock.now();
        let mut after = Some(0);
        while let Some(last) = after {
            let (entries, next) = in_time(changes::page(&self.db, now, last)).await?;
            for entry in &entries {
                self.apply(entry);
            }
            after = next;
        }
        let mut cursor = Cursor { read_to, at: Instant::now(), seen: HashSet::new() };
        // Entries that became visible behind the page being read are found by their time.
        self.poll(&mut cursor).await?;
        Ok(cursor)
    }

    /// Reads what came since `cursor`, and the overlap before it. It costs what came, however large the table is and
    /// however long the last poll is ago.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell. The cursor stays; each page had its own time.
    pub async fn poll(&self, cursor: &mut Cursor) -> Result<(), Unavailable> {
        let asked = Instant::now();
        let now = in_time(changes::clock(&self.db)).await?;
        if cursor.at.elapsed() > SILENCE {
            // What was read from the database meanwhile may be older than a change whose entry is gone already.
            self.entities.forget_all();
        }
        // After a failover the clock may be behind the one before.
        let from = cursor.read_to.min(now).before(OVERLAP);
        let seen = self.read(from, &cursor.seen).await?;
        *cursor = Cursor { read_to: now, at: asked, seen };
        self.revocations.confirm(asked);
        Ok(())
    }

    /// Reads what came a moment ago, after a notification. That confirms nothing: what took longer to commit is found by
    /// the next poll.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub async fn look(&self, cursor: &mut Cursor) -> Result<(), Unavailable> {
        let seen = self.read(cursor.read_to.before(RECENT), &cursor.seen).await?;
        cursor.seen.extend(seen);
        Ok(())
    }

    /// Reads the entries of the last `span` again, in case a commit took longer than the overlap.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub async fn read_again(&self, span: Duration) -> Result<(), Unavailable> {
        let now = in_time(changes::clock(&self.db)).await?;
        self.read(now.before(span), &HashSet::new()).await.map(drop)
    }

    /// Applies the entries written since `from`, whose revocations are known already of the ids `known`. Returns the ids of
    /// all.
    async fn read(&self, from: DatabaseTime, known: &HashSet<i64>) -> Result<HashSet<i64>, Unavailable> {
        let (mut seen, mut place) = (HashSet::new(), None);
        loop {
            let page = in_time(changes::since(&self.db, from, place)).await?;
            for (id, entry) in &page.entries {
                if known.contains(id) {
                    // A concurrent attempt may have put a refusal back. The cache of entities takes no old entry.
                    self.refused.apply(&entry.change);
                } else {
                    self.apply(entry);
                }
                seen.insert(*id);
            }
            place = page.next;
            if place.is_none() {
                return Ok(seen);
            }
        }
    }
}

/// How far the change table has been read.
#[derive(Debug)]
pub struct Cursor {
    /// The database's time at the last poll.
    read_to: DatabaseTime,
    /// This process's time at the last poll.
    at: Instant,
    /// The entries of the overlap before it, which need not be applied again.
    seen: HashSet<i64>,
}

/// How far before the last poll the look after a notification begins: longer than most transactions take.
const RECENT: Duration = Duration::from_secs(1);
/// After this time without a poll, entries of caches may be older than the table's.
const SILENCE: Duration = Duration::from_secs(5);
/// The longest wait for a notification to be sent: the change is committed already.
const NOTIFYING: Duration = Duration::from_secs(1);
/// The longest wait for one statement of the follower. A whole poll may take longer, and still gets on.
const PATIENCE: Duration = Duration::from_secs(4);

async fn in_time<T>(statement: impl Future<Output = Result<T, StoreError>>) -> Result<T, Unavailable> {
    Ok(tokio::time::timeout(PATIENCE, statement).await.map_err(|_| Unavailable::TooSlow)??)
}
