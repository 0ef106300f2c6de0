//! Attempts to log in with a provider: what was used is not used again. An attempt itself travels with its browser.

use chrono::{DateTime, Utc};
use entity::federation_attempt::{ActiveModel, Column, Entity};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryTrait,
    sea_query::{LockBehavior, LockType, OnConflict, Query},
};

use super::{StoreError, rows};

/// SHA-256 of what names an attempt: the only form that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptDigest(pub [u8; 32]);

/// Uses an attempt up. Says whether it was unused: of many that ask at once, one gets it.
///
/// # Errors
/// [`StoreError`].
pub async fn consume(
    db: &impl ConnectionTrait,
    digest: AttemptDigest,
    expires_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let row = ActiveModel { digest: Set(digest.0.to_vec()), expires_at: Set(expires_at) };
    let used = OnConflict::column(Column::Digest).do_nothing().to_owned();
    let mut insert = Entity::insert(row).on_conflict(used).into_query();
    insert.returning_col(Column::Digest);
    Ok(rows::insert(db, &insert).await?.is_some())
}

/// Deletes at most `batch` attempts that had expired by `over`. Says how many there were.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::Digest)
        .from(Entity)
        .and_where(Column::ExpiresAt.lt(over))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Ok(Entity::delete_many().filter(Column::Digest.in_subquery(these)).exec(db).await?.rows_affected)
}
