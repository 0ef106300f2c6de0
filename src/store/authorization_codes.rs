//! Authorization codes: by their digest, used once. A used one is kept for a while, so that a second use is known for
//! what it is.

use chrono::{DateTime, Utc};
use entity::authorization_code::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    sea_query::{Expr, LockBehavior, LockType, Query},
};

use super::{StoreError, rows::unreadable};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    pkce::CodeChallenge,
    scope::Scope,
};

const TABLE: &str = "authorization_code";

/// SHA-256 of a code: the only form that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeDigest(pub [u8; 32]);

/// What a code was given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// To which client.
    pub client: ClientId,
    /// By whom.
    pub user: UserId,
    /// At which browser log-in.
    pub parent: SessionId,
    /// Where it was sent, byte for byte.
    pub redirect_uri: String,
    /// What whoever redeems it must know.
    pub code_challenge: CodeChallenge,
    /// What was granted.
    pub scope: Scope,
    /// The one resource asked for (RFC 8707).
    pub resource: Option<String>,
    /// What the ID token says back.
    pub nonce: Option<String>,
    /// When it is worth nothing any more.
    pub expires_at: DateTime<Utc>,
    /// The session that it was exchanged for, once it was.
    pub session: Option<SessionId>,
}

/// Keeps a code that is about to be given.
///
/// # Errors
/// [`StoreError`].
pub async fn insert(db: &impl ConnectionTrait, digest: CodeDigest, code: &AuthorizationCode) -> Result<(), StoreError> {
    let row = ActiveModel {
        digest: Set(digest.0.to_vec()),
        client_id: Set(code.client.as_str().to_owned()),
        user_id: Set(code.user.0),
        parent: Set(code.parent.0),
        redirect_uri: Set(code.redirect_uri.clone()),
        code_challenge: Set(code.code_challenge.as_str().to_owned()),
        scope: Set(code.scope.to_string()),
        resource: Set(code.resource.clone()),
        nonce: Set(code.nonce.clone()),
        expires_at: Set(code.expires_at),
        used_at: Set(None),
        session_id: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// A code, used or not, expired or not.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn find(db: &impl ConnectionTrait, digest: CodeDigest) -> Result<Option<AuthorizationCode>, StoreError> {
    Entity::find_by_id(digest.0.to_vec()).one(db).await?.map(code).transpose()
}

/// Uses a code up for `session`. Says whether it was there to be used: of any number of uses at once, one is told so.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn redeem(
    db: &impl ConnectionTrait,
    digest: CodeDigest,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .col_expr(Column::SessionId, Expr::value(session.0))
        .filter(Column::Digest.eq(digest.0.to_vec()))
        .filter(Column::UsedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Deletes the codes that `user` gave `client` and that are still good: they allow it nothing any more.
///
/// # Errors
/// [`StoreError`] where the database cannot tell.
pub async fn delete_of(
    db: &impl ConnectionTrait,
    user: UserId,
    client: &ClientId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    Entity::delete_many()
        // The few of this minute, by their index.
        .filter(Column::ExpiresAt.gt(now))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::ClientId.eq(client.as_str()))
        .exec(db)
        .await?;
    Ok(())
}

/// Deletes at most `batch` codes that expired before `over`; others' batches are passed over. Says how many there were.
///
/// # Errors
/// [`StoreError`].
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::Digest)
        .from(Entity)
        .and_where(Column::ExpiresAt.lt(over))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    Ok(Entity::delete_many().filter(Column::Digest.in_subquery(these)).exec(db).await?.rows_affected)
}

/// The code that a row holds.
fn code(row: Model) -> Result<AuthorizationCode, StoreError> {
    Ok(AuthorizationCode {
        client: ClientId::parse(&row.client_id).map_err(|why| unreadable(TABLE, why))?,
        user: UserId(row.user_id),
        parent: SessionId(row.parent),
        redirect_uri: row.redirect_uri,
        code_challenge: CodeChallenge::parse(&row.code_challenge).map_err(|why| unreadable(TABLE, why))?,
        scope: Scope::parse(&row.scope).map_err(|why| unreadable(TABLE, why))?,
        resource: row.resource,
        nonce: row.nonce,
        expires_at: row.expires_at,
        session: row.session_id.map(SessionId),
    })
}
