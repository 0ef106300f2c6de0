//! Consents: the scopes that users have granted to clients, so that they are asked once.

use chrono::{DateTime, Utc};
use entity::consent::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::OnConflict,
};

use super::{
    StoreError,
    rows::{from_json, to_json, unreadable},
};
use crate::domain::{
    ids::{ClientId, UserId},
    scope::Scope,
};

const TABLE: &str = "consent";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub client: ClientId,
    pub scope: Scope,
    /// The resources that the client may name (RFC 8707).
    pub resources: Vec<String>,
    /// The time of the latest consent.
    pub given_at: DateTime<Utc>,
}

/// The most resources of a consent; the oldest are asked about again.
const MOST_RESOURCES: usize = 20;

impl Consent {
    /// Whether the client may name this resource, or none.
    #[must_use]
    pub fn covers(&self, resource: Option<&str>) -> bool {
        resource.is_none_or(|resource| self.resources.iter().any(|known| known == resource))
    }

    /// Adds a resource.
    pub fn add(&mut self, resource: Option<&str>) {
        if let Some(resource) = resource.filter(|resource| !self.covers(Some(resource))) {
            self.resources.push(resource.to_owned());
            let over = self.resources.len().saturating_sub(MOST_RESOURCES);
            self.resources.drain(..over);
        }
    }
}

/// Stores a consent in place of the user's earlier one for that client.
pub async fn put(db: &impl ConnectionTrait, user: UserId, consent: &Consent) -> Result<(), StoreError> {
    let row = ActiveModel {
        user_id: Set(user.0),
        client_id: Set(consent.client.as_str().to_owned()),
        scope: Set(consent.scope.to_string()),
        resources: Set(to_json(&consent.resources)),
        given_at: Set(consent.given_at),
    };
    let again = OnConflict::columns([Column::UserId, Column::ClientId])
        .update_columns([Column::Scope, Column::Resources, Column::GivenAt])
        .to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// The user's consent for `client`.
pub async fn find(db: &impl ConnectionTrait, user: UserId, client: &ClientId) -> Result<Option<Consent>, StoreError> {
    Entity::find_by_id((user.0, client.as_str().to_owned())).one(db).await?.as_ref().map(consent).transpose()
}

/// All consents of a user, newest first.
pub async fn of(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Consent>, StoreError> {
    let rows = Entity::find().filter(Column::UserId.eq(user.0)).order_by_desc(Column::GivenAt).all(db).await?;
    rows.iter().map(consent).collect()
}

/// Deletes the user's consent for `client`. Returns whether there was one.
pub async fn delete(db: &impl ConnectionTrait, user: UserId, client: &ClientId) -> Result<bool, StoreError> {
    let done = Entity::delete_by_id((user.0, client.as_str().to_owned())).exec(db).await?;
    Ok(done.rows_affected == 1)
}

/// Deletes all consents of a user whose account is deleted.
pub async fn delete_of_user(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).exec(db).await?;
    Ok(())
}

/// Deletes all consents for a client that is deleted.
pub async fn delete_of_client(db: &impl ConnectionTrait, client: &ClientId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::ClientId.eq(client.as_str())).exec(db).await?;
    Ok(())
}

fn consent(row: &Model) -> Result<Consent, StoreError> {
    Ok(Consent {
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
        scope: Scope::parse(&row.scope).map_err(|why| unreadable(TABLE, why))?,
        resources: from_json(TABLE, &row.resources)?,
        given_at: row.given_at,
    })
}
