//! Records of the keys that were ever made. If a record exists and its file is missing, a folder was lost; a new key
//! would silently invalidate every token issued so far.

use chrono::{DateTime, Utc};
use entity::key_record::{ActiveModel, Column, Entity, Model};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, sea_query::OnConflict};

use super::StoreError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// An algorithm, or `root`.
    pub kind: String,
    /// The file name.
    pub file: String,
    pub created_at: DateTime<Utc>,
}

pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<KeyRecord>, StoreError> {
    let rows = Entity::find().all(db).await?;
    Ok(rows.into_iter().map(|Model { kind, file, created_at }| KeyRecord { kind, file, created_at }).collect())
}

/// Records the first key of a kind; an existing record stays unchanged.
pub async fn remember(db: &impl ConnectionTrait, record: KeyRecord) -> Result<(), StoreError> {
    let row = ActiveModel { kind: Set(record.kind), file: Set(record.file), created_at: Set(record.created_at) };
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::Kind).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}
