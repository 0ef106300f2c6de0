//! Writes events that cause emails to the outbox, and wakes the sender.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    crypto::random::Random,
    domain::clock::Clock,
    store::{
        Database, StoreError, Transaction,
        outbox::{self, OutboxEvent},
    },
};

/// The writing side of the outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// Where it is.
    pub db: Database,
    /// Draws the ids of rows.
    pub random: Random,
    /// The time source.
    pub clock: Arc<dyn Clock>,
    /// Wakes this process's own sender; other processes poll.
    pub awake: Arc<Notify>,
}

impl Outbox {
    /// Writes an event that is not part of a transaction, and wakes the sender.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, cause: &OutboxEvent) -> Result<(), StoreError> {
        let now = self.clock.now();
        outbox::write(&self.db, self.random.uuid_v7(now), cause, now).await?;
        self.wake();
        Ok(())
    }

    /// Writes an event in the transaction of the change that it reports. After the commit, call [`Self::wake`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn within(&self, transaction: &Transaction, cause: &OutboxEvent) -> Result<(), StoreError> {
        let now = self.clock.now();
        outbox::write(transaction, self.random.uuid_v7(now), cause, now).await
    }

    /// Wakes the sender after a commit. Without this call, it finds the event within a second or two.
    pub fn wake(&self) {
        self.awake.notify_one();
    }
}
