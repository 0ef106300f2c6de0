//! Authorization codes, stored by digest and used once. A used code is kept for a while, so that a second use is
//! recognized.

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

/// SHA-256 of a code, the only form that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeDigest(pub [u8; 32]);

/// A code and what it grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationCode {
    pub client: ClientId,
    pub user: UserId,
    /// The browser session of the login.
    pub parent: SessionId,
    /// The redirect URI, byte for byte.
    pub redirect_uri: String,
    /// The PKCE challenge that the token request must answer.
    pub code_challenge: CodeChallenge,
    pub scope: Scope,
    /// The one requested resource (RFC 8707).
    pub resource: Option<String>,
    /// The `nonce` of the ID token.
    pub nonce: Option<String>,
    pub expires_at: DateTime<Utc>,
    /// The session that it was exchanged for, if it was.
    pub session: Option<SessionId>,
}

/// Stores a new code.
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
pub async fn find(db: &impl ConnectionTrait, digest: CodeDigest) -> Result<Option<AuthorizationCode>, StoreError> {
    Entity::find_by_id(digest.0.to_vec()).one(db).await?.map(code).transpose()
}

/// Marks a code as used for `session`. Returns whether it was unused and valid: of concurrent calls, one gets `true`.
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

/// Deletes the unexpired codes that `user` gave to `client`, because the consent is withdrawn.
pub async fn delete_of(
    db: &impl ConnectionTrait,
    user: UserId,
    client: &ClientId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    Entity::delete_many()
        // The index finds the few codes of the last minute.
        .filter(Column::ExpiresAt.gt(now))
        .filter(Column::UserId.eq(user.0))
        .filter(Column::ClientId.eq(client.as_str()))
        .exec(db)
        .await?;
    Ok(())
}

/// Deletes at most `batch` codes that expired before `over`; batches of other processes are skipped. Returns how many
/// there were.
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
