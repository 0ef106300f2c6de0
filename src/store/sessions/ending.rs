//! Ending sessions, and pruning their rows.

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    session::{Column, Entity, Model},
    user,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, Query, SelectStatement},
};
use uuid::Uuid;

use crate::{
    domain::{
        ids::{ClientId, SessionId, UserId},
        session::{EndReason, MOST_LIVE},
        status_list::StatusPosition,
    },
    store::{
        StoreError,
        pending_ends::Owner,
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
    /// The children of one.
    ChildrenOf(SessionId),
    /// All of an account.
    AllOf(UserId),
    /// All of an account but one.
    AllOfBut(UserId, SessionId),
    /// All of an account at one client.
    AllOfAt(UserId, ClientId),
    /// All of a client.
    AllOfClient(ClientId),
    /// All of an owner up to an id, but for one.
    Through(Owner, SessionId, Option<SessionId>),
}

impl SessionSelector {
    /// The owner of all the sessions, and the session that goes on; `None` if there is no such owner, or only some of
    /// their sessions end.
    #[must_use]
    pub fn owner(&self) -> Option<(Owner, Option<SessionId>)> {
        match self {
            Self::AllOf(user) => Some((Owner::Account(*user), None)),
            Self::AllOfBut(user, kept) => Some((Owner::Account(*user), Some(*kept))),
            Self::AllOfAt(user, client) => Some((Owner::AccountAt(*user, client.clone()), None)),
            Self::AllOfClient(client) => Some((Owner::Client(client.clone()), None)),
            Self::One(_) | Self::OneOf(..) | Self::ChildrenOf(_) | Self::Through(..) => None,
        }
    }
}

/// The most sessions of one step, children of them not counted: a tenth of a second of work, and a bounded transaction.
pub const STEP: u64 = 1_000;

/// The sessions that a step has ended.
#[derive(Debug)]
pub struct Ended {
    pub sessions: Vec<EndedSession>,
    /// Whether more of the selected sessions may be left, for another step.
    pub may_be_more: bool,
}

/// Ends the selected live sessions and returns them: of one owner the oldest, [`STEP`] at most, and their children. Their
/// rows keep no personal data.
pub async fn end(
    db: &impl ConnectionTrait,
    which: &SessionSelector,
    reason: EndReason,
    now: DateTime<Utc>,
) -> Result<Ended, StoreError> {
    // Lock in a statement of its own, so that the next one sees the changes of earlier lock holders: a code exchange
    // inserts its session under a shared lock of account and parent.
    if let SessionSelector::AllOf(user) | SessionSelector::AllOfBut(user, _) = which {
        let held = user::Entity::find_by_id(user.0).select_only().column(user::Column::Id).lock_exclusive();
        held.into_tuple::<Uuid>().one(db).await?;
    }
    let (selected, may_be_more, kept) = match which {
        SessionSelector::One(id) | SessionSelector::OneOf(_, id) => {
            let held = Entity::find_by_id(id.0).select_only().column(Column::Id).lock_exclusive();
            held.into_tuple::<Uuid>().one(db).await?;
            (vec![id.0], false, None)
        }
        SessionSelector::ChildrenOf(id) => {
            let (ids, more) = step(db, Condition::all().add(Column::Parent.eq(id.0)), None, None).await?;
            (ids, more, None)
        }
        SessionSelector::AllOf(..)
        | SessionSelector::AllOfBut(..)
        | SessionSelector::AllOfAt(..)
        | SessionSelector::AllOfClient(_) => {
            let Some((owner, kept)) = which.owner() else { return Ok(Ended::none()) };
            let (ids, more) = step(db, owned(&owner), None, kept).await?;
            (ids, more, kept)
        }
        SessionSelector::Through(owner, through, kept) => {
            let (ids, more) = step(db, owned(owner), Some(*through), *kept).await?;
            (ids, more, *kept)
        }
    };
    if selected.is_empty() {
        return Ok(Ended::none());
    }
    // A child begins under a shared lock of its parent, so there are no more children than these.
    let mut family = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Parent.is_in(selected.clone()))
        .filter(Column::Parent.is_not_null())
        .filter(Column::EndedAt.is_null())
        .into_tuple::<Uuid>()
        .all(db)
        .await?;
    family.extend(selected);
    pad(&mut family);
    let mut these = Condition::all().add(Column::Id.is_in(family)).add(Column::EndedAt.is_null());
    if let SessionSelector::OneOf(user, _) = which {
        these = these.add(Column::UserId.eq(user.0));
    }
    if let Some(kept) = kept {
        these = these.add(Column::Id.ne(kept.0));
    }
    let rows = Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(now))
        .col_expr(Column::EndReason, Expr::value(reason.as_str()))
        .col_expr(Column::Username, Expr::value(""))
        .col_expr(Column::UserAgent, Expr::value(None::<String>))
        .col_expr(Column::Ip, Expr::value(None::<String>))
        .filter(these)
        .exec_with_returning(db)
        .await?;
    Ok(Ended { sessions: rows.iter().map(ended).collect::<Result<_, _>>()?, may_be_more })
}

impl Ended {
    /// No session.
    #[must_use]
    pub fn none() -> Self {
        Self { sessions: Vec::new(), may_be_more: false }
    }
}

/// Locks the oldest of the sessions that have not ended, [`STEP`] at most. Returns their ids, and whether there may be
/// more. Every step locks them in the order of their ids, so that two never wait for each other.
async fn step(
    db: &impl ConnectionTrait,
    owned: Condition,
    through: Option<SessionId>,
    kept: Option<SessionId>,
) -> Result<(Vec<Uuid>, bool), StoreError> {
    let mut find = Entity::find().select_only().column(Column::Id).filter(owned).filter(Column::EndedAt.is_null());
    if let Some(through) = through {
        find = find.filter(Column::Id.lte(through.0));
    }
    if let Some(kept) = kept {
        find = find.filter(Column::Id.ne(kept.0));
    }
    let mut ids: Vec<Uuid> = find.order_by_asc(Column::Id).limit(STEP).lock_exclusive().into_tuple().all(db).await?;
    let more = u64::try_from(ids.len()).is_ok_and(|rows| rows == STEP);
    pad(&mut ids);
    Ok((ids, more))
}

/// Repeats an id until there are a power of two of them: each number of values makes another prepared statement.
fn pad(ids: &mut Vec<Uuid>) {
    if let Some(last) = ids.last().copied() {
        ids.resize(ids.len().next_power_of_two(), last);
    }
}

fn owned(owner: &Owner) -> Condition {
    match owner {
        Owner::Account(user) => Condition::all().add(Column::UserId.eq(user.0)),
        Owner::AccountAt(user, client) => {
            Condition::all().add(Column::UserId.eq(user.0)).add(Column::ClientId.eq(client.as_str()))
        }
        Owner::Client(client) => Condition::all().add(Column::ClientId.eq(client.as_str())),
    }
}

/// The newest session of an owner that has not ended, but for `kept`.
pub async fn newest(
    db: &impl ConnectionTrait,
    owner: &Owner,
    kept: Option<SessionId>,
) -> Result<Option<SessionId>, StoreError> {
    let mut find = Entity::find().filter(owned(owner)).filter(Column::EndedAt.is_null());
    if let Some(kept) = kept {
        find = find.filter(Column::Id.ne(kept.0));
    }
    nth(db, find, 0).await
}

/// The newest of those sessions of an account that are too many, if it has more than [`MOST_LIVE`] that have not ended.
/// It is looked up in an index, no further than that.
pub async fn excess(db: &impl ConnectionTrait, user: UserId) -> Result<Option<SessionId>, StoreError> {
    nth(db, Entity::find().filter(Column::UserId.eq(user.0)).filter(Column::EndedAt.is_null()), MOST_LIVE).await
}

async fn nth(db: &impl ConnectionTrait, find: Select<Entity>, n: u64) -> Result<Option<SessionId>, StoreError> {
    let found = find.select_only().column(Column::Id).order_by_desc(Column::Id).offset(n).limit(1);
    Ok(found.into_tuple::<Uuid>().one(db).await?.map(SessionId))
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

fn ended(row: &Model) -> Result<EndedSession, StoreError> {
    Ok(EndedSession {
        session: SessionId(row.id),
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
        status: status_position(TABLE, row.status_list, row.status_index)?,
        access_ends_at: row.access_ends_at,
    })
}
