//! Ending sessions, and pruning their rows.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    session::{Column, Entity, Model},
    user,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, Query, SelectStatement},
};
use uuid::Uuid;

use crate::{
    domain::{
        ids::{ClientId, SessionId, UserId},
        session::EndReason,
        status_list::StatusPosition,
    },
    store::{
        StoreError,
        rows::{status_position, unreadable},
    },
};

const TABLE: &str = "session";
const PARENT: &str = "parent_session";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    pub session: SessionId,
    /// The client of its tokens.
    pub client: ClientId,
    /// Its status list index.
    pub status: StatusPosition,
    /// The expiry of its last access token.
    pub access_ends_at: DateTime<Utc>,
}

/// Which sessions to end.
#[derive(Debug, Clone)]
pub enum SessionSelector {
    /// One and its children.
    One(SessionId),
    /// One and its children, if it belongs to this account.
    OneOf(UserId, SessionId),
    /// All of an account.
    AllOf(UserId),
    /// All of an account but one.
    AllOfBut(UserId, SessionId),
    /// All of an account at one client.
    AllOfAt(UserId, ClientId),
    /// At most this many of an account.
    SomeOf(UserId, u64),
    /// At most this many of a client.
    SomeOfClient(ClientId, u64),
}

/// Ends the selected live sessions and returns them. Their rows keep no personal data.
pub async fn end(
    db: &impl ConnectionTrait,
    which: &SessionSelector,
    reason: EndReason,
    now: DateTime<Utc>,
) -> Result<Vec<EndedSession>, StoreError> {
    // Lock in a statement of its own, so that the next one sees the changes of earlier lock holders: a code exchange
    // inserts its session under a shared lock of account and parent.
    match which {
        SessionSelector::One(id) | SessionSelector::OneOf(_, id) => {
            let held = Entity::find_by_id(id.0).select_only().column(Column::Id).lock_exclusive();
            held.into_tuple::<Uuid>().one(db).await?;
        }
        SessionSelector::AllOf(user) | SessionSelector::AllOfBut(user, _) => {
            let held = user::Entity::find_by_id(user.0).select_only().column(user::Column::Id).lock_exclusive();
            held.into_tuple::<Uuid>().one(db).await?;
        }
        SessionSelector::AllOfAt(..) | SessionSelector::SomeOf(..) | SessionSelector::SomeOfClient(..) => {}
    }
    let these = match which {
        SessionSelector::One(id) => family(*id),
        SessionSelector::OneOf(user, id) => Condition::all().add(family(*id)).add(Column::UserId.eq(user.0)),
        SessionSelector::AllOf(user) => Condition::all().add(Column::UserId.eq(user.0)),
        SessionSelector::AllOfBut(user, id) => Condition::all().add(Column::UserId.eq(user.0)).add(Column::Id.ne(id.0)),
        SessionSelector::AllOfAt(user, client) => {
            Condition::all().add(Column::UserId.eq(user.0)).add(Column::ClientId.eq(client.as_str()))
        }
        SessionSelector::SomeOf(user, most) => some_of(Column::UserId.eq(user.0), *most),
        SessionSelector::SomeOfClient(client, most) => some_of(Column::ClientId.eq(client.as_str()), *most),
    };
    let rows = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now))
        .col_expr(Column::EndReason, Expr::value(reason.as_str()))
        .col_expr(Column::Username, Expr::value(""))
        .col_expr(Column::UserAgent, Expr::value(None::<String>))
        .col_expr(Column::Ip, Expr::value(None::<String>))
        .filter(these)
        .filter(Column::EndedAt.is_null())
        .exec_with_returning(db)
        .await?;
    rows.iter().map(ended).collect()
}

/// At most `most` of the sessions for which `owned` holds.
fn some_of(owned: Expr, most: u64) -> Condition {
    let some = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(owned)
        .and_where(Column::EndedAt.is_null())
        .limit(most)
        .lock(LockType::Update)
        .to_owned();
    Condition::all().add(Column::Id.in_subquery(some))
}

/// Deletes at most `batch` sessions that ended, or reached their absolute end, before `over`, and whose last access
/// token had expired by then; batches of other processes are skipped. Returns how many there were.
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let mut deleted = 0;
    // One statement each, so that each uses its index.
    for end in [Column::EndedAt, Column::EndsAt] {
        let these = Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(end.lt(over))
            .and_where(Column::AccessEndsAt.lt(over))
            .limit(batch)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .to_owned();
        deleted += Entity::delete_many().filter(Column::Id.in_subquery(these)).exec(db).await?.rows_affected;
    }
    Ok(deleted)
}

/// The position of a walk through all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk(Uuid);

impl Walk {
    pub const START: Self = Self(Uuid::nil());
}

/// Deletes those of the next `page` sessions after `walk` that expired idle before `over`, and whose browser login did
/// too. A session's id contains its
/// start, so the walk ends where no refresh token can have expired yet. An index would find them, but would make every
/// refresh costlier. Returns how many there were and where to continue, `None` at the end.
pub async fn prune_idle(
    db: &impl ConnectionTrait,
    walk: Walk,
    over: DateTime<Utc>,
    refresh_token_ttl: TimeDelta,
    page: u64,
) -> Result<(u64, Option<Walk>), StoreError> {
    let began = u128::try_from((over - refresh_token_ttl).timestamp_millis()).unwrap_or(0);
    let passed: Vec<(Uuid, DateTime<Utc>)> = Entity::find()
        .select_only()
        .columns([Column::Id, Column::IdleEndsAt])
        .filter(Column::Id.gt(walk.0))
        .filter(Column::Id.lt(Uuid::from_u128(began << 80)))
        .order_by_asc(Column::Id)
        .limit(page)
        .into_tuple()
        .all(db)
        .await?;
    let whole = u64::try_from(passed.len()).is_ok_and(|rows| rows == page);
    let next = passed.last().filter(|_| whole).map(|(id, _)| Walk(*id));
    let idle: Vec<Uuid> = passed.into_iter().filter(|(_, end)| *end < over).map(|(id, _)| id).collect();
    if idle.is_empty() {
        return Ok((0, next));
    }
    let these = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::Id.is_in(idle))
        .and_where(Column::IdleEndsAt.lt(over))
        .and_where(Column::AccessEndsAt.lt(over))
        .and_where(Expr::exists(live_parent(over)).not())
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let done = Entity::delete_many().filter(Column::Id.in_subquery(these)).exec(db).await?;
    Ok((done.rows_affected, next))
}

/// The browser login of a session, if that was alive at `over`. Its end has to be told to the clients of all sessions that
/// came from it, however long they were idle.
fn live_parent(over: DateTime<Utc>) -> SelectStatement {
    let of_parent = |column: Column| Expr::col((PARENT, column));
    Query::select()
        .expr(Expr::value(1))
        .from_as(Entity, PARENT)
        .and_where(of_parent(Column::Id).equals((Entity, Column::Parent)))
        .and_where(of_parent(Column::EndedAt).is_null())
        .and_where(of_parent(Column::EndsAt).gt(over))
        .and_where(of_parent(Column::IdleEndsAt).gt(over))
        .to_owned()
}

/// A session and its children.
fn family(id: SessionId) -> Condition {
    Condition::any().add(Column::Id.eq(id.0)).add(Column::Parent.eq(id.0))
}

fn ended(row: &Model) -> Result<EndedSession, StoreError> {
    Ok(EndedSession {
        session: SessionId(row.id),
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
        status: status_position(TABLE, row.status_list, row.status_index)?,
        access_ends_at: row.access_ends_at,
    })
}
