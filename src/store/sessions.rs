//! Sessions: one row a log-in, one statement a refresh.

mod ending;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    client, identity,
    session::{Column, Entity, Model},
    user,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Iterable, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Condition, Expr, ExprTrait, LockType, Query},
};
use uuid::Uuid;

use super::{
    StoreError, Transaction,
    rows::{self, from_json, status_position, to_json, unreadable},
};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    password_hash::PasswordHash,
    role::Role,
    scope::Scope,
    session::{FEDERATED, Generation, Lifetimes, Session},
    status_list::StatusPosition,
};

pub use ending::{SessionSelector, Walk, end, prune, prune_idle};

const TABLE: &str = "session";
const PARENT: &str = "parent_session";
/// How many sessions an answer lists: more than anybody reads, and few enough for one answer.
pub const MOST_LISTED: u64 = 1000;

/// A log-in about to be recorded. What tokens carry of the account is copied from its row by the same statement.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// The `sid`.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// At which client.
    pub client: &'a ClientId,
    /// What it begins on the strength of.
    pub proof: SessionBasis<'a>,
    /// What was granted.
    pub scope: &'a Scope,
    /// The one resource asked for (RFC 8707).
    pub resource: Option<&'a str>,
    /// What program, as it named itself.
    pub user_agent: Option<&'a str>,
    /// What address.
    pub ip: Option<&'a str>,
    /// Its place in the status lists, drawn at random.
    pub status: StatusPosition,
}

/// What a session begins on the strength of. The statement that inserts it sees that this still holds.
#[derive(Debug, Clone, Copy)]
pub enum SessionBasis<'a> {
    /// The account's password, by this hash.
    Password(&'a PasswordHash),
    /// An identity, for which its provider vouched just now.
    Identity {
        /// The link to it.
        link: Uuid,
        /// When the person proved to the provider who they are. What is still to come counts as now.
        authenticated_at: DateTime<Utc>,
    },
    /// A log-in at our pages, which is live. The new session is its child, and says of the user's authentication what it
    /// says.
    Parent(SessionId),
}

/// When a session that begins or is refreshed at `now` ends, idle or used, and its access tokens with it.
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
            // A repeat within the grace gives an access token too, and changes no row.
            access: now + lifetimes.access_token + lifetimes.grace,
        }
    }
}

/// Inserts a session while its proof still holds and the account is not disabled: a log-in that was hashing while its
/// account was disabled, deleted or given another password leaves no session, nor does one whose parent has ended.
/// `None` where that is so.
///
/// # Errors
/// [`StoreError::Duplicate`] where its place in the status lists is taken: draw another. Others where the database cannot tell.
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
            // What came from a log-in does not outlast it.
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
    // FOR SHARE, so that whoever disables the account or changes its password waits for us, and then ends this session
    // too, or we wait for them and find nothing. (SQLite has one writer at a time, and sea-query writes no lock there.)
    let mut account = Query::select()
        .exprs(Column::iter().map(value))
        .from(user::Entity)
        .and_where(Expr::col((user::Entity, user::Column::Id)).eq(new.user.0))
        .and_where(Expr::col((user::Entity, user::Column::DisabledAt)).is_null())
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
                .and_where(of_parent(Column::EndsAt).gt(now))
                .and_where(of_parent(Column::IdleEndsAt).gt(now));
        }
    }
    // A registered client may have been deleted meanwhile as well.
    if !new.client.is_built_in() {
        account.from(client::Entity).and_where(Expr::col((client::Entity, client::Column::Id)).eq(new.client.as_str()));
    }
    let insert = Query::insert()
        .into_table(Entity)
        .columns(Column::iter())
        .select_from(account)
        .map_err(|why| unreadable(TABLE, why))?
        .returning_all()
        .to_owned();
    let row = rows::insert(db, &insert).await?;
    row.map(|row| session(Model::from_query_result(&row, "")?)).transpose()
}

/// Rotates the refresh token of `generation`. `None`: it is not its turn, which [`find`] tells more of.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn rotate(
    db: &impl ConnectionTrait,
    id: SessionId,
    generation: Generation,
    client: &ClientId,
    lifetimes: &Lifetimes,
    now: DateTime<Utc>,
) -> Result<Option<Session>, StoreError> {
    let ends = Ends::of(lifetimes, now);
    let idle_end = Expr::case(Expr::col(Column::EndsAt).lt(ends.idle), Expr::col(Column::EndsAt)).finally(ends.idle);
    // Never sooner than before: an access token that was given a longer life elsewhere lives on.
    let access_end = Expr::case(Expr::col(Column::AccessEndsAt).gt(ends.access), Expr::col(Column::AccessEndsAt))
        .finally(ends.access);
    // One statement: two requests may hold the same token, and only the database can say which came first.
    let rows = Entity::update_many()
        .col_expr(Column::Generation, Expr::col(Column::Generation).add(1))
        .col_expr(Column::RotatedAt, Expr::value(now))
        .col_expr(Column::IdleEndsAt, idle_end.into())
        .col_expr(Column::AccessEndsAt, access_end.into())
        .filter(Column::Id.eq(id.0))
        .filter(Column::Generation.eq(generation.0))
        .filter(Column::ClientId.eq(client.as_str()))
        .filter(live(now))
        .exec_with_returning(db)
        .await?;
    rows.into_iter().next().map(session).transpose()
}

/// Has what came from the log-in `from` live on with the log-in `to`, of the same account.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
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

/// Notes that a log-in at our pages is used, so that it does not end for idleness; once in `at_most_every` is enough.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
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

/// The session of `id`, ended or not.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn find(db: &impl ConnectionTrait, id: SessionId) -> Result<Option<Session>, StoreError> {
    Entity::find_by_id(id.0).one(db).await?.map(session).transpose()
}

/// The same, held until the transaction ends: whoever ends it meanwhile waits.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn hold(transaction: &Transaction, id: SessionId) -> Result<Option<Session>, StoreError> {
    Entity::find_by_id(id.0).lock_exclusive().one(transaction).await?.map(session).transpose()
}

/// The account's live sessions, newest first; at most [`MOST_LISTED`].
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn live_of(db: &impl ConnectionTrait, user: UserId, now: DateTime<Utc>) -> Result<Vec<Session>, StoreError> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user.0))
        .filter(live(now))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(MOST_LISTED)
        .all(db)
        .await?;
    rows.into_iter().map(session).collect()
}

/// The addresses that the account's live sessions began at; of very many, some [`MOST_LISTED`].
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn addresses_of(
    db: &impl ConnectionTrait,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<String>, StoreError> {
    // Unsorted, so that the index on live sessions is read no further than that.
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

/// How many live sessions the account has.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn count_live(db: &impl ConnectionTrait, user: UserId, now: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(Entity::find().filter(Column::UserId.eq(user.0)).filter(live(now)).count(db).await?)
}

/// How many sessions of the account there are to end: its live ones, and those that have run out and are not pruned yet.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn count_unended(db: &impl ConnectionTrait, user: UserId) -> Result<u64, StoreError> {
    Ok(Entity::find().filter(Column::UserId.eq(user.0)).filter(Column::EndedAt.is_null()).count(db).await?)
}

/// Gives the account's live sessions its new name, so that their next access tokens carry it.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn rename(db: &impl ConnectionTrait, user: UserId, username: &str) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::Username, Expr::value(username))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::EndedAt.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Gives the account's live sessions its new roles, so that their next access tokens carry them.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn set_roles(db: &impl ConnectionTrait, user: UserId, roles: &[Role]) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::Roles, Expr::value(to_json(&roles)))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::EndedAt.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// The highest status list that any session has a place in; `None` where there is no session.
///
/// # Errors
/// [`StoreError`].
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

/// Neither ended nor run out.
fn live(now: DateTime<Utc>) -> Condition {
    Condition::all().add(Column::EndedAt.is_null()).add(Column::EndsAt.gt(now)).add(Column::IdleEndsAt.gt(now))
}

/// The session that a row holds.
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
