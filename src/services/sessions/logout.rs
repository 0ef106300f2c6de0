//! Logs a browser out, with all that it signed in to: from our own page, or as a client asks (OIDC RP-Initiated Logout
//! 1.0).
//!
//! A client that shows whom it means, with an ID token of this very log-in, is believed. Whoever else sends a browser
//! here may be anybody, so that the person is asked first.

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
        redirect_uri,
        session::{EndReason, Session},
    },
    services::{Unavailable, audit::Event, csrf::BrowserId, sealed::Sealer, sessions::end::EndSession},
    store::{
        self, Database, clients,
        sessions::{self, SessionSelector},
    },
};

/// Logs browsers out.
#[derive(Debug, Clone)]
pub struct LogOut {
    /// Reads hints.
    pub jwt: Arc<Jwt>,
    /// Seals where a log-out leads to, while somebody is asked.
    pub sealer: Sealer,
    /// Ends the log-in and what came from it.
    pub end_session: EndSession,
    /// Where clients and sessions are.
    pub db: Database,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What a client asks (§2). `logout_hint` and `ui_locales` change nothing here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Parameters {
    /// An ID token that the client was given, of whatever age.
    pub id_token_hint: Option<String>,
    /// Who asks.
    pub client_id: Option<String>,
    /// Where the browser goes afterwards: one that is registered for that, byte for byte.
    pub post_logout_redirect_uri: Option<String>,
    /// Goes there with it.
    pub state: Option<String>,
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
pub enum LogoutOutcome {
    /// Nobody is logged in here any more.
    LoggedOut {
        /// Where the browser goes; `None`: no client may have it sent anywhere.
        then: Option<String>,
    },
    /// The person must say so first, with this sealed.
    Ask(String),
}

/// Where a log-out leads to, while somebody is asked.
#[derive(Debug, Serialize, Deserialize)]
struct PendingLogout {
    client: ClientId,
    redirect_uri: String,
    state: Option<String>,
    browser: String,
    asked_at: DateTime<Utc>,
}

/// What log-outs are sealed for.
const CONTEXT: &str = "log-out";
/// How long somebody may take to answer.
const PATIENCE: TimeDelta = TimeDelta::hours(1);

impl LogOut {
    /// Does what a client asks of `browser`, where `session` is who is logged in.
    ///
    /// # Errors
    /// [`Unavailable`]; then nothing has ended.
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
        // Two that disagree on who asks are nobody's word.
        let (client, hint) = match (audience, asked.client_id.as_deref()) {
            (Some(audience), Some(named)) if audience != named => (None, None),
            (audience, named) => (audience.or(named), hint.as_ref()),
        };
        let pending = self.destination(client, asked, browser).await?;
        let Some(session) = session else {
            return Ok(LogoutOutcome::LoggedOut { then: pending.as_ref().map(PendingLogout::location) });
        };
        if let Some(hint) = hint
            && self.is_of(hint, session).await?
        {
            self.end(session, Some(&hint.aud)).await?;
            return Ok(LogoutOutcome::LoggedOut { then: pending.as_ref().map(PendingLogout::location) });
        }
        Ok(LogoutOutcome::Ask(pending.map(|pending| self.sealer.seal(CONTEXT, &pending)).unwrap_or_default()))
    }

    /// Where a sealed log-out leads to, as a content security policy names it.
    #[must_use]
    pub fn origin(&self, sealed: &str, browser: &BrowserId) -> Option<String> {
        redirect_uri::origin(&self.open(sealed, browser)?.redirect_uri)
    }

    /// Logs out whoever is logged in, who said so. Gives where the browser goes, if a sealed request says so and its
    /// client may still say it.
    ///
    /// # Errors
    /// [`Unavailable`]; then nothing has ended.
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

    /// Whether a genuine hint is of this log-in: its person's, and of a session that came from it. That session may have
    /// ended since.
    async fn is_of(&self, hint: &IdClaims, session: &Session) -> Result<bool, Unavailable> {
        if hint.sub != session.user {
            return Ok(false);
        }
        let child = sessions::find(&self.db, hint.sid).await?;
        Ok(child.is_some_and(|child| child.user == session.user && child.parent == Some(session.id)))
    }

    /// Where the browser is to go, if the client may say so.
    async fn destination(
        &self,
        client: Option<&str>,
        asked: &Parameters,
        browser: &BrowserId,
    ) -> Result<Option<PendingLogout>, Unavailable> {
        let id = client.and_then(|id| ClientId::parse(id).ok());
        let (Some(id), Some(uri)) = (id, &asked.post_logout_redirect_uri) else { return Ok(None) };
        let found = clients::find(&self.db, &id).await?;
        Ok(found.filter(|(client, _)| is_registered(client, uri)).map(|(client, _)| PendingLogout {
            client: client.id,
            redirect_uri: uri.clone(),
            state: asked.state.clone(),
            browser: browser.as_str().to_owned(),
            asked_at: self.clock.now(),
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

/// Byte for byte, the port of a loopback address too: the exception for native apps is of redirect URIs (RFC 8252 §7.3).
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
