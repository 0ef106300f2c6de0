//! Log-ins at our own pages: which session a browser's cookie means. The cookie is a sealed reference to the row, which
//! decides.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{Trouble, sealed::Sealer};
use crate::{
    domain::{
        clock::Clock,
        ids::{ClientId, SessionId},
        session::{Lifetimes, Session},
    },
    store::{Database, sessions},
};

/// Knows browsers again.
#[derive(Debug, Clone)]
pub struct BrowserSessions {
    /// Seals the cookie.
    pub sealer: Sealer,
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
    /// [`Trouble`] where the database cannot tell.
    pub async fn find(&self, cookie: &str) -> Result<Option<Session>, Trouble> {
        let Some(id) = self.sealer.open::<SessionId>(CONTEXT, cookie) else { return Ok(None) };
        let now = self.clock.now();
        let found = sessions::find(&self.db, id).await?;
        let Some(session) = found.filter(|session| session.client == ClientId::pages() && session.is_live(now)) else {
            return Ok(None);
        };
        sessions::touch(&self.db, id, &self.lifetimes, NOTED_EVERY, now).await?;
        Ok(Some(session))
    }
}
