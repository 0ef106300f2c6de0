//! Consents: what people have allowed clients, so that they are asked once.

use chrono::{DateTime, Utc};
use entity::consent::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::OnConflict,
};

use super::{StoreError, rows::unreadable};
use crate::domain::{
    ids::{ClientId, UserId},
    scope::Scope,
};

const TABLE: &str = "consent";

/// What somebody has allowed a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Whom.
    pub client: ClientId,
    /// What.
    pub scope: Scope,
    /// When they last did.
    pub given_at: DateTime<Utc>,
}

/// Keeps what `user` allows, in place of what they allowed that client before.
///
/// # Errors
/// [`StoreError`].
pub async fn put(db: &impl ConnectionTrait, user: UserId, consent: &Consent) -> Result<(), StoreError> {
    let row = ActiveModel {
        user_id: Set(user.0),
        client_id: Set(consent.client.as_str().to_owned()),
        scope: Set(consent.scope.to_string()),
        given_at: Set(consent.given_at),
    };
    let again = OnConflict::columns([Column::UserId, Column::ClientId])
        .update_columns([Column::Scope, Column::GivenAt])
        .to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// What `user` allows `client`.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn find(db: &impl ConnectionTrait, user: UserId, client: &ClientId) -> Result<Option<Consent>, StoreError> {
    Entity::find_by_id((user.0, client.as_str().to_owned())).one(db).await?.as_ref().map(consent).transpose()
}

/// All that `user` allows, newest first.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn of(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Consent>, StoreError> {
    let rows = Entity::find().filter(Column::UserId.eq(user.0)).order_by_desc(Column::GivenAt).all(db).await?;
    rows.iter().map(consent).collect()
}

/// Takes back what `user` allowed `client`. Says whether there was anything.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn delete(db: &impl ConnectionTrait, user: UserId, client: &ClientId) -> Result<bool, StoreError> {
    let done = Entity::delete_by_id((user.0, client.as_str().to_owned())).exec(db).await?;
    Ok(done.rows_affected == 1)
}

/// Takes back all that `user` allowed anybody: the account is deleted.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn delete_of_user(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).exec(db).await?;
    Ok(())
}

/// Forgets all that anybody allowed `client`: it is deleted.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn delete_of_client(db: &impl ConnectionTrait, client: &ClientId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::ClientId.eq(client.as_str())).exec(db).await?;
    Ok(())
}

fn consent(row: &Model) -> Result<Consent, StoreError> {
    Ok(Consent {
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
        scope: Scope::parse(&row.scope).map_err(|why| unreadable(TABLE, why))?,
        given_at: row.given_at,
    })
}
