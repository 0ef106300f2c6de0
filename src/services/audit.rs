//! The log of what happened to accounts, sessions and clients. The request id and the peer's address come from the
//! span that the edge opened; nothing secret is ever a field.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    crypto::{digest, random::Random},
    domain::ids::{ClientId, SessionId, UserId},
    services::metrics,
};

/// Names requests, so that the log's lines about one can be found.
#[derive(Debug, Clone, Default)]
pub struct RequestIds(pub Random);

impl RequestIds {
    /// A name that no other request has.
    #[must_use]
    pub fn draw(&self) -> String {
        self.0.token_id()
    }
}

/// What happened, and to whom. Dropped without [`Event::record`] it was never logged.
#[must_use = "an event is logged by `record`"]
#[derive(Debug, Clone)]
pub struct Event {
    name: &'static str,
    outcome: &'static str,
    reason: Option<&'static str>,
    account: Option<UserId>,
    client: Option<ClientId>,
    session: Option<SessionId>,
}

impl Event {
    /// Something that was done, such as `log_in`.
    pub fn done(name: &'static str) -> Self {
        Self { name, outcome: "done", reason: None, account: None, client: None, session: None }
    }

    /// Something that was refused, and why in one word.
    pub fn refused(name: &'static str, reason: &'static str) -> Self {
        Self { outcome: "refused", reason: Some(reason), ..Self::done(name) }
    }

    /// Why it was done.
    pub fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// The account, where it is known. What was typed as an unknown username is never logged.
    pub fn account(self, account: UserId) -> Self {
        Self { account: Some(account), ..self }
    }

    /// The client.
    pub fn client(self, client: &ClientId) -> Self {
        Self { client: Some(client.clone()), ..self }
    }

    /// The session.
    pub fn session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }

    /// Writes it to the log, and counts it.
    pub fn record(self) {
        metrics::event(self.name, self.outcome, self.reason);
        tracing::info!(
            target: "signet::audit",
            event = self.name,
            outcome = self.outcome,
            reason = self.reason,
            account = self.account.map(tracing::field::display),
            client = self.client.as_ref().map(tracing::field::display),
            session = self.session.map(fingerprint),
        );
    }
}

/// Enough of a session id's digest to follow it through a log, and too little to name it elsewhere.
fn fingerprint(session: SessionId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&digest::sha256(session.0.as_bytes())[..9])
}
