//! Cached accounts and clients, so that frequent reads need no SQL. The change feed invalidates entries.
//!
//! A read that begins before a change and ends after its invalidation must not put the old entry back. So the cache takes
//! a read only if nothing was invalidated since it began. Forgetting entries again and again instead would cost a query
//! each time, and a client's requests would fail while the database is slow.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use sea_orm::ConnectionTrait;

use crate::{
    domain::{
        client::Client,
        ids::{ClientId, UserId},
        role::Role,
        user::User,
    },
    store::{
        StoreError,
        changes::Change,
        clients::{self, SecretDigest},
        users,
    },
};

/// The most bytes of each kind. Anybody may register an account, and where registration is open a client of some 60 kB, so
/// a number of entries would bound nothing.
const MOST: u64 = 16 * 1024 * 1024;
/// The size of an entry beside its texts, in bytes: its structs, and moka's own.
const BESIDE: usize = 1024;
/// How long an entry lives without an invalidation.
const LIFETIME: Duration = Duration::from_mins(5);

/// How long an id that no client has is remembered: a stranger who sends such ids costs few queries.
const MISSING_FOR: Duration = Duration::from_secs(5);
/// The most such ids: a megabyte or two.
const MOST_MISSING: u64 = 10_000;

/// Accounts and clients as they were last read.
#[derive(Debug, Clone)]
pub struct EntityCache {
    users: Cache<UserId, User>,
    clients: Cache<ClientId, (Client, Option<SecretDigest>)>,
    /// Ids that no client has.
    no_clients: Cache<ClientId, ()>,
    /// How often something was invalidated. It is held while entries come and go.
    invalidations: Arc<Mutex<u64>>,
}

impl Default for EntityCache {
    fn default() -> Self {
        Self {
            users: Cache::builder().weigher(user_weight).max_capacity(MOST).time_to_live(LIFETIME).build(),
            clients: Cache::builder().weigher(client_weight).max_capacity(MOST).time_to_live(LIFETIME).build(),
            no_clients: Cache::builder().max_capacity(MOST_MISSING).time_to_live(MISSING_FOR).build(),
            invalidations: Arc::default(),
        }
    }
}

fn weight(texts: impl IntoIterator<Item = usize>) -> u32 {
    u32::try_from(texts.into_iter().sum::<usize>() + BESIDE).unwrap_or(u32::MAX)
}

fn user_weight(_: &UserId, user: &User) -> u32 {
    let email = user.email.as_ref().map_or(0, |email| email.as_str().len() + email.key().len());
    let roles = user.roles.iter().map(|role| role.as_str().len() + size_of::<Role>());
    weight(roles.chain([user.username.as_written().len(), user.username.key().len(), email]))
}

fn client_weight(id: &ClientId, (client, _): &(Client, Option<SecretDigest>)) -> u32 {
    let lists = [&client.audiences, &client.resources, &client.redirect_uris, &client.post_logout_redirect_uris];
    let of_lists = lists.into_iter().flatten().map(|text| text.len() + size_of::<String>());
    let of_scope = client.scope.iter().map(|token| token.len() + size_of::<String>());
    let texts = [&client.backchannel_logout_uri, &client.jwks].into_iter().flatten().map(String::len);
    weight(of_lists.chain(of_scope).chain(texts).chain([2 * id.as_str().len(), client.name.len()]))
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
        let began = self.begin();
        let found = users::find(db, id).await?;
        if let Some(user) = &found {
            self.remember(began, || self.users.insert(id, user.clone()));
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
        if let Some(client) = self.cached_client(id) {
            return Ok(Some(client));
        }
        if self.no_clients.contains_key(id) {
            return Ok(None);
        }
        let began = self.begin();
        let found = clients::find(db, id).await?;
        self.remember(began, || match &found {
            Some(client) => self.clients.insert(id.clone(), client.clone()),
            None => self.no_clients.insert(id.clone(), ()),
        });
        Ok(found)
    }

    /// The state of the cache before a read.
    fn begin(&self) -> u64 {
        *self.invalidations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a read found that began at `began`.
    fn remember(&self, began: u64, insert: impl FnOnce()) {
        let invalidations = self.invalidations.lock().unwrap_or_else(PoisonError::into_inner);
        if *invalidations == began {
            insert();
        }
    }

    fn invalidate(&self, invalidate: impl FnOnce()) {
        let mut invalidations = self.invalidations.lock().unwrap_or_else(PoisonError::into_inner);
        *invalidations = invalidations.wrapping_add(1);
        invalidate();
    }

    /// A client, if it is cached.
    #[must_use]
    pub fn cached_client(&self, id: &ClientId) -> Option<(Client, Option<SecretDigest>)> {
        self.clients.get(id)
    }

    /// Invalidates the entries of a change that is visible in the database.
    pub fn forget(&self, change: &Change) {
        match change {
            Change::AccountChanged(user) => self.invalidate(|| self.users.invalidate(user)),
            Change::ClientDeleted { client, .. } | Change::ClientChanged(client) => self.invalidate(|| {
                self.clients.invalidate(client);
                self.no_clients.invalidate(client);
            }),
            Change::SessionsEnded(_)
            | Change::SessionEnded { .. }
            | Change::TokenDenied { .. }
            | Change::KeyRevoked(_) => {}
        }
    }

    /// Invalidates everything.
    pub fn forget_all(&self) {
        self.invalidate(|| {
            self.users.invalidate_all();
            self.clients.invalidate_all();
            self.no_clients.invalidate_all();
        });
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::username::Username;

    #[test]
    fn what_was_read_before_an_invalidation_is_not_remembered() {
        let cache = EntityCache::default();
        let id = ClientId::parse("billing").expect("a client id");
        let began = cache.begin();
        cache.forget(&Change::ClientChanged(id.clone()));
        cache.remember(began, || cache.no_clients.insert(id.clone(), ()));
        assert!(!cache.no_clients.contains_key(&id), "it may be old");
        cache.remember(cache.begin(), || cache.no_clients.insert(id.clone(), ()));
        assert!(cache.no_clients.contains_key(&id));
    }

    /// Ten thousand clients of 60 kB would be 600 MB.
    #[test]
    fn what_is_remembered_is_bounded_by_its_size_and_not_by_its_number() {
        let cache = EntityCache::default();
        for n in 0..2000 {
            let id = ClientId::parse(&format!("c-{n}")).expect("an id");
            let uris = vec![format!("https://app.example/{}", "x".repeat(2000)); 30];
            let client = Client { redirect_uris: uris, ..Client::first_party() };
            cache.clients.insert(id, (client, None));
        }
        cache.clients.run_pending_tasks();
        assert!((1..=MOST).contains(&cache.clients.weighted_size()), "{}", cache.clients.weighted_size());
        assert!(cache.clients.entry_count() < 300, "{}", cache.clients.entry_count());
    }

    #[test]
    fn thousands_of_usual_accounts_are_remembered() {
        let cache = EntityCache::default();
        for n in 0..10_000_u32 {
            let user = User {
                id: UserId(Uuid::from_u128(n.into())),
                username: Username::parse(&format!("person{n}")).expect("a username"),
                email: None,
                email_verified: false,
                roles: vec![],
                created_at: DateTime::UNIX_EPOCH,
                disabled_at: None,
            };
            cache.users.insert(user.id, user);
        }
        cache.users.run_pending_tasks();
        assert_eq!(cache.users.entry_count(), 10_000);
    }
}
