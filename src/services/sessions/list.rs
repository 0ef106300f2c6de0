//! Lists and ends the caller's sessions.

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

/// The caller's own sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    pub db: Database,
    pub entities: EntityCache,
    pub end_session: EndSession,
    pub clock: Arc<dyn Clock>,
}

impl Sessions {
    /// The caller's live sessions, newest first.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Session>, Unavailable> {
        Ok(sessions::live_of(&self.db, caller.user, self.clock.now()).await?)
    }

    /// The same, each with the name of its client. The name is empty if the client was deleted.
    pub async fn list_named(&self, caller: &Caller) -> Result<Vec<(Session, String)>, Unavailable> {
        let mut named = Vec::new();
        for session in self.list(caller).await? {
            let found = self.entities.client(&self.db, &session.client).await?;
            let name = found.map(|(client, _)| client.name).unwrap_or_default();
            named.push((session, name));
        }
        Ok(named)
    }

    /// Ends one of the caller's sessions and its children. Returns whether it existed; another account's session counts
    /// as missing.
    pub async fn end(&self, caller: &Caller, session: SessionId) -> Result<bool, Unavailable> {
        let ended = self.end_session.run(&SessionSelector::OneOf(caller.user, session), EndReason::LogOut).await?;
        Ok(ended > 0)
    }

    /// Ends all of the caller's sessions but the present one; the children of that one end too.
    pub async fn end_others(&self, caller: &Caller) -> Result<(), Unavailable> {
        self.end_session.run(&SessionSelector::AllOfBut(caller.user, caller.session), EndReason::LogOut).await?;
        Ok(())
    }

    /// Ends all of the caller's sessions, including the present one.
    pub async fn end_all(&self, caller: &Caller) -> Result<(), Unavailable> {
        self.end_session.run(&SessionSelector::AllOf(caller.user), EndReason::LogOut).await?;
        Ok(())
    }
}
