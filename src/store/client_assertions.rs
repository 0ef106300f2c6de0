//! Used client assertions: a unique digest each, so that only one replica can accept an assertion.

use chrono::{DateTime, Utc};
use entity::client_assertion::{ActiveModel, Column, Entity};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    sea_query::{LockBehavior, LockType, Query},
};

use super::StoreError;

/// SHA-256 of an assertion's client and `jti`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssertionDigest(pub [u8; 32]);

/// Stores an assertion until it expires.
///
/// # Errors
/// [`StoreError::Duplicate`] if it was used before.
pub async fn insert(
    db: &impl ConnectionTrait,
    digest: AssertionDigest,
    expires_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = ActiveModel { digest: Set(digest.0.to_vec()), expires_at: Set(expires_at) };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Deletes at most `batch` assertions that expired before `over`. Returns how many there were.
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
