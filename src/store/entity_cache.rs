//! Cached accounts and clients, so that frequent reads need no SQL. The change feed invalidates entries.

use std::time::Duration;

use moka::sync::Cache;
use sea_orm::ConnectionTrait;

use crate::{
    domain::{
        client::Client,
        ids::{ClientId, UserId},
        user::User,
    },
    store::{
        StoreError,
        changes::Change,
        clients::{self, SecretDigest},
        users,
    },
};

/// The most entries of each kind: some 10 MB in total.
const MOST: u64 = 10_000;
/// How long an entry lives without an invalidation.
const LIFETIME: Duration = Duration::from_mins(5);

/// Accounts and clients as they were last read.
#[derive(Debug, Clone)]
pub struct EntityCache {
    users: Cache<UserId, User>,
    clients: Cache<ClientId, (Client, Option<SecretDigest>)>,
}

impl Default for EntityCache {
    fn default() -> Self {
        Self {
            users: Cache::builder().max_capacity(MOST).time_to_live(LIFETIME).build(),
            clients: Cache::builder().max_capacity(MOST).time_to_live(LIFETIME).build(),
        }
    }
}

impl EntityCache {
    /// The account of `id`.
    ///
    /// # Errors
    /// [`StoreError`] where only the database could tell, and cannot.
    pub async fn user(&self, db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, StoreError> {
        if let Some(user) = self.users.get(&id) {
            return Ok(Some(user));
        }
        let found = users::find(db, id).await?;
        if let Some(user) = &found {
            self.users.insert(id, user.clone());
        }
        Ok(found)
    }

    /// A client and the digest of its secret, including the built-in client.
    ///
    /// # Errors
    /// [`StoreError`] if it is not cached and the database fails.
    pub async fn client(
        &self,
        db: &impl ConnectionTrait,
        id: &ClientId,
    ) -> Result<Option<(Client, Option<SecretDigest>)>, StoreError> {
        if let Some(client) = self.clients.get(id) {
            return Ok(Some(client));
        }
        let found = clients::find(db, id).await?;
        if let Some(client) = &found {
            self.clients.insert(id.clone(), client.clone());
        }
        Ok(found)
    }

    /// Invalidates the entries of a change. A concurrent reader may put the old entry back; later polls read the change
    /// again and invalidate it again.
    pub fn forget(&self, change: &Change) {
        match change {
            Change::AccountChanged(user) => self.users.invalidate(user),
            Change::ClientDeleted { client, .. } | Change::ClientChanged(client) => self.clients.invalidate(client),
            Change::SessionEnded { .. } | Change::TokenDenied { .. } => {}
        }
    }

    /// Invalidates everything.
    pub fn forget_all(&self) {
        self.users.invalidate_all();
        self.clients.invalidate_all();
    }
}
