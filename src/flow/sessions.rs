//! Shows an account its sessions, and lets it end them.

use std::sync::Arc;

use super::{Trouble, bearer::Caller, end_session::EndSession};
use crate::{
    domain::{
        clock::Clock,
        ids::SessionId,
        session::{EndReason, Session},
    },
    store::{
        Database,
        sessions::{self, Which},
    },
};

/// An account's sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Where sessions are.
    pub db: Database,
    /// Ends them.
    pub end_session: EndSession,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Sessions {
    /// The caller's live sessions, newest first.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Session>, Trouble> {
        Ok(sessions::live_of(&self.db, caller.user, self.clock.now()).await?)
    }

    /// Ends one of the caller's sessions. Says whether there was one to end: another account's is as good as none.
    ///
    /// # Errors
    /// [`Trouble`]; then nothing has ended.
    pub async fn end(&self, caller: &Caller, session: SessionId) -> Result<bool, Trouble> {
        let ended = self.end_session.run(&Which::OneOf(caller.user, session), EndReason::LogOut).await?;
        Ok(ended == 1)
    }

    /// Ends all of the caller's sessions, the one that asks among them.
    ///
    /// # Errors
    /// [`Trouble`]; then nothing has ended.
    pub async fn end_all(&self, caller: &Caller) -> Result<(), Trouble> {
        self.end_session.run(&Which::AllOf(caller.user), EndReason::LogOut).await?;
        Ok(())
    }
}
