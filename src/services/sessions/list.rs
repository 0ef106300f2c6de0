//! Shows an account its sessions, and lets it end them.

use std::sync::Arc;

use crate::{
    domain::{
        clock::Clock,
        ids::SessionId,
        session::{EndReason, Session},
    },
    services::{
        Unavailable,
        sessions::{bearer::Caller, end::EndSession},
    },
    store::{
        Database,
        entity_cache::EntityCache,
        sessions::{self, SessionSelector},
    },
};

/// An account's sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Where sessions are.
    pub db: Database,
    /// What clients are called.
    pub remembered: EntityCache,
    /// Ends them.
    pub end_session: EndSession,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Sessions {
    /// The caller's live sessions, newest first.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Session>, Unavailable> {
        Ok(sessions::live_of(&self.db, caller.user, self.clock.now()).await?)
    }

    /// The same, each with the name of its client. One whose client is deleted is about to end.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn list_named(&self, caller: &Caller) -> Result<Vec<(Session, String)>, Unavailable> {
        let mut named = Vec::new();
        for session in self.list(caller).await? {
            let found = self.remembered.client(&self.db, &session.client).await?;
            let name = found.map(|(client, _)| client.name).unwrap_or_default();
            named.push((session, name));
        }
        Ok(named)
    }

    /// Ends one of the caller's sessions, and what came from it. Says whether there was one to end: another account's is as good as none.
    ///
    /// # Errors
    /// [`Unavailable`]; then nothing has ended.
    pub async fn end(&self, caller: &Caller, session: SessionId) -> Result<bool, Unavailable> {
        let ended = self.end_session.run(&SessionSelector::OneOf(caller.user, session), EndReason::LogOut).await?;
        Ok(ended > 0)
    }

    /// Ends all of the caller's sessions but the one that asks; what came from that one ends too.
    ///
    /// # Errors
    /// [`Unavailable`]; then nothing has ended.
    pub async fn end_others(&self, caller: &Caller) -> Result<(), Unavailable> {
        self.end_session.run(&SessionSelector::AllOfBut(caller.user, caller.session), EndReason::LogOut).await?;
        Ok(())
    }

    /// Ends all of the caller's sessions, the one that asks among them.
    ///
    /// # Errors
    /// [`Unavailable`]; then nothing has ended.
    pub async fn end_all(&self, caller: &Caller) -> Result<(), Unavailable> {
        self.end_session.run(&SessionSelector::AllOf(caller.user), EndReason::LogOut).await?;
        Ok(())
    }
}
