//! Sessions: one row for each login, one statement for each refresh.

mod ending;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    client, identity,
    session::{Column, Entity, Model},
    user,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Iterable, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
    sea_query::{Condition, Expr, ExprTrait, LockType, OnConflict, Query},
};
use uuid::Uuid;

use super::{
    StoreError, Transaction,
    rows::{self, from_json, status_position, to_json, unreadable},
    session_cutoffs,
};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    password_hash::PasswordHash,
    role::Role,
    scope::Scope,
    session::{FEDERATED, Generation, Lifetimes, Session},
    status_list::StatusPosition,
};

pub use ending::{Ended, SessionSelector, Walk, end, excess, newest, prune, prune_idle};

const TABLE: &str = "session";
const PARENT: &str = "parent_session";
/// The most sessions in one answer: more than anybody reads.
pub const MOST_LISTED: u64 = 1000;

/// A new session. The same statement copies the account's fields that tokens carry.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// The `sid`.
    pub id: SessionId,
    pub user: UserId,
    pub client: &'a ClientId,
    /// The basis of the session.
    pub proof: SessionBasis<'a>,
    pub scope: &'a Scope,
    /// The one requested resource (RFC 8707).
    pub resource: Option<&'a str>,
    /// The user agent, as it names itself.
    pub user_agent: Option<&'a str>,
    /// The IP address of the client.
    pub ip: Option<&'a str>,
    /// The status list index, drawn at random.
    pub status: StatusPosition,
}

/// The basis of a session. The inserting statement checks that it still holds.
#[derive(Debug, Clone, Copy)]
pub enum SessionBasis<'a> {
    /// The account's password, with this hash.
    Password(&'a PasswordHash),
    /// An identity that its provider has just verified.
    Identity {
        /// The id of the link.
        link: Uuid,
        /// When the person authenticated at the provider. A time in the future counts as now.
        authenticated_at: DateTime<Utc>,
    },
    /// A live login at our pages. The new session is its child, and copies its `amr` and authentication time.
    Parent(SessionId),
}

/// The ends of a session that begins or is refreshed now: idle, absolute, and of its access tokens.
#[derive(Debug, Clone, Copy)]
struct Ends {
    idle: DateTime<Utc>,
    session: DateTime<Utc>,
    access: DateTime<Utc>,
}

impl SessionBasis<'_> {
    fn parent(self) -> Option<SessionId> {
        match self {
            Self::Password(_) | Self::Identity { .. } => None,
            Self::Parent(parent) => Some(parent),
        }
    }
}

impl Ends {
    fn of(lifetimes: &Lifetimes, now: DateTime<Utc>) -> Self {
        let session = now + lifetimes.session;
        Self {
            session,
            idle: Ord::min(session, now + lifetimes.refresh_token),
            // A repeat within the grace also yields an access token, and changes no row.
            access: now + lifetimes.access_token + lifetimes.grace,
        }
    }
}

/// A refresh token that is presented.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    pub session: SessionId,
    /// The generation of the token.
    pub generation: Generation,
    /// The client that presents it.
    pub client: &'a ClientId,
    /// The resources that the client may ask for. A session for another one is not rotated.
    pub targets: &'a [&'a str],
}

/// Inserts a session if its basis still holds and the account is not disabled. So a login that was hashing while the
/// account was disabled, deleted or given a new password leaves no session, nor does one whose parent has ended, or
/// whose id is not after the account's cutoff. `None` in those cases.
///
/// A child whose parent has a live session of that client continues it (OIDC Back-Channel Logout 1.0 §2.1: one `sid` for
/// each client in a browser). It keeps its id and its status list index, and gets the next generation.
///
/// # Errors
/// [`StoreError::Duplicate`] if the status list index is taken: draw another. Other errors if the database fails.
pub async fn insert(
    db: &impl ConnectionTrait,
    new: &NewSession<'_>,
    lifetimes: &Lifetimes,
    now: DateTime<Utc>,
) -> Result<Option<Session>, StoreError> {
    let ends = Ends::of(lifetimes, now);
    let value = |column: Column| -> Expr {
        match column {
            Column::Id => Expr::value(new.id.0),
            Column::UserId => Expr::col((user::Entity, user::Column::Id)),
            Column::ClientId => Expr::value(new.client.as_str()),
            Column::Parent => Expr::value(new.proof.parent().map(|parent| parent.0)),
            Column::Scope => Expr::value(new.scope.to_string()),
            Column::Resource => Expr::value(new.resource),
            Column::Username => Expr::col((user::Entity, user::Column::Username)),
            Column::Roles => Expr::col((user::Entity, user::Column::Roles)),
            // RFC 8176 §2
            Column::Amr => match new.proof {
                SessionBasis::Password(_) => Expr::value(to_json(&["pwd"])),
                SessionBasis::Identity { .. } => Expr::value(to_json(&[FEDERATED])),
                SessionBasis::Parent(_) => Expr::col((PARENT, column)),
            },
            Column::AuthenticatedAt => match new.proof {
                SessionBasis::Password(_) => Expr::value(now),
                SessionBasis::Identity { authenticated_at, .. } => Expr::value(Ord::min(authenticated_at, now)),
                SessionBasis::Parent(_) => Expr::col((PARENT, column)),
            },
            Column::Generation => Expr::value(Generation::FIRST.0),
            Column::CreatedAt | Column::RotatedAt => Expr::value(now),
            // A child session does not outlive its parent.
            Column::IdleEndsAt if new.proof.parent().is_some() => {
                let parents = Expr::col((PARENT, Column::EndsAt));
                Expr::case(parents.clone().lt(ends.idle), parents).finally(ends.idle).into()
            }
            Column::EndsAt if new.proof.parent().is_some() => Expr::col((PARENT, column)),
            Column::IdleEndsAt => Expr::value(ends.idle),
            Column::EndsAt => Expr::value(ends.session),
            Column::AccessEndsAt => Expr::value(ends.access),
            Column::StatusList => Expr::value(i32::from(new.status.list)),
            Column::StatusIndex => Expr::value(i32::try_from(new.status.index).unwrap_or(i32::MAX)),
            Column::EndedAt => Expr::value(None::<DateTime<Utc>>),
            Column::EndReason => Expr::value(None::<String>),
            Column::UserAgent => Expr::value(new.user_agent),
            Column::Ip => Expr::value(new.ip),
        }
    };
    // FOR SHARE: a concurrent disabling or password change either waits and then ends this session too, or is visible
    // here. (SQLite has one writer at a time, and sea-query writes no lock there.)
    let mut account = Query::select()
        .exprs(Column::iter().map(value))
        .from(user::Entity)
        .and_where(Expr::col((user::Entity, user::Column::Id)).eq(new.user.0))
        .and_where(Expr::col((user::Entity, user::Column::DisabledAt)).is_null())
        .and_where(Expr::exists(session_cutoffs::covering_new(new.user, new.id)).not())
        .lock(LockType::Share)
        .to_owned();
    match new.proof {
        SessionBasis::Password(hash) => {
            account.and_where(Expr::col((user::Entity, user::Column::PasswordHash)).eq(hash.as_str()));
        }
        SessionBasis::Identity { link, .. } => {
            let of_link = |column: identity::Column| Expr::col((identity::Entity, column));
            account
                .from(identity::Entity)
                .and_where(of_link(identity::Column::Id).eq(link))
                .and_where(of_link(identity::Column::UserId).eq(new.user.0));
        }
        SessionBasis::Parent(parent) => {
            let of_parent = |column: Column| Expr::col((PARENT, column));
            account
                .from_as(Entity, PARENT)
                .and_where(of_parent(Column::Id).eq(parent.0))
                .and_where(of_parent(Column::UserId).eq(new.user.0))
                .and_where(of_parent(Column::EndedAt).is_null())
                .and_where(Expr::exists(session_cutoffs::covering(PARENT)).not())
                .and_where(of_parent(Column::EndsAt).gt(now))
                .and_where(of_parent(Column::IdleEndsAt).gt(now));
        }
    }
    // A registered client may have been deleted meanwhile. FOR KEY SHARE waits for that alone: all logins at a client
    // share its row, and each stronger lock would write to it.
    if !new.client.is_built_in() {
        let registered = Query::select()
            .expr(Expr::value(1))
            .from(client::Entity)
            .and_where(Expr::col((client::Entity, client::Column::Id)).eq(new.client.as_str()))
            .lock(LockType::KeyShare)
            .to_owned();
        account.and_where(Expr::exists(registered));
    }
    let mut insert = Query::insert()
        .into_table(Entity)
        .columns(Column::iter())
        .select_from(account)
        .map_err(|why| unreadable(TABLE, why))?
        .returning_all()
        .to_owned();
    if new.proof.parent().is_some() {
        insert.on_conflict(continued());
    }
    let row = rows::insert(db, &insert).await?;
    row.map(|row| session(Model::from_query_result(&row, "")?)).transpose()
}

/// What becomes of the session that the parent of a new one has already at that client. The database decides which of two
/// codes comes first.
fn continued() -> OnConflict {
    let own = |column: Column| Expr::col((Entity, column));
    let new = |column: Column| Expr::col(("excluded", column));
    let access = Column::AccessEndsAt;
    OnConflict::columns([Column::Parent, Column::ClientId])
        .target_and_where(Expr::col(Column::Parent).is_not_null())
        .target_and_where(Expr::col(Column::EndedAt).is_null())
        .update_columns([
            Column::Scope,
            Column::Resource,
            Column::Username,
            Column::Roles,
            Column::Amr,
            Column::AuthenticatedAt,
            Column::RotatedAt,
            Column::IdleEndsAt,
            Column::EndsAt,
            Column::UserAgent,
            Column::Ip,
        ])
        .value(Column::Generation, own(Column::Generation).add(1))
        // Never earlier than before: an access token may have been given a longer life.
        .value(access, Expr::case(own(access).gt(new(access)), own(access)).finally(new(access)))
        .to_owned()
}

/// Rotates a refresh token. `None` if it is not the live generation's, or not for its targets; [`find`] says why.
pub async fn rotate(
    db: &impl ConnectionTrait,
    rotation: &Rotation<'_>,
    lifetimes: &Lifetimes,
    now: DateTime<Utc>,
) -> Result<Option<Session>, StoreError> {
    let ends = Ends::of(lifetimes, now);
    let idle_end = Expr::case(Expr::col(Column::EndsAt).lt(ends.idle), Expr::col(Column::EndsAt)).finally(ends.idle);
    // Never earlier than before: an access token may have been given a longer life elsewhere.
    let access_end = Expr::case(Expr::col(Column::AccessEndsAt).gt(ends.access), Expr::col(Column::AccessEndsAt))
        .finally(ends.access);
    // One statement: two requests may hold the same token, and only the database can say which came first.
    let rows = Entity::update_many()
        .col_expr(Column::Generation, Expr::col(Column::Generation).add(1))
        .col_expr(Column::RotatedAt, Expr::value(now))
        .col_expr(Column::IdleEndsAt, idle_end.into())
        .col_expr(Column::AccessEndsAt, access_end.into())
        .filter(Column::Id.eq(rotation.session.0))
        .filter(Column::Generation.eq(rotation.generation.0))
        .filter(Column::ClientId.eq(rotation.client.as_str()))
        .filter(Column::Resource.is_null().or(Column::Resource.is_in(rotation.targets.iter().copied())))
        .filter(live(now))
        .exec_with_returning(db)
        .await?;
    rows.into_iter().next().map(session).transpose()
}

/// Re-parents the client sessions of browser session `from` to `to`, of the same account.
pub async fn adopt(db: &impl ConnectionTrait, user: UserId, from: SessionId, to: SessionId) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::Parent, Expr::value(to.0))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Parent.eq(from.0))
        .filter(Column::EndedAt.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Extends the idle end of a browser session that is in use, at most once in `at_most_every`.
pub async fn touch(
    db: &impl ConnectionTrait,
    id: SessionId,
    lifetimes: &Lifetimes,
    at_most_every: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ends = Ends::of(lifetimes, now);
    let idle_end = Expr::case(Expr::col(Column::EndsAt).lt(ends.idle), Expr::col(Column::EndsAt)).finally(ends.idle);
    Entity::update_many()
        .col_expr(Column::RotatedAt, Expr::value(now))
        .col_expr(Column::IdleEndsAt, idle_end.into())
        .filter(Column::Id.eq(id.0))
        .filter(Column::RotatedAt.lt(now - at_most_every))
        .filter(live(now))
        .exec(db)
        .await?;
    Ok(())
}

/// The session of `id`, ended or not. One that a cutoff covers has ended.
pub async fn find(db: &impl ConnectionTrait, id: SessionId) -> Result<Option<Session>, StoreError> {
    read(db, Entity::find_by_id(id.0)).await
}

/// Like [`find`], locked until the transaction ends.
pub async fn hold(transaction: &Transaction, id: SessionId) -> Result<Option<Session>, StoreError> {
    read(transaction, Entity::find_by_id(id.0).lock_exclusive()).await
}

async fn read(db: &impl ConnectionTrait, one: Select<Entity>) -> Result<Option<Session>, StoreError> {
    const IS_CUT_OFF: &str = "is_cut_off";
    let found = one.expr_as(Expr::exists(session_cutoffs::covering(Entity)), IS_CUT_OFF).into_query();
    let Some(row) = db.query_one(&found).await? else { return Ok(None) };
    let mut found = session(Model::from_query_result(&row, "")?)?;
    if row.try_get::<bool>("", IS_CUT_OFF)? {
        found.ended_at = found.ended_at.or(Some(found.rotated_at));
    }
    Ok(Some(found))
}

/// The account's live sessions, newest first; at most [`MOST_LISTED`].
pub async fn live_of(db: &impl ConnectionTrait, user: UserId, now: DateTime<Utc>) -> Result<Vec<Session>, StoreError> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user.0))
        .filter(live(now))
        .order_by_desc(Column::Id)
        .limit(MOST_LISTED)
        .all(db)
        .await?;
    rows.into_iter().map(session).collect()
}

/// The IP addresses at which the account's live sessions began; at most [`MOST_LISTED`].
pub async fn addresses_of(
    db: &impl ConnectionTrait,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<String>, StoreError> {
    // Unsorted, so that the index on live sessions is read no further than the limit.
    let addresses = Entity::find()
        .select_only()
        .column(Column::Ip)
        .filter(Column::UserId.eq(user.0))
        .filter(Column::Ip.is_not_null())
        .filter(live(now))
        .limit(MOST_LISTED)
        .into_tuple()
        .all(db)
        .await?;
    Ok(addresses)
}

/// The number of the account's live sessions.
pub async fn count_live(db: &impl ConnectionTrait, user: UserId, now: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(Entity::find().filter(Column::UserId.eq(user.0)).filter(live(now)).count(db).await?)
}

/// Writes a new username to the account's live sessions, so that their next access tokens carry it.
pub async fn rename(db: &impl ConnectionTrait, user: UserId, username: &str) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::Username, Expr::value(username))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::EndedAt.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Writes new roles to the account's live sessions, so that their next access tokens carry them.
pub async fn set_roles(db: &impl ConnectionTrait, user: UserId, roles: &[Role]) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::Roles, Expr::value(to_json(&roles)))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::EndedAt.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// The highest status list in use; `None` if there is no session.
pub async fn last_status_list(db: &impl ConnectionTrait) -> Result<Option<u16>, StoreError> {
    let last = Entity::find()
        .select_only()
        .column(Column::StatusList)
        .order_by_desc(Column::StatusList)
        .limit(1)
        .into_tuple::<i32>()
        .one(db)
        .await?;
    last.map(|list| u16::try_from(list).map_err(|why| unreadable(TABLE, why))).transpose()
}

/// Neither ended nor expired.
fn live(now: DateTime<Utc>) -> Condition {
    Condition::all()
        .add(Column::EndedAt.is_null())
        .add(Column::EndsAt.gt(now))
        .add(Column::IdleEndsAt.gt(now))
        .add(Expr::exists(session_cutoffs::covering(Entity)).not())
}

fn session(row: Model) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId(row.id),
        user: UserId(row.user_id),
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
        parent: row.parent.map(SessionId),
        scope: Scope::parse(&row.scope).map_err(|why| unreadable(TABLE, why))?,
        resource: row.resource,
        username: row.username,
        roles: from_json(TABLE, &row.roles)?,
        amr: from_json(TABLE, &row.amr)?,
        generation: Generation(row.generation),
        authenticated_at: row.authenticated_at,
        created_at: row.created_at,
        rotated_at: row.rotated_at,
        idle_ends_at: row.idle_ends_at,
        ends_at: row.ends_at,
        ended_at: row.ended_at,
        status: status_position(TABLE, row.status_list, row.status_index)?,
        user_agent: row.user_agent,
        ip: row.ip,
    })
}
