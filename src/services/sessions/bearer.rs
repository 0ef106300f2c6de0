//! Checks an access token that is presented to this service itself (RFC 6750), without asking the database whether it
//! is still good.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    crypto::jose::jwt::{AccessToken, Jwt, TokenError},
    domain::{
        claims::{AccessClaims, UserClaims},
        clock::Clock,
        ids::{ClientId, SessionId, UserId},
        scope::Scope,
        session::Session,
    },
    services::Unavailable,
    store::{Database, entity_cache::EntityCache, revocations::Revocations},
};

/// Checks access tokens.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Verifies.
    pub jwt: Arc<Jwt>,
    /// What is refused although its signature is good.
    pub revocations: Revocations,
    /// Which clients are first-party.
    pub remembered: EntityCache,
    /// Asked for what is not remembered.
    pub db: Database,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// This service, as the audience of tokens that may open accounts.
    pub issuer: String,
}

/// Whoever presents a good token, or is logged in at our own pages.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The client that the token was issued to.
    pub client: ClientId,
    /// What the token allows.
    pub scope: Scope,
    /// When the user last proved who they are.
    pub authenticated_at: DateTime<Utc>,
}

impl Caller {
    /// Whoever is logged in at our own pages.
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
    /// It is no access token of ours, or no longer; why is for the log alone.
    #[error("the token is not good: {0}")]
    Token(#[from] TokenError),
    /// Its session has ended.
    #[error("the token's session has ended")]
    Ended,
    /// It is good, but not for this.
    #[error("the token does not reach this far")]
    Insufficient,
    /// Trouble on our side.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Bearer {
    /// Who may manage their account with this token: a user's, with this service in its audience, of a client that is
    /// first-party now.
    ///
    /// # Errors
    /// [`BearerError`].
    pub async fn account(&self, token: &str) -> Result<Caller, BearerError> {
        let (claims, user) = self.user_token(token)?;
        if !self.opens_accounts(&claims).await? {
            return Err(BearerError::Insufficient);
        }
        caller(claims, &user)
    }

    /// Who may read their claims with this token (OIDC Core §5.3): what [`Self::account`] takes, or any user's with
    /// scope `openid`.
    ///
    /// # Errors
    /// [`BearerError`].
    pub async fn userinfo(&self, token: &str) -> Result<Caller, BearerError> {
        let (claims, user) = self.user_token(token)?;
        if !claims.scope.contains("openid") && !self.opens_accounts(&claims).await? {
            return Err(BearerError::Insufficient);
        }
        caller(claims, &user)
    }

    /// The claims of a good token that a user logged in for.
    fn user_token(&self, token: &str) -> Result<(AccessClaims, UserClaims), BearerError> {
        let mut claims = self.live(token)?;
        let Some(user) = claims.user.take() else { return Err(BearerError::Insufficient) };
        Ok((claims, user))
    }

    /// The claims of an access token that is good now, for whatever audience. It takes no SQL.
    ///
    /// # Errors
    /// [`BearerError`].
    pub fn live(&self, token: &str) -> Result<AccessClaims, BearerError> {
        let claims = self.jwt.verify(AccessToken { audience: None }, token, self.clock.now())?;
        if !self.revocations.are_current() {
            return Err(Unavailable::Stale.into());
        }
        let over = match &claims.user {
            Some(user) => self.revocations.has_ended(user.sid),
            None => self.revocations.is_denied(&claims.jti),
        };
        if over || self.revocations.is_deleted(&claims.client_id, claims.iat) {
            return Err(BearerError::Ended);
        }
        Ok(claims)
    }

    async fn opens_accounts(&self, claims: &AccessClaims) -> Result<bool, Unavailable> {
        if !claims.aud.contains(&self.issuer) {
            return Ok(false);
        }
        let found = self.remembered.client(&self.db, &claims.client_id).await?;
        Ok(found.is_some_and(|(client, _)| client.first_party))
    }
}

fn caller(claims: AccessClaims, user: &UserClaims) -> Result<Caller, BearerError> {
    // Both hold for whatever we sign ourselves; a key of ours used elsewhere is no reason to panic.
    let subject = uuid::Uuid::parse_str(&claims.sub).map_err(|_| TokenError::Malformed)?;
    let authenticated_at = DateTime::from_timestamp(user.auth_time, 0).ok_or(TokenError::Malformed)?;
    Ok(Caller {
        user: UserId(subject),
        session: user.sid,
        client: claims.client_id,
        scope: claims.scope,
        authenticated_at,
    })
}
