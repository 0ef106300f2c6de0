//! Used federation attempts, so that none is used twice. The attempt itself travels with the browser.

use chrono::{DateTime, Utc};
use entity::federation_attempt::{ActiveModel, Column, Entity};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryTrait,
    sea_query::{LockBehavior, LockType, OnConflict, Query},
};

use super::{StoreError, rows};

/// SHA-256 of an attempt's id, the only form that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptDigest(pub [u8; 32]);

/// Marks an attempt as used. Returns whether it was unused: of concurrent calls, one gets `true`.
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

/// Deletes at most `batch` attempts that expired before `over`. Returns how many there were.
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
