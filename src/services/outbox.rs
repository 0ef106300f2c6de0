//! Writes events that cause emails to the outbox, and wakes the worker of jobs.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    crypto::random::Random,
    domain::{clock::Clock, email::EmailAddress, mail::AccountChange, user::User},
    store::{
        Database, StoreError, Transaction,
        outbox::{self, Notice, OutboxEvent},
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
    /// Wakes this process's own worker of jobs; other processes poll.
    pub awake: Arc<Notify>,
}

impl Outbox {
    /// Writes an event that is not part of a transaction, and wakes the worker.
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

    /// Tells the owner of a change of their account, in its transaction, if the account has a verified address. `user` is
    /// the account before the change. After the commit, call [`Self::wake`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tell_owner(
        &self,
        transaction: &Transaction,
        user: &User,
        change: AccountChange,
    ) -> Result<(), StoreError> {
        match user.email.as_ref().filter(|_| user.email_verified) {
            Some(to) => self.tell(transaction, user, user.username.as_written(), to, change).await,
            None => Ok(()),
        }
    }

    /// Tells the owner of a changed username; `user` is the account before the change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tell_renamed(&self, transaction: &Transaction, user: &User, username: &str) -> Result<(), StoreError> {
        match user.email.as_ref().filter(|_| user.email_verified) {
            Some(to) => {
                let old = user.username.as_written().to_owned();
                self.tell(transaction, user, username, to, AccountChange::Username(old)).await
            }
            None => Ok(()),
        }
    }

    async fn tell(
        &self,
        transaction: &Transaction,
        user: &User,
        username: &str,
        to: &EmailAddress,
        change: AccountChange,
    ) -> Result<(), StoreError> {
        let notice = Notice { user: user.id, to: to.clone(), username: Some(username.to_owned()), change };
        self.within(transaction, &OutboxEvent::Changed(notice)).await
    }

    /// Wakes the worker after a commit. Without this call, it finds the event within a second or two.
    pub fn wake(&self) {
        self.awake.notify_one();
    }
}
