//! Emails that count for the limits of their account and their address. A row outlives its job and its account, so that
//! neither a withdrawal nor a deletion frees a mailbox for more; it holds no personal data.

use chrono::{DateTime, TimeDelta, Utc};
use entity::counted_email::{ActiveModel, Column, Entity};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Condition, Expr, LockBehavior, LockType, OnConflict, Query},
};
use uuid::Uuid;

use super::{StoreError, Transaction, database::is_postgres};
use crate::domain::ids::UserId;

/// The recipient of an email: an account, at a mailbox.
#[derive(Debug, Clone, Copy)]
pub struct Recipient {
    pub user: UserId,
    /// SHA-256 of [`crate::domain::email::EmailAddress::mailbox`].
    pub mailbox: [u8; 32],
}

/// Locks the mailbox until the transaction ends, so that two emails to it are not both the last one that it gets.
pub async fn hold(transaction: &Transaction, to: Recipient) -> Result<(), StoreError> {
    // SQLite has one writer at a time.
    if is_postgres(transaction) {
        let mut first = [0; 8];
        first.copy_from_slice(&to.mailbox[..8]);
        let lock = Query::select()
            .expr(Expr::cust_with_values("pg_advisory_xact_lock($1)", [i64::from_be_bytes(first)]))
            .to_owned();
        transaction.query_one(&lock).await?;
    }
    Ok(())
}

/// Whether the email of this job counts already.
pub async fn is_counted(db: &impl ConnectionTrait, id: Uuid) -> Result<bool, StoreError> {
    Ok(Entity::find_by_id(id).one(db).await?.is_some())
}

/// When the recipient may get the next email of a topic, of which at most `most` go to an account and to a mailbox
/// within `per`. `None`: now.
pub async fn room_at(
    db: &impl ConnectionTrait,
    topic: &str,
    to: Recipient,
    (most, per): (u32, TimeDelta),
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut room = None;
    // One statement each, so that each uses its index.
    for theirs in [Column::UserId.eq(to.user.0), Column::AddressDigest.eq(to.mailbox.to_vec())] {
        // The one that has to leave the window first.
        let first = Entity::find()
            .select_only()
            .column(Column::AddressedAt)
            .filter(theirs)
            .filter(Column::Topic.eq(topic))
            .filter(Column::AddressedAt.gt(now - per))
            .order_by_desc(Column::AddressedAt)
            .offset(u64::from(most.saturating_sub(1)))
            .limit(1)
            .into_tuple::<DateTime<Utc>>()
            .one(db)
            .await?;
        room = room.max(first.map(|first| first + per));
    }
    Ok(room)
}

/// Counts the email of a job from now on, once.
pub async fn insert(
    db: &impl ConnectionTrait,
    id: Uuid,
    topic: &str,
    to: Recipient,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = ActiveModel {
        id: Set(id),
        topic: Set(topic.to_owned()),
        user_id: Set(Some(to.user.0)),
        address_digest: Set(to.mailbox.to_vec()),
        addressed_at: Set(now),
    };
    let once = OnConflict::column(Column::Id).do_nothing_on([Column::Id]).to_owned();
    Entity::insert(row).on_conflict(once).exec_without_returning(db).await?;
    Ok(())
}

/// Leaves the account out of its emails; they count for the mailbox still.
pub async fn forget(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::UserId, Expr::value(None::<Uuid>))
        .filter(Column::UserId.eq(user.0))
        .exec(db)
        .await?;
    Ok(())
}

/// Deletes at most `batch` rows of emails addressed before `over`. Returns how many there were.
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::Id)
        .from(Entity)
        .cond_where(Condition::all().add(Column::AddressedAt.lt(over)))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Ok(Entity::delete_many().filter(Column::Id.in_subquery(these)).exec(db).await?.rows_affected)
}
