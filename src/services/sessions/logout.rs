//! Logs a browser out, and ends the sessions that came from its login: from our own page, or as a client asks (OIDC
//! RP-Initiated Logout 1.0).
//!
//! A client with an ID token of this very login may log out directly. Any other site may have sent the browser, so the
//! person is asked first.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    crypto::jose::jwt::{IdTokenOfAnyAge, Jwt},
    domain::{
        claims::{Audience, IdClaims},
        client::Client,
        clock::Clock,
        ids::ClientId,
        session::{EndReason, Session},
    },
    services::{
        Unavailable,
        audit::Event,
        csrf::BrowserId,
        sealed::Sealer,
        sessions::{browser::BrowserSessions, end::EndSession},
    },
    store::{
        self, Database, clients,
        sessions::{self, SessionSelector},
    },
};

#[derive(Debug, Clone)]
pub struct LogOut {
    pub jwt: Arc<Jwt>,
    /// Seals the request while the person is asked.
    pub sealer: Sealer,
    /// Ends the login and its children.
    pub end_session: EndSession,
    /// Finds the login to end, through the connections of ends.
    pub browser_sessions: BrowserSessions,
    /// Where clients and sessions are.
    pub db: Database,
    pub clock: Arc<dyn Clock>,
}

/// A client's logout request (§2). `logout_hint` and `ui_locales` have no effect.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Parameters {
    /// An ID token that the client was given, of any age.
    pub id_token_hint: Option<String>,
    /// The client that asks.
    pub client_id: Option<String>,
    /// Where the browser goes afterwards: a registered URI, compared byte for byte.
    pub post_logout_redirect_uri: Option<String>,
    /// Returned to the client unchanged.
    pub state: Option<String>,
}

impl Parameters {
    /// The names of the parameters that are read; all others have no effect.
    pub const NAMES: [&str; 4] = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];
}

/// The outcome.
#[derive(Debug, PartialEq, Eq)]
pub enum LogoutOutcome {
    /// The browser is logged out.
    LoggedOut(Destination),
    /// The person must confirm first.
    Ask {
        /// The sealed request; empty where the client gets nothing back.
        sealed: String,
        /// Whether the client named an address that is not registered for it.
        refused: bool,
    },
}

/// Where a browser that is logged out goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere: the client named no address.
    Stays,
    /// Nowhere: the client named an address that is not registered for it.
    Refused,
    /// Back to the client.
    Client(String),
    /// Back to the client, if the person wants to: nobody vouches for it, and it showed no token of theirs.
    Offered {
        then: String,
        /// The host of the document that describes the client; without one, the client registered itself.
        host: Option<String>,
    },
}

/// The logout request, while the person is asked.
#[derive(Debug, Serialize, Deserialize)]
struct PendingLogout {
    client: ClientId,
    redirect_uri: String,
    state: Option<String>,
    browser: String,
    asked_at: DateTime<Utc>,
}

/// The context that logout requests are sealed for.
const CONTEXT: &str = "log-out";
/// How long the person may take to answer.
const PATIENCE: TimeDelta = TimeDelta::hours(1);

impl LogOut {
    /// Handles a client's logout request in `browser`, which is logged in with `session`.
    pub async fn run(
        &self,
        asked: &Parameters,
        browser: &BrowserId,
        session: Option<&Session>,
    ) -> Result<LogoutOutcome, Unavailable> {
        let hint = asked.id_token_hint.as_deref();
        let hint = hint.and_then(|hint| self.jwt.verify(IdTokenOfAnyAge, hint, self.clock.now()).ok());
        let audience = hint.as_ref().map(|hint| match &hint.aud {
            Audience::One(client) => client.as_str(),
            Audience::Many(_) => "",
        });
        // A hint and a `client_id` that disagree are both ignored.
        let (client, hint) = match (audience, asked.client_id.as_deref()) {
            (Some(audience), Some(named)) if audience != named => (None, None),
            (audience, named) => (audience.or(named), hint.as_ref()),
        };
        let found = self.destination(client, asked, browser).await?;
        let refused = asked.post_logout_redirect_uri.is_some() && found.is_none();
        let destination = |found: Option<(PendingLogout, bool)>| match found {
            Some((pending, true)) if hint.is_none() => {
                Destination::Offered { then: pending.location(), host: pending.client.host() }
            }
            Some((pending, _)) => Destination::Client(pending.location()),
            None if refused => Destination::Refused,
            None => Destination::Stays,
        };
        let Some(session) = session else { return Ok(LogoutOutcome::LoggedOut(destination(found))) };
        if let Some(hint) = hint
            && self.is_of(hint, session).await?
        {
            self.end(session, Some(&hint.aud)).await?;
            return Ok(LogoutOutcome::LoggedOut(destination(found)));
        }
        let sealed = found.map(|(pending, _)| self.sealer.seal(CONTEXT, &pending)).unwrap_or_default();
        Ok(LogoutOutcome::Ask { sealed, refused })
    }

    /// Logs out the person, who confirmed it. Returns where the browser goes, if a sealed request names a URI that is
    /// still registered.
    pub async fn confirm(
        &self,
        sealed: &str,
        browser: &BrowserId,
        session: Option<&Session>,
    ) -> Result<Option<String>, Unavailable> {
        let pending = self.open(sealed, browser);
        let client = match &pending {
            Some(pending) => clients::find(&self.db, &pending.client).await?,
            None => None,
        };
        let may = |pending: &PendingLogout, (client, _): &(Client, _)| is_registered(client, &pending.redirect_uri);
        let then = pending.zip(client).filter(|(pending, client)| may(pending, client));
        if let Some(session) = session {
            self.end(session, None).await?;
        }
        Ok(then.map(|(pending, _)| pending.location()))
    }

    /// Whether a verified hint belongs to this login: the same person's, and of a session that came from it. That
    /// session may have ended since.
    async fn is_of(&self, hint: &IdClaims, session: &Session) -> Result<bool, Unavailable> {
        if hint.sub != session.user {
            return Ok(false);
        }
        let child = sessions::find(&self.db, hint.sid).await?;
        Ok(child.is_some_and(|child| child.user == session.user && child.parent == Some(session.id)))
    }

    /// Where the browser is to go, if the client may say so, and whether the client registered itself.
    async fn destination(
        &self,
        client: Option<&str>,
        asked: &Parameters,
        browser: &BrowserId,
    ) -> Result<Option<(PendingLogout, bool)>, Unavailable> {
        let id = client.and_then(|id| ClientId::parse(id).ok());
        let (Some(id), Some(uri)) = (id, &asked.post_logout_redirect_uri) else { return Ok(None) };
        let found = clients::find(&self.db, &id).await?;
        Ok(found.filter(|(client, _)| is_registered(client, uri)).map(|(client, _)| {
            let pending = PendingLogout {
                client: client.id,
                redirect_uri: uri.clone(),
                state: asked.state.clone(),
                browser: browser.as_str().to_owned(),
                asked_at: self.clock.now(),
            };
            (pending, client.self_registered)
        }))
    }

    async fn end(&self, session: &Session, asked_by: Option<&Audience>) -> Result<(), Unavailable> {
        let event = Event::done("log_out").account(session.user).session(session.id);
        let event = match asked_by {
            Some(Audience::One(client)) => match ClientId::parse(client) {
                Ok(client) => event.because("client").client(&client),
                Err(_) => event,
            },
            _ => event,
        };
        let transaction = store::begin(&self.db).await?;
        let which = SessionSelector::One(session.id);
        let ending = self.end_session.within(&transaction, &which, EndReason::LogOut, Vec::new()).await?;
        self.end_session.commit(transaction, ending.recording(event)).await?;
        Ok(())
    }

    fn open(&self, sealed: &str, browser: &BrowserId) -> Option<PendingLogout> {
        let pending: PendingLogout = self.sealer.open(CONTEXT, sealed)?;
        let ours = pending.browser == browser.as_str() && self.clock.now() < pending.asked_at + PATIENCE;
        ours.then_some(pending)
    }
}

/// Byte for byte, the port of a loopback address too: the exception for native apps is of redirect URIs (RFC 8252
/// §7.3).
fn is_registered(client: &Client, uri: &str) -> bool {
    client.post_logout_redirect_uris.iter().any(|registered| registered == uri)
}

impl PendingLogout {
    /// The URI as it was registered, and the state behind it.
    fn location(&self) -> String {
        let Some(state) = &self.state else { return self.redirect_uri.clone() };
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
        let joint = if self.redirect_uri.contains('?') { '&' } else { '?' };
        format!("{}{joint}{query}", self.redirect_uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(redirect_uri: &str, state: Option<&str>) -> String {
        let pending = PendingLogout {
            client: ClientId::first_party(),
            redirect_uri: redirect_uri.to_owned(),
            state: state.map(ToOwned::to_owned),
            browser: String::new(),
            asked_at: DateTime::UNIX_EPOCH,
        };
        pending.location()
    }

    #[test]
    fn the_state_stands_behind_the_uri_as_it_was_registered() {
        assert_eq!(location("https://app.example/bye", None), "https://app.example/bye");
        assert_eq!(
            location("https://app.example/bye", Some("a b&c=ü")),
            "https://app.example/bye?state=a+b%26c%3D%C3%BC"
        );
        assert_eq!(location("https://app.example/bye?to=1", Some("x")), "https://app.example/bye?to=1&state=x");
        assert_eq!(location("com.example.app:/bye", Some("x")), "com.example.app:/bye?state=x");
    }
}
