//! Log-ins at our own pages: which session a browser's cookie means. The cookie is a sealed reference to the row, which
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

/// Knows browsers again.
#[derive(Debug, Clone)]
pub struct BrowserSessions {
    /// Seals the cookie.
    pub sealer: Sealer,
    /// Ends the log-in that another one takes the place of.
    pub end_session: EndSession,
    /// Where sessions are.
    pub db: Database,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long a log-in lasts, idle and used.
    pub lifetimes: Lifetimes,
}

/// What the cookie is sealed for.
const CONTEXT: &str = "browser session";
/// How often the use of a log-in is written down.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(5);

impl BrowserSessions {
    /// The cookie's value for a session of the pages.
    #[must_use]
    pub fn cookie(&self, session: &Session) -> String {
        self.sealer.seal(CONTEXT, &session.id)
    }

    /// The live session that a cookie means, if it means one.
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

    /// Puts the log-in `new` in the place of the one that `cookie` means, so that no reference to that is worth anything
    /// any more (OWASP ASVS 5.0, 7.2.4). What the same person used it for lives on; what another one did ends.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn replace(&self, cookie: Option<&str>, new: &Session) -> Result<(), Unavailable> {
        let Some(old) = self.known(cookie).await?.filter(|old| old.id != new.id) else { return Ok(()) };
        let transaction = store::begin(&self.db).await?;
        if old.user == new.user {
            // Held, so that a code that is just being exchanged has its session before what it came from changes.
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
