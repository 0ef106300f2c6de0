//! Checks access tokens that are presented to this service itself (RFC 6750), without asking the database.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    crypto::{
        digest,
        jose::jwt::{Jwt, TokenError},
    },
    domain::{
        claims::AccessClaims,
        clock::Clock,
        ids::{ClientId, SessionId, UserId},
        scope::Scope,
        session::{Session, UNKNOWN},
    },
    services::Unavailable,
    store::{
        Database,
        entity_cache::EntityCache,
        revocations::Revocations,
        verified_tokens::{VerifiedToken, VerifiedTokens},
    },
};

/// Checks access tokens.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub jwt: Arc<Jwt>,
    /// Revoked tokens with a valid signature.
    pub revocations: Revocations,
    /// Tells which clients are first-party.
    pub entities: EntityCache,
    /// Read where the cache has no entry.
    pub db: Database,
    pub clock: Arc<dyn Clock>,
    /// This service, as the audience of tokens that may manage accounts.
    pub issuer: String,
    /// The configured audience, whose tokens may read claims as well.
    pub audience: String,
    /// The tokens whose signature was verified already.
    pub verified: VerifiedTokens,
}

/// The user who presents a valid token, or is logged in at our own pages.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user: UserId,
    pub session: SessionId,
    /// The client that the token was issued to.
    pub client: ClientId,
    pub scope: Scope,
    /// When the user last authenticated.
    pub authenticated_at: DateTime<Utc>,
}

impl Caller {
    /// The user who is logged in at our own pages.
    #[must_use]
    pub fn of_log_in(session: &Session) -> Self {
        Self {
            user: session.user,
            session: session.id,
            client: session.client.clone(),
            scope: session.scope.clone(),
            authenticated_at: session.authenticated_at,
        }
    }
}

/// Why a token does not open a route.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    /// It is not a valid access token of ours. The reason is for the log alone.
    #[error("the token is not good: {0}")]
    Token(#[from] TokenError),
    /// Its session has ended.
    #[error("the token's session has ended")]
    Ended,
    /// It is valid, but does not allow this.
    #[error("the token does not reach this far")]
    Insufficient,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Bearer {
    /// The user who may manage their account with this token. It must be a user's, with this service in its audience,
    /// and its client must be first-party now.
    pub async fn account(&self, token: &str) -> Result<Caller, BearerError> {
        let claims = self.user_token(token)?;
        if !claims.aud.contains(&self.issuer) || !self.is_first_party(&claims).await? {
            return Err(BearerError::Insufficient);
        }
        caller(&claims)
    }

    /// The user who may read their claims with this token (OIDC Core §5.3): one with scope `openid`, or of a client that is
    /// first-party now. A token that is bound to another resource is for that one alone (RFC 9068 §4).
    pub async fn userinfo(&self, token: &str) -> Result<Caller, BearerError> {
        let claims = self.user_token(token)?;
        if !claims.aud.contains(&self.issuer) && !claims.aud.contains(&self.audience) {
            return Err(BearerError::Insufficient);
        }
        if !claims.scope.contains("openid") && !self.is_first_party(&claims).await? {
            return Err(BearerError::Insufficient);
        }
        caller(&claims)
    }

    /// The claims of a valid user's token.
    fn user_token(&self, token: &str) -> Result<Arc<AccessClaims>, BearerError> {
        let claims = self.live(token)?;
        if claims.user.is_some() { Ok(claims) } else { Err(BearerError::Insufficient) }
    }

    /// The claims of an access token that is valid now, for any audience. It takes no SQL.
    pub fn live(&self, token: &str) -> Result<Arc<AccessClaims>, BearerError> {
        let claims = self.verified(token)?;
        if !self.revocations.are_current() {
            return Err(Unavailable::Stale.into());
        }
        let over = match &claims.user {
            Some(user) => self.revocations.has_ended(user.sid, subject(&claims)?),
            None => self.revocations.is_denied(&claims.jti),
        };
        if over || self.revocations.is_deleted(&claims.client_id, claims.iat) {
            return Err(BearerError::Ended);
        }
        Ok(claims)
    }

    /// The claims of a token that is well signed, and neither expired nor ahead of its time.
    fn verified(&self, token: &str) -> Result<Arc<AccessClaims>, TokenError> {
        let (digest, now) = (digest::sha256(token.as_bytes()), self.clock.now());
        if let Some(known) = self.verified.find(&digest) {
            self.jwt.is_still_good(&known.claims, &known.kid, now)?;
            return Ok(Arc::clone(&known.claims));
        }
        let (claims, kid) = self.jwt.verify_access(token, now)?;
        let claims = Arc::new(claims);
        self.verified.insert(digest, VerifiedToken { kid, claims: Arc::clone(&claims) });
        Ok(claims)
    }

    /// Whether the token's signature was verified before, so that judging it costs no signature.
    #[must_use]
    pub fn has_verified(&self, token: &str) -> bool {
        self.verified.contains(&digest::sha256(token.as_bytes()))
    }

    async fn is_first_party(&self, claims: &AccessClaims) -> Result<bool, Unavailable> {
        let found = self.entities.client(&self.db, &claims.client_id).await?;
        Ok(found.is_some_and(|(client, _)| client.first_party))
    }
}

fn caller(claims: &AccessClaims) -> Result<Caller, BearerError> {
    let Some(user) = &claims.user else { return Err(BearerError::Insufficient) };
    let account = subject(claims)?;
    // It is a time in every token that we sign; a key of ours that is used elsewhere must not cause a panic.
    let authenticated_at = match user.auth_time {
        Some(time) => DateTime::from_timestamp(time, 0).ok_or(TokenError::Malformed)?,
        None => UNKNOWN,
    };
    Ok(Caller {
        user: account,
        session: user.sid,
        client: claims.client_id.clone(),
        scope: claims.scope.clone(),
        authenticated_at,
    })
}

/// The account of a user's token. It is a UUID in every one that we sign.
fn subject(claims: &AccessClaims) -> Result<UserId, TokenError> {
    uuid::Uuid::parse_str(&claims.sub).map(UserId).map_err(|_| TokenError::Malformed)
}
