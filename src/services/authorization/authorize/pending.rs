//! Requests that wait for a person: they travel with the browser, sealed, so that nothing is kept and any replica goes on.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{authorization_request::AuthorizationRequest, client::Client, redirect_uri, scope::Scope},
    services::{
        authorization::authorize::{Authorize, AuthorizeError},
        csrf::BrowserId,
        grants::narrow,
    },
};

/// A request while somebody is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::services) struct PendingAuthorization {
    /// What is asked.
    pub(in crate::services) request: AuthorizationRequest,
    /// Who brought it.
    pub(in crate::services) browser: String,
    /// When.
    pub(in crate::services) asked_at: DateTime<Utc>,
    /// Whether they said that they are who is logged in.
    pub(in crate::services) account_chosen: bool,
}

/// What a page shows of a request while it asks.
#[derive(Debug)]
pub struct Asking {
    /// Who wants it.
    pub client: Client,
    /// What they want.
    pub scope: Scope,
    /// Who is probably logging in.
    pub login_hint: Option<String>,
    /// At which provider.
    pub idp_hint: Option<String>,
    /// Whether somebody who is logged in may go on as who they are.
    pub may_continue: bool,
    /// Whether it wants a log-in that is not older than some time.
    pub fresh: bool,
    /// Where the answer will go, as a content security policy names it.
    pub origin: Option<String>,
}

/// What requests are sealed for.
const CONTEXT: &str = "authorization request";
/// How long somebody may take to log in and to consent.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// The longest sealed request, in bytes. On the way to a provider and back it is a cookie's value, and browsers drop
/// cookies of more than 4096 bytes without a word (RFC 6265 §6.1).
const MAX_LENGTH: usize = 3500;

impl Authorize {
    /// What a page shows of a sealed request.
    ///
    /// # Errors
    /// [`AuthorizeError`].
    pub async fn asking(&self, sealed: &str, browser: &BrowserId) -> Result<Asking, AuthorizeError> {
        let PendingAuthorization { request, .. } = self.open(sealed, browser)?;
        let client = self.client(&request).await?;
        Ok(Asking {
            scope: narrow(request.scope.as_deref(), &client.scope).unwrap_or_default(),
            may_continue: request.prompt.select_account && !request.prompt.login,
            fresh: request.prompt.login || request.max_age.is_some(),
            origin: redirect_uri::origin(&request.redirect_uri),
            login_hint: request.login_hint,
            idp_hint: request.idp_hint,
            client,
        })
    }

    /// Seals a request while its browser is asked.
    pub(in crate::services) fn seal(&self, pending: &PendingAuthorization) -> String {
        self.sealer.seal(CONTEXT, pending)
    }

    /// Whether a request can travel with a browser. It grows no longer while somebody is asked.
    pub(in crate::services) fn can_travel(&self, pending: &PendingAuthorization) -> bool {
        self.seal(pending).len() <= MAX_LENGTH
    }

    /// The request that was sealed for `browser`, if it is not too old.
    ///
    /// # Errors
    /// [`AuthorizeError::Expired`].
    pub(in crate::services) fn open(
        &self,
        sealed: &str,
        browser: &BrowserId,
    ) -> Result<PendingAuthorization, AuthorizeError> {
        let pending: Option<PendingAuthorization> = self.sealer.open(CONTEXT, sealed);
        let now = self.clock.now();
        let ours =
            |pending: &PendingAuthorization| pending.browser == browser.as_str() && now < pending.asked_at + PATIENCE;
        pending.filter(ours).ok_or(AuthorizeError::Expired)
    }
}
