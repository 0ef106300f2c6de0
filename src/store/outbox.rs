//! The outbox: events to report by email, each a job that is written in the transaction of its cause.
//!
//! It stores the event and not the email: neither the request nor the database needs to know whether there is a
//! recipient. A notice to an owner keeps the address that it goes to, so that it outlives the account.

mod event;

use chrono::{DateTime, Utc};
use entity::job::{Column, Entity};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    sea_query::{Condition, Expr},
};
use uuid::Uuid;

use super::{
    StoreError, Transaction, counted_emails,
    jobs::{self, Job, NewJob},
    rows::to_json,
};
use crate::domain::{email::EmailAddress, ids::UserId, job::JobKind};

use event::Payload;
pub use event::{Kind, Notice, OutboxEvent};

/// Writes an event in the transaction of its cause, or beside the request.
pub async fn write(
    db: &impl ConnectionTrait,
    id: Uuid,
    cause: &OutboxEvent,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let new = NewJob {
        id,
        kind: JobKind::Email,
        topic: cause.kind().as_str(),
        user: cause.user(),
        payload: to_json(&Payload::of(cause)),
    };
    jobs::insert(db, new, now).await
}

/// The event of a job; an error if this version cannot read it, though a newer one may.
pub fn read(job: &Job) -> Result<OutboxEvent, StoreError> {
    event::read(job)
}

/// Deletes unsent events of a kind, because later ones supersede them.
pub async fn withdraw(db: &impl ConnectionTrait, user: UserId, kind: Kind) -> Result<(), StoreError> {
    Entity::delete_many().filter(unsent(user, kind)).exec(db).await?;
    Ok(())
}

fn unsent(user: UserId, kind: Kind) -> Condition {
    Condition::all()
        .add(Column::UserId.eq(user.0))
        .add(Column::Kind.eq(JobKind::Email.as_str()))
        .add(Column::Topic.eq(kind.as_str()))
        .add(Column::DueAt.is_not_null())
}

/// Lets `job`, a claim of `named`, stand for all unsent claims of the account, which must be locked. They are deleted, so
/// that one email waits and not one for each request. Returns the address that the job names from now on.
pub async fn merge_claims(
    transaction: &Transaction,
    user: UserId,
    job: &Job,
    named: Option<&EmailAddress>,
) -> Result<Option<EmailAddress>, StoreError> {
    let others = || unsent(user, Kind::EmailClaimed).add(Column::Id.ne(job.id));
    let rows = Entity::find().filter(others()).all(transaction).await?;
    if rows.is_empty() {
        return Ok(named.cloned());
    }
    Entity::delete_many().filter(others()).exec(transaction).await?;
    let theirs = || rows.iter().find_map(|row| event::claimed_address(&row.payload));
    let merged = named.cloned().or_else(theirs);
    let payload = Payload::of(&OutboxEvent::EmailClaimed(user, merged.clone()));
    Entity::update_many()
        .col_expr(Column::Payload, Expr::value(to_json(&payload)))
        .filter(Column::Id.eq(job.id))
        .exec(transaction)
        .await?;
    Ok(merged)
}

/// Deletes the events of a deleted account, but for the notices to its owner: a thief who deletes the account must not
/// hide what they did with it.
pub async fn forget(db: &impl ConnectionTrait, user: UserId) -> Result<(), StoreError> {
    let requests = Condition::any()
        .add(Column::Topic.is_in([Kind::ResetRequested, Kind::EmailClaimed].map(Kind::as_str)))
        .add(Column::DeadAt.is_not_null());
    Entity::delete_many()
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Kind.eq(JobKind::Email.as_str()))
        .filter(requests)
        .exec(db)
        .await?;
    counted_emails::forget(db, user).await
}
