//! The outbox: events to report by email, written in the transaction of their cause and kept until the email is sent.
//!
//! It stores the event and not the email: neither the request nor the database needs to know whether there is a
//! recipient. A process claims a due row by moving its due time to the end of a lease, so a crash loses nothing. Sent
//! rows stay for a while without content, for the rate limit.

mod event;

use chrono::{DateTime, Utc};
use entity::outbox::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, Order, Query},
};
use uuid::Uuid;

use super::{
    StoreError,
    rows::{to_json, unreadable},
};
use crate::domain::{email::EmailAddress, ids::UserId};

use event::Payload;
pub use event::{Kind, OutboxEvent};

const TABLE: &str = "outbox";

/// Writes an event in the transaction of its cause, or beside the request. It is due at once.
pub async fn write(
    db: &impl ConnectionTrait,
    id: Uuid,
    cause: &OutboxEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = ActiveModel {
        id: Set(id),
        kind: Set(cause.kind().as_str().to_owned()),
        user_id: Set(cause.user().map(|user| user.0)),
        payload: Set(to_json(&Payload::of(cause))),
        created_at: Set(now),
        due_at: Set(Some(now)),
        attempts: Set(0),
        claim: Set(None),
        addressed_at: Set(None),
        address_key: Set(None),
        sent_at: Set(None),
        dead_at: Set(None),
        last_error: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Deletes unsent events of a kind, because later ones supersede them.
pub async fn withdraw(db: &impl ConnectionTrait, user: UserId, kind: Kind) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Kind.eq(kind.as_str()))
        .filter(Column::DueAt.is_not_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Deletes all events of an account that is deleted.
pub async fn forget(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user.0)).exec(db).await?;
    Ok(())
}

/// A claimed row.
#[derive(Debug)]
pub struct Claimed {
    pub id: Uuid,
    /// The claim; every later statement checks that it still holds.
    pub claim: Uuid,
    /// The event; `Err` if this version cannot read it, though a newer one may.
    pub cause: Result<OutboxEvent, StoreError>,
    /// When the event happened.
    pub created_at: DateTime<Utc>,
    /// How often the row was claimed, including this time.
    pub attempts: u32,
    /// Whether it was found to have a recipient before, and counts among their emails.
    pub is_addressed: bool,
}

/// Whether any row is due: an indexed query without locks.
pub async fn is_due(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let due =
        Entity::find().select_only().column(Column::Id).filter(Column::DueAt.lte(now)).into_tuple::<Uuid>().one(db);
    Ok(due.await?.is_some())
}

/// Claims at most `most` due rows until `until`, oldest first. Rows that others are claiming are skipped.
pub async fn claim(
    db: &impl ConnectionTrait,
    claim: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    most: u64,
) -> Result<Vec<Claimed>, StoreError> {
    let these = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::DueAt.lte(now))
        .order_by(Column::DueAt, Order::Asc)
        .order_by(Column::Id, Order::Asc)
        .limit(most)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let rows = Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(until))
        .col_expr(Column::Claim, Expr::value(claim))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::Id.in_subquery(these))
        .exec_with_returning(db)
        .await?;
    rows.iter().map(claimed).collect()
}

/// The row, while it belongs to this claim.
fn own(row: &Claimed) -> Condition {
    Condition::all().add(Column::Id.eq(row.id)).add(Column::Claim.eq(row.claim)).add(Column::DueAt.is_not_null())
}

/// Extends a claim until `until`. Returns whether it still holds: the row may have been withdrawn or claimed by
/// another.
pub async fn renew(db: &impl ConnectionTrait, row: &Claimed, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = Entity::update_many().col_expr(Column::DueAt, Expr::value(until)).filter(own(row)).exec(db).await?;
    Ok(done.rows_affected == 1)
}

/// Counts a row among the emails to this account and email address, from the first time it is found to be for them.
/// Returns whether the claim still holds.
pub async fn address(
    db: &impl ConnectionTrait,
    row: &Claimed,
    user: UserId,
    to: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let since =
        Expr::case(Expr::col(Column::AddressedAt).is_null(), Expr::value(now)).finally(Expr::col(Column::AddressedAt));
    // An account that the event names stays.
    let known = Expr::case(Expr::col(Column::UserId).is_null(), Expr::value(user.0)).finally(Expr::col(Column::UserId));
    let done = Entity::update_many()
        .col_expr(Column::UserId, known.into())
        .col_expr(Column::AddressKey, Expr::value(to.key()))
        .col_expr(Column::AddressedAt, since.into())
        .filter(own(row))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// The number of emails of a kind since `since`, to this email address or about this account.
pub async fn count(
    db: &impl ConnectionTrait,
    kind: Kind,
    user: UserId,
    to: &EmailAddress,
    since: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let theirs = Condition::any().add(Column::UserId.eq(user.0)).add(Column::AddressKey.eq(to.key()));
    let found = Entity::find()
        .filter(theirs)
        .filter(Column::Kind.eq(kind.as_str()))
        .filter(Column::AddressedAt.gt(since))
        .count(db)
        .await?;
    Ok(found)
}

/// Marks the email as sent, even if another worker holds the claim by now.
pub async fn sent(db: &impl ConnectionTrait, row: &Claimed, now: DateTime<Utc>) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::SentAt, Expr::value(now))
        .col_expr(Column::DueAt, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::Payload, Expr::value("{}"))
        .col_expr(Column::LastError, Expr::value(None::<String>))
        .filter(Column::Id.eq(row.id))
        .exec(db)
        .await?;
    Ok(())
}

/// Deletes a row that has no recipient, or nothing to report any more.
pub async fn drop_row(db: &impl ConnectionTrait, row: &Claimed) -> Result<(), StoreError> {
    Entity::delete_many().filter(own(row)).exec(db).await?;
    Ok(())
}

/// The email could not be sent; it is tried again at `due_at`.
pub async fn put_off(
    db: &impl ConnectionTrait,
    row: &Claimed,
    due_at: DateTime<Utc>,
    why: &'static str,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(due_at))
        .col_expr(Column::Claim, Expr::value(None::<Uuid>))
        .col_expr(Column::LastError, Expr::value(why))
        .filter(own(row))
        .exec(db)
        .await?;
    Ok(())
}

/// The email is given up, and kept for the operator.
pub async fn bury(
    db: &impl ConnectionTrait,
    row: &Claimed,
    now: DateTime<Utc>,
    why: &'static str,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DeadAt, Expr::value(now))
        .col_expr(Column::DueAt, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::LastError, Expr::value(why))
        .filter(own(row))
        .exec(db)
        .await?;
    Ok(())
}

/// Releases the rows of a claim: they are due at `now`.
pub async fn release(db: &impl ConnectionTrait, claim: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(now))
        .col_expr(Column::Claim, Expr::value(None::<Uuid>))
        .filter(Column::Claim.eq(claim))
        .filter(Column::DueAt.is_not_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected)
}

/// The numbers of waiting and of abandoned emails.
pub async fn tally(db: &impl ConnectionTrait) -> Result<Tally, StoreError> {
    let waiting = Entity::find().filter(Column::DueAt.is_not_null()).count(db).await?;
    let dead = Entity::find().filter(Column::DeadAt.is_not_null()).count(db).await?;
    Ok(Tally { waiting, dead })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub waiting: u64,
    pub dead: u64,
}

/// Deletes at most `batch` rows each that were sent before `sent`, and that were given up before `dead`. Returns how
/// many there were.
pub async fn prune(
    db: &impl ConnectionTrait,
    sent: DateTime<Utc>,
    dead: DateTime<Utc>,
    batch: u64,
) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for over in [Column::SentAt.lt(sent), Column::DeadAt.lt(dead)] {
        let these = Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(over)
            .limit(batch)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .to_owned();
        deleted += Entity::delete_many().filter(Column::Id.in_subquery(these)).exec(db).await?.rows_affected;
    }
    Ok(deleted)
}

fn claimed(row: &Model) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        id: row.id,
        claim: row.claim.ok_or_else(|| unreadable(TABLE, "no claim"))?,
        created_at: row.created_at,
        attempts: u32::try_from(row.attempts).unwrap_or(0),
        is_addressed: row.addressed_at.is_some(),
        cause: event::read(row),
    })
}
