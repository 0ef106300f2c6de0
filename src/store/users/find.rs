//! Accounts: the queries that read them.

use entity::user::{Column, Entity, Model};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, sea_query::Condition,
};
use uuid::Uuid;

use crate::{
    domain::{
        email::EmailAddress,
        ids::UserId,
        password_hash::PasswordHash,
        user::{AccountRecord, User},
        username::Username,
    },
    store::{StoreError, Transaction, rows::from_json},
};

/// The account of `id`.
pub async fn find(db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, StoreError> {
    Entity::find_by_id(id.0).one(db).await?.map(user).transpose()
}

/// How a user names an account at login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identifier {
    /// By its username.
    Username(Username),
    /// By a verified email address; unverified ones identify nobody.
    Email(EmailAddress),
    /// By the account's id, if it is known already.
    Id(UserId),
}

/// An account and its password hash, if it has one.
pub async fn find_with_password(
    db: &impl ConnectionTrait,
    identifier: &Identifier,
) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
    let Some(mut row) = named(identifier).one(db).await? else { return Ok(None) };
    let password_hash = row.password_hash.take().map(PasswordHash::from_stored);
    Ok(Some((user(row)?, password_hash)))
}

/// The account with this identifier.
pub async fn find_named(db: &impl ConnectionTrait, identifier: &Identifier) -> Result<Option<User>, StoreError> {
    named(identifier).one(db).await?.map(user).transpose()
}

/// Like [`find_named`], locked until the transaction ends.
pub async fn hold(transaction: &Transaction, identifier: &Identifier) -> Result<Option<User>, StoreError> {
    named(identifier).lock_exclusive().one(transaction).await?.map(user).transpose()
}

/// The account, locked with every other account that claims this email address until the transaction ends. One order of
/// locking for all, so that two transactions cannot deadlock.
pub async fn hold_claimants(
    transaction: &Transaction,
    id: UserId,
    email: &EmailAddress,
) -> Result<Option<User>, StoreError> {
    let rows = Entity::find()
        .filter(Condition::any().add(Column::Id.eq(id.0)).add(Column::EmailKey.eq(email.key())))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(transaction)
        .await?;
    rows.into_iter().find(|row| row.id == id.0).map(user).transpose()
}

fn named(identifier: &Identifier) -> Select<Entity> {
    match identifier {
        Identifier::Username(name) => Entity::find().filter(Column::UsernameKey.eq(name.key())),
        Identifier::Email(email) => {
            Entity::find().filter(Column::EmailKey.eq(email.key())).filter(Column::EmailVerified.eq(true))
        }
        Identifier::Id(id) => Entity::find_by_id(id.0),
    }
}

/// Whether the username is taken now, or looks like one that is. Only an insert decides.
pub async fn is_taken(db: &impl ConnectionTrait, username: &Username) -> Result<bool, StoreError> {
    let found = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(
            Condition::any()
                .add(Column::UsernameKey.eq(username.key()))
                .add(Column::UsernameSkeleton.eq(username.skeleton())),
        )
        .into_tuple::<uuid::Uuid>()
        .one(db)
        .await?;
    Ok(found.is_some())
}

/// The next `most` accounts after `after`, oldest first; `None` starts. Fewer than `most` accounts are the last.
pub async fn page(
    db: &impl ConnectionTrait,
    after: Option<UserId>,
    most: u64,
) -> Result<Vec<AccountRecord>, StoreError> {
    let after = after.map_or(Uuid::nil(), |id| id.0);
    let rows = Entity::find().filter(Column::Id.gt(after)).order_by_asc(Column::Id).limit(most).all(db).await?;
    let record = |row: Model| {
        let has_password = row.password_hash.is_some();
        Ok(AccountRecord { user: user(row)?, has_password })
    };
    rows.into_iter().map(record).collect()
}

/// The account of `id`, locked until the transaction ends.
pub async fn find_to_change(db: &Transaction, id: UserId) -> Result<Option<User>, StoreError> {
    // (SQLite has one writer at a time, and sea-query writes no lock there.)
    Entity::find_by_id(id.0).lock_exclusive().one(db).await?.map(user).transpose()
}

pub(in crate::store) fn user(row: Model) -> Result<User, StoreError> {
    let email = row.email.zip(row.email_key).map(|(address, key)| EmailAddress::from_stored(address, key));
    Ok(User {
        id: UserId(row.id),
        username: Username::from_stored(row.username, row.username_key),
        email,
        email_verified: row.email_verified,
        roles: from_json("user", &row.roles)?,
        created_at: row.created_at,
        disabled_at: row.disabled_at,
    })
}
