//! The refresh grant (RFC 6749 §6) with rotation (RFC 9700 §4.14.2). A refresh is one statement. A repeat within the
//! grace gets the same successor; any other second use ends the session.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    crypto::jose::jwt::{Jwt, RefreshToken, RefreshTokenOfAnyAge},
    domain::{
        claims::RefreshClaims,
        client::Client,
        clock::Clock,
        ids::ClientId,
        oauth::GrantType,
        session::{EndReason, Generation, Session, StaleRefresh},
    },
    services::{
        audit::Event,
        grants::{
            Asked, GrantError, narrow, permit,
            token_issuer::{TokenIssuer, TokenSet},
        },
        sessions::end::EndSession,
    },
    store::{
        Database,
        entity_cache::EntityCache,
        sessions::{self, SessionSelector},
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
            self.judge(&claims, asked, now).await?;
        }
        // Do everything that can fail before the rotation: a failure afterwards would use up the token.
        self.issue.prepare_id_token(client, now).await?;
        let user = if client.is_relying_party() { self.entities.user(&self.db, claims.sub).await? } else { None };
        let generation = Generation(claims.generation);
        let lifetimes = &self.issue.lifetimes;
        let rotated = sessions::rotate(&self.db, claims.sid, generation, &client.id, lifetimes, now).await?;
        let session = match rotated {
            Some(session) => {
                Event::done("refresh").account(session.user).client(&client.id).session(session.id).record();
                session
            }
            None => self.not_its_turn(&claims, client, now).await?,
        };
        let scope = narrow(asked.scope, &session.scope)?;
        let tokens = self.issue.session_tokens(&session, client, &scope, now)?;
        // OIDC Core §12.2: a new ID token has the `auth_time` of the first one, and no nonce.
        match user {
            Some(user) => Ok(self.issue.with_id_token(tokens, &session, client, &user, None, now)?),
            None => Ok(tokens),
        }
    }

    /// Refuses a wider scope or another resource than the session's.
    async fn judge(&self, claims: &RefreshClaims, asked: Asked<'_>, now: DateTime<Utc>) -> Result<(), GrantError> {
        let Some(session) = sessions::find(&self.db, claims.sid).await? else { return Err(GrantError::InvalidGrant) };
        let presented = session.presented(Generation(claims.generation), now, self.issue.lifetimes.grace);
        let stale = Generation(claims.generation) != session.generation && presented != StaleRefresh::Repeated;
        if stale || session.ended_at.is_some() {
            // The rotation will refuse the token; scope and resource do not matter.
            return Ok(());
        }
        narrow(asked.scope, &session.scope)?;
        match asked.resource {
            Some(resource) if session.resource.as_deref() != Some(resource) => Err(GrantError::InvalidTarget),
            _ => Ok(()),
        }
    }

    /// Distinguishes a lost response from a theft, by the session row.
    async fn not_its_turn(
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
}
