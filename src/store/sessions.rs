//! Sessions: one row a log-in, one statement a refresh.

use chrono::{DateTime, Utc};
use entity::{
    session::{Column, Entity, Model},
    user,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Iterable, QueryFilter, QueryOrder,
    sea_query::{Condition, Expr, ExprTrait, LockType, Query},
};

use super::{
    StoreError,
    revocations::EndedSession,
    rows::{from_json, to_json, unreadable},
};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    password_hash::PasswordHash,
    scope::Scope,
    session::{EndReason, Generation, Lifetimes, Session},
};

const TABLE: &str = "session";

/// A log-in about to be recorded. What tokens carry of the account is copied from its row by the same statement.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// The `sid`.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// At which client.
    pub client: &'a ClientId,
    /// What was granted.
    pub scope: &'a Scope,
    /// The one resource asked for (RFC 8707).
    pub resource: Option<&'a str>,
    /// How the user proved who they are (RFC 8176).
    pub amr: &'a [&'a str],
    /// What program, as it named itself.
    pub user_agent: Option<&'a str>,
    /// What address.
    pub ip: Option<&'a str>,
}

/// When a session that begins or is refreshed at `now` ends, idle or used, and its access tokens with it.
#[derive(Debug, Clone, Copy)]
struct Ends {
    idle: DateTime<Utc>,
    session: DateTime<Utc>,
    access: DateTime<Utc>,
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

/// Inserts a session while the account's password is still `proof` and it is not disabled: a log-in that was hashing
/// while its account was disabled, deleted or given another password leaves no session. `None` where that is so.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn insert(
    db: &impl ConnectionTrait,
    new: &NewSession<'_>,
    proof: &PasswordHash,
    lifetimes: &Lifetimes,
    now: DateTime<Utc>,
) -> Result<Option<Session>, StoreError> {
    let ends = Ends::of(lifetimes, now);
    let value = |column: Column| -> Expr {
        match column {
            Column::Id => Expr::value(new.id.0),
            Column::UserId => Expr::col((user::Entity, user::Column::Id)),
            Column::ClientId => Expr::value(new.client.as_str()),
            Column::Scope => Expr::value(new.scope.to_string()),
            Column::Resource => Expr::value(new.resource),
            Column::Username => Expr::col((user::Entity, user::Column::Username)),
            Column::Roles => Expr::col((user::Entity, user::Column::Roles)),
            Column::Amr => Expr::value(to_json(&new.amr)),
            Column::Generation => Expr::value(Generation::FIRST.0),
            Column::AuthenticatedAt | Column::CreatedAt | Column::RotatedAt => Expr::value(now),
            Column::IdleEndsAt => Expr::value(ends.idle),
            Column::EndsAt => Expr::value(ends.session),
            Column::AccessEndsAt => Expr::value(ends.access),
            Column::EndedAt => Expr::value(None::<DateTime<Utc>>),
            Column::EndReason => Expr::value(None::<String>),
            Column::UserAgent => Expr::value(new.user_agent),
            Column::Ip => Expr::value(new.ip),
        }
    };
    // FOR SHARE, so that whoever disables the account or changes its password waits for us, and then ends this session
    // too, or we wait for them and find nothing. (SQLite has one writer at a time, and sea-query writes no lock there.)
    let account = Query::select()
        .exprs(Column::iter().map(value))
        .from(user::Entity)
        .and_where(Expr::col((user::Entity, user::Column::Id)).eq(new.user.0))
        .and_where(Expr::col((user::Entity, user::Column::PasswordHash)).eq(proof.as_str()))
        .and_where(Expr::col((user::Entity, user::Column::DisabledAt)).is_null())
        .lock(LockType::Share)
        .to_owned();
    let insert = Query::insert()
        .into_table(Entity)
        .columns(Column::iter())
        .select_from(account)
        .map_err(|why| unreadable(TABLE, why))?
        .returning_all()
        .to_owned();
    let row = db.query_one(&insert).await?;
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
    // One statement: two requests may hold the same token, and only the database can say which came first.
    let rows = Entity::update_many()
        .col_expr(Column::Generation, Expr::col(Column::Generation).add(1))
        .col_expr(Column::RotatedAt, Expr::value(now))
        .col_expr(Column::IdleEndsAt, idle_end.into())
        .col_expr(Column::AccessEndsAt, Expr::value(ends.access))
        .filter(Column::Id.eq(id.0))
        .filter(Column::Generation.eq(generation.0))
        .filter(Column::ClientId.eq(client.as_str()))
        .filter(live(now))
        .exec_with_returning(db)
        .await?;
    rows.into_iter().next().map(session).transpose()
}

/// The session of `id`, ended or not.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn find(db: &impl ConnectionTrait, id: SessionId) -> Result<Option<Session>, StoreError> {
    Entity::find_by_id(id.0).one(db).await?.map(session).transpose()
}

/// The account's live sessions, newest first.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn live_of(db: &impl ConnectionTrait, user: UserId, now: DateTime<Utc>) -> Result<Vec<Session>, StoreError> {
    let rows = Entity::find()
        .filter(Column::UserId.eq(user.0))
        .filter(live(now))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .all(db)
        .await?;
    rows.into_iter().map(session).collect()
}

/// Which sessions end.
#[derive(Debug, Clone)]
pub enum Which {
    /// One.
    One(SessionId),
    /// One, if it is this account's.
    OneOf(UserId, SessionId),
    /// Every one of an account.
    AllOf(UserId),
    /// Every one of an account but this.
    AllOfBut(UserId, SessionId),
    /// Every one of a client.
    AllOfClient(ClientId),
}

/// Ends sessions that have not ended yet, and says which they were. Their rows keep nothing personal.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn end(
    db: &impl ConnectionTrait,
    which: &Which,
    reason: EndReason,
    now: DateTime<Utc>,
) -> Result<Vec<EndedSession>, StoreError> {
    let these = match which {
        Which::One(id) => Condition::all().add(Column::Id.eq(id.0)),
        Which::OneOf(user, id) => Condition::all().add(Column::Id.eq(id.0)).add(Column::UserId.eq(user.0)),
        Which::AllOf(user) => Condition::all().add(Column::UserId.eq(user.0)),
        Which::AllOfBut(user, id) => Condition::all().add(Column::UserId.eq(user.0)).add(Column::Id.ne(id.0)),
        Which::AllOfClient(client) => Condition::all().add(Column::ClientId.eq(client.as_str())),
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
    Ok(rows.iter().map(ended).collect())
}

/// The ended sessions of which an access token may still live at `now`.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn ended_with_live_tokens(
    db: &impl ConnectionTrait,
    now: DateTime<Utc>,
) -> Result<Vec<EndedSession>, StoreError> {
    let rows =
        Entity::find().filter(Column::EndedAt.is_not_null()).filter(Column::AccessEndsAt.gt(now)).all(db).await?;
    Ok(rows.iter().map(ended).collect())
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

/// Neither ended nor run out.
fn live(now: DateTime<Utc>) -> Condition {
    Condition::all().add(Column::EndedAt.is_null()).add(Column::EndsAt.gt(now)).add(Column::IdleEndsAt.gt(now))
}

fn ended(row: &Model) -> EndedSession {
    EndedSession { session: SessionId(row.id), access_ends_at: row.access_ends_at }
}

/// The session that a row holds.
fn session(row: Model) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId(row.id),
        user: UserId(row.user_id),
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
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
        user_agent: row.user_agent,
        ip: row.ip,
    })
}
