//! Jobs: the one queue of what leaves the service, written in the transaction of its cause.
//!
//! A process claims a due row by moving its due time to the end of a lease, so a crash loses nothing. The row is deleted
//! when the job is done.

use chrono::{DateTime, Utc};
use entity::job::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Asterisk, Condition, Expr, ExprTrait, LockBehavior, LockType, Order, Query},
};
use uuid::Uuid;

use super::{StoreError, Transaction, rows::unreadable};
use crate::domain::{ids::UserId, job::JobKind};

const TABLE: &str = "jobs";
/// How far jobs are counted. To count more of them would cost too much for a gauge.
pub const MOST_COUNTED: u64 = 10_000;

/// A new job. It is due at once.
#[derive(Debug)]
pub struct NewJob<'a> {
    pub id: Uuid,
    pub kind: JobKind,
    /// What jobs of the kind may have in common: the cause of an email, the client of a notice.
    pub topic: &'a str,
    /// The account that it concerns, if known.
    pub user: Option<UserId>,
    /// A JSON object.
    pub payload: String,
}

/// A claimed job.
#[derive(Debug, Clone)]
pub struct Job {
    pub id: Uuid,
    /// The claim; every later statement checks that it still holds.
    pub claim: Uuid,
    pub kind: JobKind,
    pub topic: String,
    pub user: Option<UserId>,
    pub payload: String,
    /// When its cause happened.
    pub created_at: DateTime<Utc>,
    /// How often it was claimed, including this time.
    pub attempts: u32,
}

/// Writes a job.
pub async fn insert(db: &impl ConnectionTrait, new: NewJob<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let row = ActiveModel {
        id: Set(new.id),
        kind: Set(new.kind.as_str().to_owned()),
        topic: Set(new.topic.to_owned()),
        user_id: Set(new.user.map(|user| user.0)),
        payload: Set(new.payload),
        created_at: Set(now),
        due_at: Set(Some(now)),
        attempts: Set(0),
        claim: Set(None),
        dead_at: Set(None),
        last_error: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Whether any job of the kind is due: an indexed query without locks.
pub async fn is_due(db: &impl ConnectionTrait, kind: JobKind, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let due = Entity::find().select_only().column(Column::Id).filter(of(kind)).filter(Column::DueAt.lte(now));
    Ok(due.into_tuple::<Uuid>().one(db).await?.is_some())
}

/// Claims at most `most` due jobs of the kind until `until`, oldest first. Rows that others are claiming are skipped.
pub async fn claim(
    db: &impl ConnectionTrait,
    kind: JobKind,
    claim: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    most: u64,
) -> Result<Vec<Job>, StoreError> {
    let these = Query::select()
        .column(Column::Id)
        .from(Entity)
        .cond_where(of(kind))
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
    let mut jobs: Vec<Job> = rows.into_iter().map(|row| job(row, kind, claim)).collect();
    // The statement returns them in any order.
    jobs.sort_by_key(|job| job.id);
    Ok(jobs)
}

fn of(kind: JobKind) -> Condition {
    Condition::all().add(Column::Kind.eq(kind.as_str()))
}

/// The job, while it belongs to this claim.
fn own(job: &Job) -> Condition {
    Condition::all().add(Column::Id.eq(job.id)).add(Column::Claim.eq(job.claim)).add(Column::DueAt.is_not_null())
}

/// Locks a job until the transaction ends. Returns whether the claim still holds: it may have been withdrawn, or claimed
/// by another worker.
pub async fn hold(transaction: &Transaction, job: &Job) -> Result<bool, StoreError> {
    let held = Entity::find().select_only().column(Column::Id).filter(own(job)).lock_exclusive();
    Ok(held.into_tuple::<Uuid>().one(transaction).await?.is_some())
}

/// Extends a claim until `until`. Returns whether it still holds.
pub async fn renew(db: &impl ConnectionTrait, job: &Job, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = Entity::update_many().col_expr(Column::DueAt, Expr::value(until)).filter(own(job)).exec(db).await?;
    Ok(done.rows_affected == 1)
}

/// The job is done, even if another worker holds the claim by now.
pub async fn done(db: &impl ConnectionTrait, job: &Job) -> Result<(), StoreError> {
    Entity::delete_by_id(job.id).exec(db).await?;
    Ok(())
}

/// Deletes a job that has nothing to do any more, if the claim still holds.
pub async fn drop_own(db: &impl ConnectionTrait, job: &Job) -> Result<(), StoreError> {
    Entity::delete_many().filter(own(job)).exec(db).await?;
    Ok(())
}

/// The job is tried again at `due_at`, for this reason.
pub async fn put_off(
    db: &impl ConnectionTrait,
    job: &Job,
    due_at: DateTime<Utc>,
    why: &'static str,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(due_at))
        .col_expr(Column::Claim, Expr::value(None::<Uuid>))
        .col_expr(Column::LastError, Expr::value(why))
        .filter(own(job))
        .exec(db)
        .await?;
    Ok(())
}

/// The other jobs of the same kind and topic wait as long, if nobody has claimed them.
pub async fn put_off_topic(
    db: &impl ConnectionTrait,
    job: &Job,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(due_at))
        .col_expr(Column::Claim, Expr::value(None::<Uuid>))
        .filter(of(job.kind))
        .filter(Column::Topic.eq(&job.topic))
        .filter(Column::DueAt.lte(now))
        .exec(db)
        .await?;
    Ok(())
}

/// The job is given up, and kept for the operator.
pub async fn keep_dead(
    db: &impl ConnectionTrait,
    job: &Job,
    now: DateTime<Utc>,
    why: &'static str,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DeadAt, Expr::value(now))
        .col_expr(Column::DueAt, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::LastError, Expr::value(why))
        .filter(own(job))
        .exec(db)
        .await?;
    Ok(())
}

/// Releases the jobs of a claim: they are due at `now`.
pub async fn release(db: &impl ConnectionTrait, claim: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(now))
        .col_expr(Column::Claim, Expr::value(None::<Uuid>))
        .filter(Column::Claim.eq(claim))
        .filter(Column::DueAt.is_not_null())
        .exec(db)
        .await?;
    Ok(())
}

/// The number of jobs of the kind that wait, up to [`MOST_COUNTED`].
pub async fn waiting(db: &impl ConnectionTrait, kind: JobKind) -> Result<u64, StoreError> {
    count(db, kind, Column::DueAt).await
}

/// The number of jobs of the kind that were given up and are kept, up to [`MOST_COUNTED`].
pub async fn dead(db: &impl ConnectionTrait, kind: JobKind) -> Result<u64, StoreError> {
    count(db, kind, Column::DeadAt).await
}

/// Counts by an index and no further than the bound: with a client that is long down, a count of all would read the
/// whole table every few seconds.
async fn count(db: &impl ConnectionTrait, kind: JobKind, present: Column) -> Result<u64, StoreError> {
    let some = Query::select()
        .column(Column::Id)
        .from(Entity)
        .cond_where(of(kind))
        .and_where(present.is_not_null())
        // The order of an index, which Postgres would pass over otherwise.
        .order_by(present, Order::Asc)
        .limit(MOST_COUNTED)
        .to_owned();
    let count = Query::select().expr_as(Expr::col(Asterisk).count(), "count").from_subquery(some, "some").to_owned();
    let row = db.query_one(&count).await?;
    let count: i64 = row.map(|row| row.try_get("", "count")).transpose()?.unwrap_or_default();
    u64::try_from(count).map_err(|why| unreadable(TABLE, why))
}

/// Deletes at most `batch` jobs that were given up before `dead`. Returns how many there were.
pub async fn prune(db: &impl ConnectionTrait, dead: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::DeadAt.lt(dead))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Ok(Entity::delete_many().filter(Column::Id.in_subquery(these)).exec(db).await?.rows_affected)
}

fn job(row: Model, kind: JobKind, claim: Uuid) -> Job {
    Job {
        id: row.id,
        claim,
        kind,
        topic: row.topic,
        user: row.user_id.map(UserId),
        payload: row.payload,
        created_at: row.created_at,
        attempts: u32::try_from(row.attempts).unwrap_or(0),
    }
}
