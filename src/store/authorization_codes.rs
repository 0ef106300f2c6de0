//! Authorization codes, stored by digest and used once. A used code is kept for a while, so that a second use is
//! recognized.

use chrono::{DateTime, Utc};
use entity::{
    authorization_code::{Column, Entity, Model},
    consent,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, Iterable, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query},
};
use uuid::Uuid;

use super::{
    StoreError,
    consents::Consent,
    rows::{self, unreadable},
};
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
    /// The redirect URI, byte for byte; `None` if the request left it out.
    pub redirect_uri: Option<String>,
    /// The PKCE challenge that the token request must answer, if the authorization request had one.
    pub code_challenge: Option<CodeChallenge>,
    pub scope: Scope,
    /// The one requested resource (RFC 8707).
    pub resource: Option<String>,
    /// The `nonce` of the ID token.
    pub nonce: Option<String>,
    pub expires_at: DateTime<Utc>,
    /// The session that it was exchanged for, if it was.
    pub session: Option<SessionId>,
    /// The pushed request that it answers, if there was one.
    pub reference: Option<ReferenceDigest>,
}

/// SHA-256 of the reference to a pushed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceDigest(pub [u8; 32]);

/// Stores a new code; with `consent`, only while the user's consent to the client is still that one. The consent is
/// locked until the code is there, so that its withdrawal finds the code. Returns whether it was stored.
///
/// # Errors
/// [`StoreError::Duplicate`] if there was a code for the same pushed request.
pub async fn insert(
    db: &impl ConnectionTrait,
    digest: CodeDigest,
    code: &AuthorizationCode,
    consent: Option<&Consent>,
) -> Result<bool, StoreError> {
    let value = |column: Column| -> Expr {
        match column {
            Column::Digest => Expr::value(digest.0.to_vec()),
            Column::ClientId => Expr::value(code.client.as_str()),
            Column::UserId => Expr::value(code.user.0),
            Column::Parent => Expr::value(code.parent.0),
            Column::RedirectUri => Expr::value(code.redirect_uri.as_deref().unwrap_or_default()),
            Column::CodeChallenge => Expr::value(code.code_challenge.as_ref().map_or("", CodeChallenge::as_str)),
            Column::Scope => Expr::value(code.scope.to_string()),
            Column::Resource => Expr::value(code.resource.clone()),
            Column::Nonce => Expr::value(code.nonce.clone()),
            Column::ExpiresAt => Expr::value(code.expires_at),
            Column::UsedAt => Expr::value(None::<DateTime<Utc>>),
            Column::SessionId => Expr::value(None::<Uuid>),
            Column::Reference => Expr::value(code.reference.map(|reference| reference.0.to_vec())),
        }
    };
    let mut row = Query::select().exprs(Column::iter().map(value)).to_owned();
    if let Some(consent) = consent {
        row.from(consent::Entity)
            .and_where(Expr::col(consent::Column::UserId).eq(code.user.0))
            .and_where(Expr::col(consent::Column::ClientId).eq(code.client.as_str()))
            .and_where(Expr::col(consent::Column::Scope).eq(consent.scope.to_string()))
            .lock(LockType::Share);
    }
    let insert = Query::insert()
        .into_table(Entity)
        .columns(Column::iter())
        .select_from(row)
        .map_err(|why| unreadable(TABLE, why))?
        .returning_col(Column::Digest)
        .to_owned();
    Ok(rows::insert(db, &insert).await?.is_some())
}

/// Whether a code was given for this pushed request.
pub async fn is_answered(db: &impl ConnectionTrait, reference: ReferenceDigest) -> Result<bool, StoreError> {
    let found = Entity::find().select_only().column(Column::Digest).filter(Column::Reference.eq(reference.0.to_vec()));
    Ok(found.into_tuple::<Vec<u8>>().one(db).await?.is_some())
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

/// Notes that a redeemed code has continued `session`, which was there before.
pub async fn continues(db: &impl ConnectionTrait, digest: CodeDigest, session: SessionId) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::SessionId, Expr::value(session.0))
        .filter(Column::Digest.eq(digest.0.to_vec()))
        .exec(db)
        .await?;
    Ok(())
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
        redirect_uri: Some(row.redirect_uri).filter(|uri| !uri.is_empty()),
        code_challenge: Some(row.code_challenge)
            .filter(|text| !text.is_empty())
            .map(|text| CodeChallenge::parse(&text).map_err(|why| unreadable(TABLE, why)))
            .transpose()?,
        scope: Scope::parse(&row.scope).map_err(|why| unreadable(TABLE, why))?,
        resource: row.resource,
        nonce: row.nonce,
        expires_at: row.expires_at,
        session: row.session_id.map(SessionId),
        reference: row
            .reference
            .map(|digest| digest.try_into().map(ReferenceDigest))
            .transpose()
            .map_err(|_| unreadable(TABLE, "reference digest of another length"))?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::{Use, connect, consents, schema};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn code(reference: Option<[u8; 32]>) -> AuthorizationCode {
        AuthorizationCode {
            client: ClientId::parse("app").expect("an id"),
            user: UserId(Uuid::from_u128(1)),
            parent: SessionId(Uuid::from_u128(2)),
            redirect_uri: Some("https://app.example/cb".to_owned()),
            code_challenge: None,
            scope: Scope::parse("openid").expect("a scope"),
            resource: None,
            nonce: None,
            expires_at: NOW + TimeDelta::minutes(1),
            session: None,
            reference: reference.map(ReferenceDigest),
        }
    }

    /// The consent may be withdrawn, or given again for less, between its check and the code.
    #[tokio::test]
    async fn a_code_is_there_only_with_the_consent_that_it_rests_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}/signet.db?mode=rwc", folder.path().display());
        let db = connect(&url.into(), Use::Requests).await.expect("it opens");
        schema::up(&db).await.expect("it migrates");
        let given = |scope| Consent {
            client: code(None).client,
            scope: Scope::parse(scope).expect("a scope"),
            resources: Vec::new(),
            given_at: NOW,
        };
        let inserts = async |n, reference, consent| insert(&db, CodeDigest([n; 32]), &code(reference), consent).await;
        let (wide, narrow) = (given("openid email"), given("openid"));
        assert!(!inserts(1, None, Some(&wide)).await.expect("it answers"), "there is none");
        consents::put(&db, code(None).user, &wide).await.expect("it answers");
        assert!(inserts(1, None, Some(&wide)).await.expect("it answers"));
        consents::put(&db, code(None).user, &narrow).await.expect("it answers");
        assert!(!inserts(2, None, Some(&wide)).await.expect("it answers"), "it is another one");
        assert!(inserts(2, None, Some(&narrow)).await.expect("it answers"));
        consents::delete(&db, code(None).user, &code(None).client).await.expect("it answers");
        assert!(!inserts(3, None, Some(&narrow)).await.expect("it answers"), "it was withdrawn");
        assert_eq!(find(&db, CodeDigest([3; 32])).await.expect("it answers"), None);
        assert!(inserts(3, Some([7; 32]), None).await.expect("it answers"), "a first-party client needs none");
        let found = find(&db, CodeDigest([3; 32])).await.expect("it answers");
        assert_eq!(found, Some(code(Some([7; 32]))));

        assert!(is_answered(&db, ReferenceDigest([7; 32])).await.expect("it answers"));
        assert!(!is_answered(&db, ReferenceDigest([8; 32])).await.expect("it answers"));
        let again = inserts(4, Some([7; 32]), None).await;
        assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    }
}
