//! Lists and withdraws consents.

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

/// The caller's consents.
#[derive(Debug, Clone)]
pub struct Consents {
    pub db: Database,
    pub entities: EntityCache,
    /// Ends the sessions of a client whose consent is withdrawn.
    pub end_session: EndSession,
}

impl Consents {
    /// The caller's consents, newest first, with the names of the clients.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<(Consent, String)>, Unavailable> {
        let mut named = Vec::new();
        for consent in consents::of(&self.db, caller.user).await? {
            // A deleted client's consents are deleted with it.
            if let Some((client, _)) = self.entities.client(&self.db, &consent.client).await? {
                named.push((consent, client.shown_name()));
            }
        }
        Ok(named)
    }

    /// Withdraws the caller's consent to `client` and ends its sessions of theirs, in one transaction. Returns whether
    /// there was a consent.
    pub async fn take_back(&self, caller: &Caller, client: &ClientId) -> Result<bool, Unavailable> {
        let transaction = store::begin(&self.end_session.db).await?;
        if !consents::delete(&transaction, caller.user, client).await? {
            return Ok(false);
        }
        // The codes first: this waits for a code that is just being exchanged, so that its session ends with the
        // others.
        authorization_codes::delete_of(&transaction, caller.user, client, self.end_session.clock.now()).await?;
        let which = SessionSelector::AllOfAt(caller.user, client.clone());
        let ending = self.end_session.within(&transaction, &which, EndReason::ConsentWithdrawn, Vec::new()).await?;
        let event = Event::done("consent_withdrawn").account(caller.user).client(client).session(caller.session);
        self.end_session.commit(transaction, ending.recording(event)).await?;
        Ok(true)
    }
}
