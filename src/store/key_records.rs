//! The record of which keys were ever made. Where one stands here and its file is gone, somebody lost a folder, and a
//! new key would silently refuse every token issued so far.

use chrono::{DateTime, Utc};
use entity::key_record::{ActiveModel, Column, Entity, Model};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, sea_query::OnConflict};

use super::StoreError;

/// A key that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// What kind: an algorithm, or `root`.
    pub kind: String,
    /// The name of its file.
    pub file: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Every record.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<KeyRecord>, StoreError> {
    let rows = Entity::find().all(db).await?;
    Ok(rows.into_iter().map(|Model { kind, file, created_at }| KeyRecord { kind, file, created_at }).collect())
}

/// Remembers that the first key of a kind exists; one that is remembered already stays as it is.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn remember(db: &impl ConnectionTrait, record: KeyRecord) -> Result<(), StoreError> {
    let row = ActiveModel { kind: Set(record.kind), file: Set(record.file), created_at: Set(record.created_at) };
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::Kind).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}
