//! Token revocation (RFC 7009). Either token of a session ends the session; a client's own token, which has no session,
//! is denied by its `jti`. Never by its text: an ECDSA signature has a second form that verifies as well.

use std::sync::Arc;

use chrono::DateTime;

use crate::{
    crypto::jose::jwt::{AccessToken, Jwt, RefreshTokenOfAnyAge},
    domain::{
        client::Client,
        clock::Clock,
        ids::{ClientId, SessionId},
        session::EndReason,
    },
    services::{Unavailable, audit::Event, change_feed::ChangeFeed, sessions::end::EndSession},
    store::{
        self, Database,
        changes::{Change, Entry},
        sessions::SessionSelector,
    },
};

#[derive(Debug, Clone)]
pub struct Revoke {
    pub jwt: Arc<Jwt>,
    pub end_session: EndSession,
    /// Denies tokens without a session.
    pub changes: ChangeFeed,
    pub db: Database,
    pub clock: Arc<dyn Clock>,
}

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// It was issued to another client.
    #[error("the token was issued to another client")]
    NotYours,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The target of a revocation, named by a verified token.
enum RevocationTarget {
    ForSession(SessionId),
    ForItself { token: String, expires: i64 },
}

impl Revoke {
    /// Revokes `token` for `client`, which has authenticated. A token that is unknown or over counts as revoked (RFC
    /// 7009 §2.2).
    ///
    /// # Errors
    /// [`RevokeError`]; if it is unavailable, the database has the say on whether it was done.
    pub async fn run(&self, token: &str, client: &Client) -> Result<(), RevokeError> {
        let Some((stands, owner)) = self.read(token) else {
            Event::refused("revoke", "token").client(&client.id).record();
            return Ok(());
        };
        if owner != client.id {
            Event::refused("revoke", "client").client(&client.id).record();
            return Err(RevokeError::NotYours);
        }
        match stands {
            RevocationTarget::ForSession(session) => {
                let transaction = store::begin(&self.db).await.map_err(Unavailable::from)?;
                let ending = self
                    .end_session
                    .within(&transaction, &SessionSelector::One(session), EndReason::Revoked, Vec::new())
                    .await
                    .map_err(Unavailable::from)?
                    .recording(Event::done("revoke").client(&client.id));
                self.end_session.commit(transaction, ending).await?;
            }
            RevocationTarget::ForItself { token, expires } => self.deny(token, expires, client).await?,
        }
        Ok(())
    }

    /// The client that a genuine token was issued to.
    #[must_use]
    pub fn owner(&self, token: &str) -> Option<ClientId> {
        self.read(token).map(|(_, owner)| owner)
    }

    /// Verifies a token of either kind. `token_type_hint` is not needed: the token's `typ` tells its kind.
    fn read(&self, token: &str) -> Option<(RevocationTarget, ClientId)> {
        let now = self.clock.now();
        if let Ok(claims) = self.jwt.verify(RefreshTokenOfAnyAge, token, now) {
            return Some((RevocationTarget::ForSession(claims.sid), claims.client_id));
        }
        let claims = self.jwt.verify(AccessToken { audience: None }, token, now).ok()?;
        let stands = match claims.user {
            Some(user) => RevocationTarget::ForSession(user.sid),
            None => RevocationTarget::ForItself { token: claims.jti, expires: claims.exp },
        };
        Some((stands, claims.client_id))
    }

    async fn deny(&self, token: String, expires: i64, client: &Client) -> Result<(), Unavailable> {
        let entry = Entry {
            change: Change::TokenDenied { token },
            matters_until: DateTime::from_timestamp(expires, 0).unwrap_or(DateTime::<chrono::Utc>::MAX_UTC),
        };
        let transaction = store::begin(&self.db).await?;
        let written = self.changes.write(&transaction, vec![entry]).await?;
        let written = written.recording(Event::done("revoke").client(&client.id));
        self.changes.commit(transaction, written).await
    }
}
