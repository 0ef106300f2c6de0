//! The audit log of accounts, sessions and clients. The request id and the client address come from the request's span.
//! No field is secret.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    crypto::{digest, random::Random},
    domain::ids::{ClientId, SessionId, UserId},
    services::metrics,
};

/// Draws request ids, by which the log lines of one request are found.
#[derive(Debug, Clone, Default)]
pub struct RequestIds(pub Random);

impl RequestIds {
    /// A new request id.
    #[must_use]
    pub fn draw(&self) -> String {
        self.0.token_id()
    }
}

/// An audit event. It is logged by [`Event::record`] only.
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
    /// An event with the outcome `done`, such as `log_in`.
    pub fn done(name: &'static str) -> Self {
        Self { name, outcome: "done", reason: None, account: None, client: None, session: None }
    }

    /// An event with the outcome `refused`, and the reason in one word.
    pub fn refused(name: &'static str, reason: &'static str) -> Self {
        Self { outcome: "refused", reason: Some(reason), ..Self::done(name) }
    }

    pub fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// The account, where it is known. An unknown username is never logged: it may be a password.
    pub fn account(self, account: UserId) -> Self {
        Self { account: Some(account), ..self }
    }

    pub fn client(self, client: &ClientId) -> Self {
        Self { client: Some(client.clone()), ..self }
    }

    pub fn session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }

    /// Logs the event and counts it.
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

/// A part of the session id's digest: enough to follow a session through the log, too little to identify it elsewhere.
fn fingerprint(session: SessionId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&digest::sha256(session.0.as_bytes())[..9])
}
