//! The refresh grant (RFC 6749 §6) with rotation (RFC 9700 §4.14.2). A refresh is one statement. A repeat within the
//! grace gets the same successor; any other second use ends the session.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    crypto::jose::jwt::{Jwt, RefreshToken, RefreshTokenOfAnyAge},
    domain::{
        claims::{Audience, RefreshClaims},
        client::Client,
        clock::Clock,
        ids::ClientId,
        oauth::GrantType,
        scope::Scope,
        session::{EndReason, Generation, Session, StaleRefresh},
    },
    services::{
        Unavailable,
        audit::Event,
        grants::{
            Asked, GrantError, counted, narrow, permit,
            token_issuer::{TokenIssuer, TokenSet},
        },
        sessions::end::EndSession,
    },
    store::{
        Database, StoreError,
        entity_cache::EntityCache,
        sessions::{self, Rotation, SessionSelector},
    },
};

#[derive(Debug, Clone)]
pub struct Refresh {
    pub jwt: Arc<Jwt>,
    /// Signs its successor.
    pub issue: TokenIssuer,
    /// Ends a session whose token was stolen.
    pub end_session: EndSession,
    /// The cache of accounts.
    pub entities: EntityCache,
    pub db: Database,
    pub clock: Arc<dyn Clock>,
}

impl Refresh {
    /// The client that a genuine refresh token of any age was issued to. RFC 6749 §6 has no `client_id` in the request.
    #[must_use]
    pub fn owner(&self, token: &str) -> Option<ClientId> {
        self.jwt.verify(RefreshTokenOfAnyAge, token, self.clock.now()).ok().map(|claims| claims.client_id)
    }

    /// Exchanges `token` for `client`, which has authenticated.
    ///
    /// # Errors
    /// [`GrantError`]; if [`GrantError::Unavailable`], the token stays valid.
    pub async fn run(&self, token: &str, client: &Client, asked: Asked<'_>) -> Result<TokenSet, GrantError> {
        permit(client, GrantType::RefreshToken)?;
        let asked = Asked { scope: counted(client, asked.scope), ..asked };
        let now = self.clock.now();
        let claims = self.jwt.verify(RefreshToken, token, now).map_err(|_| {
            Event::refused("refresh", "token").client(&client.id).record();
            GrantError::InvalidGrant
        })?;
        // Another client's token is refused without ending its session: a thief must not be able to end it.
        if claims.client_id != client.id {
            Event::refused("refresh", "client").client(&client.id).session(claims.sid).record();
            return Err(GrantError::InvalidGrant);
        }
        // Check scope and resource before the rotation, which cannot be undone; a session's do not change.
        if asked.scope.is_some() || asked.resource.is_some() {
            self.judge(&claims, client, asked, now).await?;
        }
        // Do everything that can fail before the rotation: a failure afterwards would use up the token.
        self.issue.prepare_id_token(client, now).await?;
        let user = if client.is_relying_party() { self.entities.user(&self.db, claims.sub).await? } else { None };
        let targets: Vec<&str> = self.issue.targets(client).collect();
        let session = match self.rotate(&claims, client, &targets, now).await? {
            Some(session) => session,
            None => self.judge_stale(&claims, client, now).await?,
        };
        let (scope, audience) = self.grantable(&session, client, asked)?;
        let tokens = self.issue.session_tokens_for(audience, &session, client, &scope, now)?;
        // OIDC Core §12.2: a new ID token has the `auth_time` of the first one, and no nonce.
        match user {
            Some(user) => Ok(self.issue.with_id_token(tokens, &session, client, &user, None, now)?),
            None => Ok(tokens),
        }
    }

    /// Rotates the token, if it is the live one of a session for one of `targets`, or for no resource.
    async fn rotate(
        &self,
        claims: &RefreshClaims,
        client: &Client,
        targets: &[&str],
        now: DateTime<Utc>,
    ) -> Result<Option<Session>, StoreError> {
        let rotation =
            Rotation { session: claims.sid, generation: Generation(claims.generation), client: &client.id, targets };
        let lifetimes = &self.issue.lifetimes;
        let rotated = match sessions::rotate(&self.db, &rotation, lifetimes, now).await {
            // As the client itself would: if the first statement took effect, the second finds the successor within the
            // grace. Without a grace it would look like a theft.
            Err(cause) if cause.is_lost_connection() && lifetimes.grace > TimeDelta::zero() => {
                sessions::rotate(&self.db, &rotation, lifetimes, now).await?
            }
            outcome => outcome?,
        };
        if let Some(session) = &rotated {
            Event::done("refresh").account(session.user).client(&client.id).session(session.id).record();
        }
        Ok(rotated)
    }

    /// What a token of `session` may have now: the operator may have narrowed the client since it was granted.
    ///
    /// # Errors
    /// [`GrantError::InvalidTarget`] for a resource that the client lost, or another than the session's;
    /// [`GrantError::InvalidScope`] for a wider scope; [`GrantError::InvalidGrant`] if nothing is left of the session's.
    fn grantable(&self, session: &Session, client: &Client, asked: Asked<'_>) -> Result<(Scope, Audience), GrantError> {
        let granted = session.resource.as_deref();
        if granted.is_some_and(|resource| self.issue.target(client, resource).is_none()) {
            return Err(GrantError::InvalidTarget);
        }
        let audience = self.issue.audience_for(client, granted, asked.resource).ok_or(GrantError::InvalidTarget)?;
        let left = session.scope.clone().within(&client.scope);
        let scope = match asked.scope {
            Some(_) => narrow(asked.scope, &client.scope)?,
            None if left.is_empty() && !session.scope.is_empty() => return Err(GrantError::InvalidGrant),
            None => left,
        };
        if scope.is_within(&session.scope) { Ok((scope, audience)) } else { Err(GrantError::InvalidScope) }
    }

    /// Refuses a scope or resource that the session's tokens cannot have.
    async fn judge(
        &self,
        claims: &RefreshClaims,
        client: &Client,
        asked: Asked<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), GrantError> {
        let Some(session) = sessions::find(&self.db, claims.sid).await? else { return Err(GrantError::InvalidGrant) };
        let presented = session.presented(Generation(claims.generation), now, self.issue.lifetimes.grace);
        let stale = Generation(claims.generation) != session.generation && presented != StaleRefresh::Repeated;
        if stale || session.ended_at.is_some() {
            // The rotation will refuse the token; scope and resource do not matter.
            return Ok(());
        }
        self.grantable(&session, client, asked).map(drop)
    }

    /// Distinguishes a lost response from a theft, by the session row.
    async fn judge_stale(
        &self,
        claims: &RefreshClaims,
        client: &Client,
        now: DateTime<Utc>,
    ) -> Result<Session, GrantError> {
        let refused = |reason| Event::refused("refresh", reason).client(&client.id).session(claims.sid).record();
        let Some(session) = sessions::find(&self.db, claims.sid).await? else {
            refused("unknown");
            return Err(GrantError::InvalidGrant);
        };
        if session.is_live(now) && session.generation == Generation(claims.generation) {
            return self.judge_target(&session, claims, client, now).await;
        }
        match session.presented(Generation(claims.generation), now, self.issue.lifetimes.grace) {
            StaleRefresh::Repeated => {
                Event::done("refresh")
                    .because("repeated")
                    .account(session.user)
                    .client(&client.id)
                    .session(session.id)
                    .record();
                Ok(session)
            }
            StaleRefresh::Reused => {
                refused("reuse");
                self.end_session.run(&SessionSelector::One(session.id), EndReason::Reuse).await?;
                Err(GrantError::InvalidGrant)
            }
            StaleRefresh::Over => {
                refused("over");
                Err(GrantError::InvalidGrant)
            }
        }
    }

    /// Judges the live token of a session whose resource is not registered as it is spelled.
    async fn judge_target(
        &self,
        session: &Session,
        claims: &RefreshClaims,
        client: &Client,
        now: DateTime<Utc>,
    ) -> Result<Session, GrantError> {
        let resource = session.resource.as_deref();
        let Some(resource) = resource.filter(|resource| self.issue.target(client, resource).is_some()) else {
            Event::refused("refresh", "resource").client(&client.id).session(claims.sid).record();
            return Err(GrantError::InvalidTarget);
        };
        // The operator spells it differently now.
        let rotated = self.rotate(claims, client, &[resource], now).await?;
        rotated.ok_or(GrantError::Unavailable(Unavailable::TooSlow))
    }
}
