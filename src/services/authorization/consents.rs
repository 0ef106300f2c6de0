//! Shows people what they have allowed clients, and lets them take it back.

use crate::{
    domain::{ids::ClientId, session::EndReason},
    services::{
        Unavailable,
        audit::Event,
        sessions::{bearer::Caller, end::EndSession},
    },
    store::{
        self, Database, authorization_codes,
        consents::{self, Consent},
        entity_cache::EntityCache,
        sessions::SessionSelector,
    },
};

/// What people have allowed.
#[derive(Debug, Clone)]
pub struct Consents {
    /// Where it is.
    pub db: Database,
    /// What clients are called.
    pub remembered: EntityCache,
    /// Ends the sessions of a client that is not allowed any more.
    pub end_session: EndSession,
}

impl Consents {
    /// All that the caller allows, newest first, with the names of the clients.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn list(&self, caller: &Caller) -> Result<Vec<(Consent, String)>, Unavailable> {
        let mut named = Vec::new();
        for consent in consents::of(&self.db, caller.user).await? {
            // What a client was allowed that is deleted in this moment goes with it.
            if let Some((client, _)) = self.remembered.client(&self.db, &consent.client).await? {
                named.push((consent, client.name));
            }
        }
        Ok(named)
    }

    /// Takes back what the caller allowed `client`, and ends its sessions of theirs: all or nothing. Says whether it was
    /// allowed anything.
    ///
    /// # Errors
    /// [`Unavailable`]; then all is as it was.
    pub async fn take_back(&self, caller: &Caller, client: &ClientId) -> Result<bool, Unavailable> {
        let transaction = store::begin(&self.db).await?;
        if !consents::delete(&transaction, caller.user, client).await? {
            return Ok(false);
        }
        // The codes first: one that is just being exchanged is waited for, and its session ends with the others.
        authorization_codes::delete_of(&transaction, caller.user, client, self.end_session.clock.now()).await?;
        let which = SessionSelector::AllOfAt(caller.user, client.clone());
        let ending = self.end_session.within(&transaction, &which, EndReason::ConsentWithdrawn, Vec::new()).await?;
        let event = Event::done("consent_withdrawn").account(caller.user).client(client).session(caller.session);
        self.end_session.commit(transaction, ending.recording(event)).await?;
        Ok(true)
    }
}
