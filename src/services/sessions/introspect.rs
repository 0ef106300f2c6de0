//! Token introspection (RFC 7662), for services that do not verify tokens themselves. An access token is judged without
//! SQL; a refresh token by its row.

use std::sync::Arc;

use crate::{
    crypto::jose::jwt::{Jwt, RefreshToken},
    domain::{
        claims::{AccessClaims, RefreshClaims},
        client::Client,
        clock::Clock,
        session::{Generation, Session},
    },
    services::{Unavailable, audit::Event, sessions::bearer::Bearer},
    store::{Database, sessions},
};

/// Describes tokens to the clients that they concern.
#[derive(Debug, Clone)]
pub struct Introspect {
    pub bearer: Bearer,
    pub jwt: Arc<Jwt>,
    pub db: Database,
    pub clock: Arc<dyn Clock>,
}

/// A valid token that the caller may introspect.
#[derive(Debug)]
pub enum Active {
    Access(Arc<AccessClaims>),
    /// A refresh token and its session.
    Refresh(Box<(RefreshClaims, Session)>),
}

impl Introspect {
    /// Fails early if this process cannot judge tokens.
    pub fn can_judge(&self) -> Result<(), Unavailable> {
        if self.bearer.revocations.are_current() { Ok(()) } else { Err(Unavailable::Stale) }
    }

    /// Describes `token` to `client`, which has authenticated, if it was issued to it or is an access token for one of
    /// its audiences. `None` for every other token, whatever the reason (RFC 7662 §2.2).
    ///
    /// # Errors
    /// [`Unavailable`] if the token cannot be judged; never a guess.
    pub async fn run(&self, token: &str, client: &Client) -> Result<Option<Active>, Unavailable> {
        if let Ok(claims) = self.jwt.verify(RefreshToken, token, self.clock.now()) {
            let active = if claims.client_id == client.id { self.refresh(claims).await? } else { None };
            return Ok(active);
        }
        let claims = match self.bearer.live(token) {
            Ok(claims) => claims,
            Err(crate::services::sessions::bearer::BearerError::Unavailable(unavailable)) => return Err(unavailable),
            Err(_) => return Ok(None),
        };
        let entitled =
            claims.client_id == client.id || client.audiences.iter().any(|audience| claims.aud.contains(audience));
        if !entitled {
            Event::refused("introspect", "audience").client(&client.id).record();
            return Ok(None);
        }
        Ok(Some(Active::Access(claims)))
    }

    async fn refresh(&self, claims: RefreshClaims) -> Result<Option<Active>, Unavailable> {
        let now = self.clock.now();
        let found = sessions::find(&self.db, claims.sid).await?;
        let live = found.filter(|session| session.is_live(now) && session.generation == Generation(claims.generation));
        Ok(live.map(|session| Active::Refresh(Box::new((claims, session)))))
    }
}
