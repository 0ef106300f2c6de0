//! Pending back-channel logout notices (OIDC Back-Channel Logout 1.0), written with the end of the session.
//!
//! A process claims a due row by moving its due time to the end of a lease, so a crash loses nothing. The row is
//! deleted once the client has accepted the notice, or it is given up.

use chrono::{DateTime, Utc};
use entity::{
    client,
    logout_notice::{Column, Entity, Model},
    session,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, Order, Query},
};
use uuid::Uuid;

use super::{StoreError, rows::unreadable};
use crate::domain::ids::{ClientId, SessionId, UserId};

const TABLE: &str = "logout_notice";
/// Sessions of one statement: databases bind only so many values.
const BATCH: usize = 500;

/// Writes a notice for each session in `ended` whose client has a back-channel logout URI, in the transaction that ends
/// them. Deleted clients get none. Returns the number of notices.
pub async fn write(db: &impl ConnectionTrait, ended: &[SessionId], now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut written = 0;
    for batch in ended.chunks(BATCH) {
        let of_session = |column: session::Column| Expr::col((session::Entity, column));
        let of_client = |column: client::Column| Expr::col((client::Entity, column));
        let notices = Query::select()
            .expr(of_session(session::Column::Id))
            .expr(of_session(session::Column::UserId))
            .expr(of_session(session::Column::ClientId))
            .expr(Expr::value(now))
            .expr(Expr::value(now))
            .expr(Expr::value(0))
            .from(session::Entity)
            .inner_join(
                client::Entity,
                of_client(client::Column::Id).equals((session::Entity, session::Column::ClientId)),
            )
            .and_where(of_session(session::Column::Id).is_in(batch.iter().map(|session| session.0)))
            .and_where(of_client(client::Column::BackchannelLogoutUri).is_not_null())
            .to_owned();
        let insert = Query::insert()
            .into_table(Entity)
            .columns([
                Column::SessionId,
                Column::UserId,
                Column::ClientId,
                Column::CreatedAt,
                Column::DueAt,
                Column::Attempts,
            ])
            .select_from(notices)
            .map_err(|why| unreadable(TABLE, why))?
            .to_owned();
        written += db.execute(&insert).await?.rows_affected();
    }
    Ok(written)
}

/// A claimed row.
#[derive(Debug)]
pub struct Claimed {
    /// The session that ended.
    pub session: SessionId,
    /// The session's user.
    pub user: UserId,
    /// The client to notify.
    pub client: ClientId,
    /// When the session ended.
    pub created_at: DateTime<Utc>,
    /// How often the row was claimed, including this time.
    pub attempts: u32,
    /// The claim; every later statement checks that it still holds.
    claim: Uuid,
}

/// Whether any row is due: an indexed query without locks.
pub async fn is_due(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let due = Entity::find().select_only().column(Column::SessionId).filter(Column::DueAt.lte(now));
    Ok(due.into_tuple::<Uuid>().one(db).await?.is_some())
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
        .column(Column::SessionId)
        .from(Entity)
        .and_where(Column::DueAt.lte(now))
        .order_by(Column::DueAt, Order::Asc)
        .order_by(Column::SessionId, Order::Asc)
        .limit(most)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let rows = Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(until))
        .col_expr(Column::Claim, Expr::value(claim))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::SessionId.in_subquery(these))
        .exec_with_returning(db)
        .await?;
    rows.iter().map(|row| claimed(row, claim)).collect()
}

/// The row, while it belongs to this claim.
fn own(row: &Claimed) -> Condition {
    Condition::all().add(Column::SessionId.eq(row.session.0)).add(Column::Claim.eq(row.claim))
}

/// Deletes a row that was delivered or is given up.
pub async fn done(db: &impl ConnectionTrait, row: &Claimed) -> Result<(), StoreError> {
    Entity::delete_many().filter(own(row)).exec(db).await?;
    Ok(())
}

/// The client did not accept the notice; it is tried again at `due_at`. The client's other notices wait as long, so
/// that a client that does not answer delays no other.
pub async fn put_off(
    db: &impl ConnectionTrait,
    row: &Claimed,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let unclaimed = Condition::all().add(Column::ClientId.eq(row.client.as_str())).add(Column::DueAt.lte(now));
    for these in [own(row), unclaimed] {
        Entity::update_many()
            .col_expr(Column::DueAt, Expr::value(due_at))
            .col_expr(Column::Claim, Expr::value(None::<Uuid>))
            .filter(these)
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Releases the rows of a claim: they are due at `now`.
pub async fn release(db: &impl ConnectionTrait, claim: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(now))
        .col_expr(Column::Claim, Expr::value(None::<Uuid>))
        .filter(Column::Claim.eq(claim))
        .exec(db)
        .await?;
    Ok(())
}

/// The number of pending notices.
pub async fn count(db: &impl ConnectionTrait) -> Result<u64, StoreError> {
    Ok(Entity::find().count(db).await?)
}

/// Deletes at most `batch` rows written before `over` that nobody gave up. Returns how many there were.
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::SessionId)
        .from(Entity)
        .and_where(Column::CreatedAt.lt(over))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Ok(Entity::delete_many().filter(Column::SessionId.in_subquery(these)).exec(db).await?.rows_affected)
}

fn claimed(row: &Model, claim: Uuid) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        session: SessionId(row.session_id),
        user: UserId(row.user_id),
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
        created_at: row.created_at,
        attempts: u32::try_from(row.attempts).unwrap_or(0),
        claim,
    })
}
