//! Begins sessions, for every grant.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::{
    crypto::random::Random,
    domain::{
        client_info::ClientInfo,
        clock::Clock,
        ids::{ClientId, SessionId, UserId},
        scope::Scope,
        session::{EndReason, Lifetimes, Session},
        status_list::StatusPosition,
    },
    services::{
        Unavailable,
        audit::Event,
        sessions::{
            end::EndSession,
            status_indexes::{NO_FREE_INDEX, StatusIndexes},
        },
    },
    store::{
        Database, StoreError, Transaction,
        pending_ends::Owner,
        session_cutoffs::{self, Cutoff},
        sessions::{self, NewSession, SessionBasis, SessionSelector},
    },
};

#[derive(Debug, Clone)]
pub struct BeginSession {
    pub db: Database,
    /// Draws the session's id.
    pub random: Random,
    /// Draws its status list index.
    pub status_indexes: StatusIndexes,
    /// Ends the oldest sessions of an account that has too many.
    pub end_session: EndSession,
    pub clock: Arc<dyn Clock>,
}

/// A session to begin.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    pub user: UserId,
    /// The client that the session is for.
    pub client: &'a ClientId,
    /// The proof that it rests on.
    pub proof: SessionBasis<'a>,
    /// The granted scope.
    pub scope: &'a Scope,
    /// The one resource asked for (RFC 8707).
    pub resource: Option<&'a str>,
    /// How long it and its tokens live.
    pub lifetimes: &'a Lifetimes,
}

impl BeginSession {
    /// Begins a session; `None` if its proof no longer holds. If the account has too many then, the oldest end.
    pub async fn run(&self, beginning: &Beginning<'_>, origin: &ClientInfo) -> Result<Option<Session>, Unavailable> {
        let mut id = self.draw_id();
        for index in self.status_indexes.draws() {
            let new = beginning.at(id, index, origin);
            match sessions::insert(&self.db, &new, beginning.lifetimes, self.clock.now()).await {
                Err(StoreError::Duplicate(_)) => {}
                Ok(Some(session)) => {
                    Self::record(&session);
                    self.end_excess(session.user).await;
                    return Ok(Some(session));
                }
                Ok(None) => match self.after_cutoff(beginning.user, id).await? {
                    Some(later) => id = later,
                    None => return Ok(None),
                },
                Err(other) => return Err(other.into()),
            }
        }
        Err(NO_FREE_INDEX.into())
    }

    /// An id after the account's cutoff, if that covers `id`: then the clock of another replica is ahead.
    async fn after_cutoff(&self, user: UserId, id: SessionId) -> Result<Option<SessionId>, StoreError> {
        let cutoff = session_cutoffs::find(&self.db, user).await?.filter(|cutoff| id <= cutoff.through);
        let later = |cutoff: Cutoff| cutoff.through.began() + TimeDelta::milliseconds(1);
        Ok(cutoff.map(|cutoff| SessionId(self.random.uuid_v7(later(cutoff)))))
    }

    /// Ends the oldest sessions of an account that has too many. The new session has begun, so a failure is only logged:
    /// the next one tries again.
    pub async fn end_excess(&self, user: UserId) {
        let end = async {
            let Some(through) = sessions::excess(&self.db, user).await? else { return Ok(0) };
            let oldest = SessionSelector::Through(Owner::Account(user), through, None);
            self.end_session.run(&oldest, EndReason::TooMany).await
        };
        if let Err(cause) = Box::pin(end).await {
            tracing::warn!(%cause, "the oldest sessions of an account with too many were not ended");
        }
    }

    /// An id for a session.
    #[must_use]
    pub fn draw_id(&self) -> SessionId {
        SessionId(self.random.uuid_v7(self.clock.now()))
    }

    /// Begins the session `id` at the status list index within a transaction; nothing is logged yet.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] where the index is taken. Then the transaction is over: begin another.
    pub async fn within(
        &self,
        transaction: &Transaction,
        id: SessionId,
        index: StatusPosition,
        beginning: &Beginning<'_>,
        origin: &ClientInfo,
    ) -> Result<Option<Session>, StoreError> {
        let new = beginning.at(id, index, origin);
        sessions::insert(transaction, &new, beginning.lifetimes, self.clock.now()).await
    }

    /// Logs that a session began.
    pub fn record(session: &Session) {
        Event::done("log_in").account(session.user).client(&session.client).session(session.id).record();
    }
}

impl<'a> Beginning<'a> {
    fn at(&self, id: SessionId, status: StatusPosition, origin: &'a ClientInfo) -> NewSession<'a> {
        let Self { user, client, proof, scope, resource, lifetimes: _ } = *self;
        let (user_agent, ip) = (origin.user_agent.as_deref(), origin.ip.as_deref());
        NewSession { id, user, client, proof, scope, resource, user_agent, ip, status }
    }
}
