//! The questions of our pages for an authorization request, and the effects of their answers.

use crate::{
    domain::{
        authorization_request::{AuthorizationErrorCode as Code, AuthorizationRefusal},
        client::Client,
        redirect_uri,
        scope::Scope,
        session::Session,
    },
    services::{
        audit::Event,
        authorization::{
            authorize::{Authorize, AuthorizeError, AuthorizeOutcome},
            pending_request::PendingAuthorization,
        },
        csrf::BrowserId,
        grants::{counted, narrow},
    },
    store::consents,
};

/// The request as a page shows it while it asks.
#[derive(Debug)]
pub struct Asking {
    /// The client that asks.
    pub client: Client,
    /// The scope that it asks for.
    pub scope: Scope,
    /// The one resource that it asks for.
    pub resource: Option<String>,
    /// The name to fill in.
    pub login_hint: Option<String>,
    /// The provider to suggest.
    pub idp_hint: Option<String>,
    /// Whether the person may continue as the account that is logged in.
    pub may_continue: bool,
    /// Whether the client asks for a recent login.
    pub fresh: bool,
    /// Where the browser goes back to: the origin of the redirect URI, or the scheme of an app.
    pub destination: String,
    /// Whether that is a program on the person's own device.
    pub on_device: bool,
}

/// The actions of the person at our pages for a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Whether they chose to continue as the account that is logged in.
    pub account_chosen: bool,
    /// Whether they pressed a button for this request.
    pub pressed: bool,
}

impl Progress {
    /// They sent a form of ours.
    pub const FORM: Self = Self { account_chosen: false, pressed: true };
    /// They chose an account by a form of ours.
    pub const CHOICE: Self = Self { account_chosen: true, pressed: true };
}

/// The question of the consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether the client may have what it asks for.
    Consent,
    /// Whether the person goes on to a client that may have it already.
    Confirmation,
}

impl Authorize {
    /// A sealed request, as a page shows it.
    pub async fn asking(&self, sealed: &str, browser: &BrowserId) -> Result<Asking, AuthorizeError> {
        let pending = self.open(sealed, browser)?;
        Ok(shown(&pending, self.client(&pending.request).await?))
    }

    /// The same, and what the consent page asks the person who is logged in.
    pub async fn question(
        &self,
        sealed: &str,
        browser: &BrowserId,
        session: &Session,
    ) -> Result<(Asking, Question), AuthorizeError> {
        let pending = self.open(sealed, browser)?;
        let client = self.client(&pending.request).await?;
        let missing = match self.permit(&client, &pending.request) {
            Ok(permitted) => self.allowance(&client, &pending, &permitted, session).await?.is_missing(),
            // The answer tells the client why.
            Err(_) => true,
        };
        let question = if missing { Question::Consent } else { Question::Confirmation };
        Ok((shown(&pending, client), question))
    }

    /// Resumes a sealed request after the person was asked, and has done `progress` for it.
    pub async fn resume(
        &self,
        sealed: &str,
        browser: &BrowserId,
        session: Option<&Session>,
        progress: Progress,
    ) -> Result<AuthorizeOutcome, AuthorizeError> {
        let mut pending = self.open(sealed, browser)?;
        pending.account_chosen |= progress.account_chosen;
        pending.pressed |= progress.pressed;
        let client = self.client(&pending.request).await?;
        self.decide(&client, pending, session).await
    }

    /// Stores the consent of the person who is logged in, where it was missing, and resumes the request.
    pub async fn allow(
        &self,
        sealed: &str,
        browser: &BrowserId,
        session: &Session,
    ) -> Result<AuthorizeOutcome, AuthorizeError> {
        let pending = PendingAuthorization { pressed: true, ..self.open(sealed, browser)? };
        let client = self.client(&pending.request).await?;
        let Ok(permitted) = self.permit(&client, &pending.request) else {
            return self.decide(&client, pending, Some(session)).await;
        };
        if self.allowance(&client, &pending, &permitted, session).await?.is_missing() {
            if let (Some(documents), Some(_)) = (&self.documents, client.document) {
                documents.store(&client).await?;
            }
            let before = consents::find(&self.db, session.user, &client.id).await?;
            let (before, resources) = before.map(|before| (before.scope, before.resources)).unwrap_or_default();
            // Earlier consent is kept only within the client's registered scope.
            let scope = client.scope.clone().of_either(&before, &permitted.scope);
            let given_at = self.clock.now();
            let mut consent = consents::Consent { client: client.id.clone(), scope, resources, given_at };
            consent.add(permitted.resource.as_deref());
            consents::put(&self.db, session.user, &consent).await?;
            Event::done("consent").account(session.user).client(&client.id).session(session.id).record();
        }
        self.decide(&client, pending, Some(session)).await
    }

    /// Answers a request that the person denied.
    pub async fn deny(
        &self,
        sealed: &str,
        browser: &BrowserId,
        session: Option<&Session>,
    ) -> Result<AuthorizeOutcome, AuthorizeError> {
        let pending = self.open(sealed, browser)?;
        let client = self.client(&pending.request).await?;
        let refusal = AuthorizationRefusal::new(Code::AccessDenied, "the person said no");
        Ok(self.refuse(pending.request, refusal, &client, session))
    }
}

fn shown(pending: &PendingAuthorization, client: Client) -> Asking {
    let request = &pending.request;
    let must_log_in = request.prompt.login || request.max_age == Some(0);
    Asking {
        scope: narrow(counted(&client, request.scope.as_deref()), &client.scope).unwrap_or_default(),
        resource: request.resource.clone(),
        may_continue: request.prompt.select_account && !must_log_in,
        fresh: request.prompt.login || request.max_age.is_some(),
        destination: redirect_uri::origin(&request.redirect_uri).unwrap_or_default(),
        on_device: redirect_uri::is_on_device(&request.redirect_uri),
        login_hint: request.login_hint.clone(),
        idp_hint: request.idp_hint.clone(),
        client,
    }
}
