//! Puts causes of mails into the outbox, and wakes whoever sends them.

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

/// The outbox, as those see it who write to it.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// Where it is.
    pub db: Database,
    /// Names what is written.
    pub random: Random,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Wakes this process's own sender; others look by themselves.
    pub awake: Arc<Notify>,
}

impl Outbox {
    /// Writes a cause that is no part of a greater change, and has it sent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write(&self, cause: &OutboxEvent) -> Result<(), StoreError> {
        let now = self.clock.now();
        outbox::write(&self.db, self.random.uuid_v7(now), cause, now).await?;
        self.wake();
        Ok(())
    }

    /// Writes a cause into the transaction that makes the change which it tells of. Once that is committed,
    /// [`Self::wake`] has it sent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn within(&self, transaction: &Transaction, cause: &OutboxEvent) -> Result<(), StoreError> {
        let now = self.clock.now();
        outbox::write(transaction, self.random.uuid_v7(now), cause, now).await
    }

    /// Says that something was committed. Should nobody come to say so, it is found within a second or two.
    pub fn wake(&self) {
        self.awake.notify_one();
    }
}
