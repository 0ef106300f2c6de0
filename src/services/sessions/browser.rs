//! Logins at our own pages: the session that a browser's cookie refers to. The cookie is a sealed reference; the row
//! decides.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::{
    domain::{
        clock::Clock,
        ids::{ClientId, SessionId},
        session::{EndReason, Lifetimes, Session},
    },
    services::{Unavailable, sealed::Sealer, sessions::end::EndSession},
    store::{
        self, Database,
        sessions::{self, SessionSelector},
    },
};

/// Reads and writes the login cookie.
#[derive(Debug, Clone)]
pub struct BrowserSessions {
    pub sealer: Sealer,
    /// Ends the login that a new one replaces.
    pub end_session: EndSession,
    pub db: Database,
    pub clock: Arc<dyn Clock>,
    /// How long a login lasts, idle and in use.
    pub lifetimes: Lifetimes,
}

/// The context that the cookie is sealed for.
const CONTEXT: &str = "browser session";
/// How often the use of a login is recorded.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(5);

impl BrowserSessions {
    /// The cookie's value for a session of the pages.
    #[must_use]
    pub fn cookie(&self, session: &Session) -> String {
        self.sealer.seal(CONTEXT, &session.id)
    }

    /// The live session that a cookie refers to, if any.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub async fn find(&self, cookie: Option<&str>) -> Result<Option<Session>, Unavailable> {
        let found = self.known(cookie).await?;
        if let Some(session) = &found {
            let now = self.clock.now();
            if session.rotated_at < now - NOTED_EVERY {
                sessions::touch(&self.db, session.id, &self.lifetimes, NOTED_EVERY, now).await?;
            }
        }
        Ok(found)
    }

    /// Replaces the login that `cookie` refers to by `new`, so that the old reference is void (OWASP ASVS 5.0, 7.2.4).
    /// Sessions that came from it continue if it is the same person's, and end otherwise.
    pub async fn replace(&self, cookie: Option<&str>, new: &Session) -> Result<(), Unavailable> {
        let Some(old) = self.known(cookie).await?.filter(|old| old.id != new.id) else { return Ok(()) };
        let transaction = store::begin(&self.db).await?;
        if old.user == new.user {
            // The row is locked, so that a code that is just being exchanged gets its session before its parent
            // changes.
            sessions::hold(&transaction, old.id).await?;
            sessions::adopt(&transaction, new.user, old.id, new.id).await?;
        }
        let ending = self
            .end_session
            .within(&transaction, &SessionSelector::One(old.id), EndReason::Replaced, Vec::new())
            .await?;
        self.end_session.commit(transaction, ending).await?;
        Ok(())
    }

    async fn known(&self, cookie: Option<&str>) -> Result<Option<Session>, Unavailable> {
        let Some(id) = cookie.and_then(|cookie| self.sealer.open::<SessionId>(CONTEXT, cookie)) else {
            return Ok(None);
        };
        let found = sessions::find(&self.db, id).await?;
        Ok(found.filter(|session| session.client == ClientId::pages() && session.is_live(self.clock.now())))
    }
}
