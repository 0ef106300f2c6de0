//! The authorization endpoint (RFC 6749 §4.1, OIDC Core §3.1.2): a request results in a code, an error, or a question
//! to the person.
//!
//! While a person is asked, the sealed request travels with the browser: any replica can resume it.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::{
    crypto::{
        digest,
        jose::jwt::{IdTokenOfAnyAge, Jwt},
        random::Random,
    },
    domain::{
        authorization_request::{
            AuthorizationErrorCode as Code, AuthorizationRefusal, AuthorizationRequest, Parameters, ResponseMode,
        },
        client::Client,
        clock::Clock,
        ids::ClientId,
        oauth::GrantType,
        pkce::CodeChallenge,
        redirect_uri,
        scope::Scope,
        session::Session,
    },
    services::{
        Unavailable,
        audit::Event,
        authorization::{pending_request::PendingAuthorization, pushed_request::PushedRequest},
        clients::documents::{ClientDocuments, DocumentError, DocumentRefusal},
        csrf::BrowserId,
        grants::{GrantError, counted, narrow, target, token_issuer::TokenIssuer},
        sealed::Sealer,
    },
    store::{
        Database, StoreError,
        authorization_codes::{self, AuthorizationCode, CodeDigest},
        consents::{self, Consent},
    },
};

#[derive(Debug, Clone)]
pub struct Authorize {
    /// Checks resources, and names the issuer.
    pub issue: TokenIssuer,
    pub jwt: Arc<Jwt>,
    pub sealer: Sealer,
    pub random: Random,
    /// Finds clients by the documents that describe them; `None` if there are no such clients here.
    pub documents: Option<ClientDocuments>,
    /// Where clients, consents and codes are.
    pub db: Database,
    pub clock: Arc<dyn Clock>,
}

/// The outcome of a request.
#[derive(Debug)]
pub enum AuthorizeOutcome {
    Answer(Answer),
    /// An error of a client that nobody vouches for, before anybody has logged in: it is shown, and the person decides
    /// whether to go to the client (RFC 9700 §4.11.2).
    Shown {
        answer: Answer,
        /// The host of the document that describes the client; without one, the client registered itself.
        host: Option<String>,
    },
    /// The person must log in or choose an account; then this sealed request resumes.
    LogIn(String),
    /// The person must consent, or confirm that they go on; then this sealed request resumes.
    Consent(String),
}

/// The response to the client, by way of the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One of the client's redirect URIs.
    pub redirect_uri: String,
    pub response_mode: ResponseMode,
    pub parameters: Vec<(&'static str, String)>,
}

/// Errors that are not sent to the client: the redirect URI must be known to be registered (RFC 9700 §4.11).
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    #[error("there is no such client")]
    UnknownClient,
    /// The client id is a URL, and its document does not describe a client.
    #[error("the client's document is not accepted: {0}")]
    Document(DocumentRefusal),
    /// The redirect URI is missing, or not the client's.
    #[error("the redirect URI is not this client's")]
    RedirectUri,
    /// The sealed request is another browser's, too old, or not ours.
    #[error("the request has expired")]
    Expired,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(AuthorizeError: StoreError);

impl From<DocumentError> for AuthorizeError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Refused(refusal) => Self::Document(refusal),
            DocumentError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

/// The scope and resource that a request may be granted.
#[derive(Debug)]
pub(in crate::services) struct Permitted {
    pub(super) scope: Scope,
    /// The resource, as it was registered.
    pub(super) resource: Option<String>,
}

/// Whether the person lets the client have what it asks for.
#[derive(Debug)]
pub(super) enum Allowance {
    NotNeeded,
    Given(Consent),
    Missing,
}

impl Allowance {
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }
}

/// How long a code may be redeemed (RFC 6749 §4.1.2, RFC 9700 §2.1.1).
const CODE: TimeDelta = TimeDelta::seconds(60);

impl Authorize {
    /// Answers a request from `browser`, which is logged in with `session`.
    pub async fn run(
        &self,
        parameters: Parameters,
        browser: &BrowserId,
        session: Option<&Session>,
    ) -> Result<AuthorizeOutcome, AuthorizeError> {
        let (parameters, reference) = self.unpushed(parameters).await?;
        let (client, target) = self.parties(&parameters).await?;
        let state = parameters.state.clone();
        let read = ResponseMode::parse(parameters.response_mode.as_deref())
            .and_then(|mode| AuthorizationRequest::parse(&client, target.clone(), mode, parameters.clone()));
        let request = match read {
            Ok(request) => request,
            Err(refusal) => {
                // An unknown response mode is reported by the default one.
                let mode = ResponseMode::parse(parameters.response_mode.as_deref()).unwrap_or(ResponseMode::Query);
                let answer = self.refusal(target.uri, mode, state, refusal, &client.id);
                return Ok(refused(answer, &client, session, parameters.is_silent()));
            }
        };
        let asked_at = self.clock.now();
        let browser = browser.as_str().to_owned();
        let mut pending = PendingAuthorization {
            request,
            browser,
            asked_at,
            reference,
            meant: None,
            account_chosen: false,
            pressed: false,
        };
        if let Some(hint) = pending.request.id_token_hint.take() {
            match self.jwt.verify(IdTokenOfAnyAge, &hint, asked_at) {
                Ok(claims) => pending.meant = Some(claims.sub),
                // Nobody can say whom the client means. A person who is asked says so by logging in.
                Err(_) if pending.request.prompt.none => {
                    let refusal = AuthorizationRefusal::new(Code::LoginRequired, "the id_token_hint is not good");
                    return Ok(self.refuse(pending.request, refusal, &client, session));
                }
                Err(_) => {}
            }
        }
        // With `prompt=none` the request need not travel.
        if !pending.request.prompt.none && !pending.can_travel(&self.sealer) {
            let refusal = AuthorizationRefusal::new(Code::InvalidRequest, "the parameters are too long together");
            return Ok(self.refuse(pending.request, refusal, &client, session));
        }
        self.decide(&client, pending, session).await
    }

    pub(super) fn open(&self, sealed: &str, browser: &BrowserId) -> Result<PendingAuthorization, AuthorizeError> {
        let pending = PendingAuthorization::open(&self.sealer, sealed, browser, self.clock.now());
        pending.ok_or(AuthorizeError::Expired)
    }

    /// The parameters that a request stands for: its own, or the pushed ones alone, with their name (RFC 9126 §4).
    /// A reference that has got its code is worth nothing (§7.3).
    async fn unpushed(&self, parameters: Parameters) -> Result<(Parameters, Option<String>), AuthorizeError> {
        let Some(sealed) = parameters.request_uri.as_deref().and_then(PushedRequest::sealed_in) else {
            return Ok((parameters, None));
        };
        let pushed = PushedRequest::open(&self.sealer, sealed, self.clock.now()).ok_or(AuthorizeError::Expired)?;
        if parameters.client_id.as_deref() != Some(pushed.client_id.as_str()) {
            return Err(AuthorizeError::UnknownClient);
        }
        let name = PushedRequest::name(sealed);
        if authorization_codes::is_answered(&self.db, PushedRequest::digest(&name)).await? {
            return Err(AuthorizeError::Expired);
        }
        Ok((pushed.into_parameters(), Some(name)))
    }

    pub(super) async fn decide(
        &self,
        client: &Client,
        pending: PendingAuthorization,
        session: Option<&Session>,
    ) -> Result<AuthorizeOutcome, AuthorizeError> {
        let request = &pending.request;
        let permitted = match self.permit(client, request) {
            Ok(permitted) => permitted,
            Err(refusal) => return Ok(self.refuse(pending.request, refusal, client, session)),
        };
        // Asking again would not help: the person has logged in, as another account than the hint names.
        let another = |session: &Session| session.created_at >= pending.asked_at && !pending.means(session);
        if session.is_some_and(another) {
            let refusal = AuthorizationRefusal::new(Code::LoginRequired, "somebody else is logged in");
            return Ok(self.refuse(pending.request, refusal, client, session));
        }
        let Some(session) = session.filter(|session| self.is_fresh_enough(&pending, session)) else {
            return Ok(if request.prompt.none {
                let refusal = AuthorizationRefusal::new(Code::LoginRequired, "somebody must log in");
                self.refuse(pending.request, refusal, client, session)
            } else {
                AuthorizeOutcome::LogIn(pending.seal(&self.sealer))
            });
        };
        let allowance = self.allowance(client, &pending, &permitted, session).await?;
        // Nothing proves which program listens at such a redirect URI (RFC 8252 §8.6).
        let unproved = !client.is_confidential() && redirect_uri::is_on_device(&request.redirect_uri);
        if unproved && !pending.pressed && !allowance.is_missing() {
            return Ok(if request.prompt.none {
                let refusal = AuthorizationRefusal::new(Code::InteractionRequired, "the person must confirm");
                self.refuse(pending.request, refusal, client, Some(session))
            } else {
                AuthorizeOutcome::Consent(pending.seal(&self.sealer))
            });
        }
        let code = match allowance {
            Allowance::Missing => None,
            Allowance::NotNeeded => self.code(&pending, permitted, session, None).await?,
            Allowance::Given(consent) => self.code(&pending, permitted, session, Some(&consent)).await?,
        };
        let Some(code) = code else {
            return Ok(if request.prompt.none {
                let refusal = AuthorizationRefusal::new(Code::ConsentRequired, "the person must consent");
                self.refuse(pending.request, refusal, client, Some(session))
            } else {
                AuthorizeOutcome::Consent(pending.seal(&self.sealer))
            });
        };
        let AuthorizationRequest { redirect_uri, response_mode, state, .. } = pending.request;
        let parameters = vec![("code", code)];
        Ok(AuthorizeOutcome::Answer(self.answer(redirect_uri, response_mode, state, parameters)))
    }

    /// The scope and resource that the request may be granted.
    pub(in crate::services) fn permit(
        &self,
        client: &Client,
        request: &AuthorizationRequest,
    ) -> Result<Permitted, AuthorizationRefusal> {
        if !client.may_use(GrantType::AuthorizationCode) {
            return Err(AuthorizationRefusal::new(Code::UnauthorizedClient, "the client may not use this grant"));
        }
        let scope = narrow(counted(client, request.scope.as_deref()), &client.scope).map_err(|_: GrantError| {
            AuthorizationRefusal::new(Code::InvalidScope, "the scope is malformed or wider than allowed")
        })?;
        let resource = target(&self.issue, client, request.resource.as_deref()).map_err(|_: GrantError| {
            AuthorizationRefusal::new(Code::InvalidTarget, "the resource is not this client's to ask for")
        })?;
        Ok(Permitted { scope, resource })
    }

    /// Whether the login is recent enough, and of the account that the client expects.
    fn is_fresh_enough(&self, pending: &PendingAuthorization, session: &Session) -> bool {
        let PendingAuthorization { request, asked_at, account_chosen, .. } = pending;
        // A login after the request satisfies every prompt. A silent request has none.
        let since = !request.prompt.none && session.authenticated_at >= *asked_at;
        let age = (self.clock.now() - session.authenticated_at).num_seconds();
        // No login is younger than 0 seconds: `max_age=0` is `prompt=login`.
        let stale_login = request.max_age.is_some_and(|most| most == 0 || age > most);
        let unchosen = request.prompt.select_account && !account_chosen;
        pending.means(session) && (since || !(request.prompt.login || stale_login || unchosen))
    }

    /// Whether the person has consented to the scope and the resource. First-party clients need no consent.
    pub(super) async fn allowance(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        permitted: &Permitted,
        session: &Session,
    ) -> Result<Allowance, StoreError> {
        if client.first_party && !pending.request.prompt.consent {
            return Ok(Allowance::NotNeeded);
        }
        let consent = consents::find(&self.db, session.user, &client.id).await?;
        let consent = consent.filter(|consent| {
            let is_recent = !pending.request.prompt.consent || consent.given_at >= pending.asked_at;
            is_recent && permitted.scope.is_within(&consent.scope) && consent.covers(permitted.resource.as_deref())
        });
        Ok(consent.map_or(Allowance::Missing, Allowance::Given))
    }

    /// Issues a code; `None` if the consent was withdrawn or changed meanwhile.
    ///
    /// # Errors
    /// [`AuthorizeError::Expired`] if the pushed request has got its code.
    async fn code(
        &self,
        pending: &PendingAuthorization,
        permitted: Permitted,
        session: &Session,
        consent: Option<&Consent>,
    ) -> Result<Option<String>, AuthorizeError> {
        let request = &pending.request;
        let secret = self.random.secret();
        let text = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
        // The challenge was parsed before it was sealed.
        let code_challenge = request.code_challenge.as_deref().map(CodeChallenge::parse).transpose();
        let code_challenge = code_challenge.map_err(|_| AuthorizeError::Expired)?;
        let code = AuthorizationCode {
            client: request.client.clone(),
            user: session.user,
            parent: session.id,
            redirect_uri: (!request.redirect_uri_implied).then(|| request.redirect_uri.clone()),
            code_challenge,
            scope: permitted.scope,
            resource: permitted.resource,
            nonce: request.nonce.clone(),
            expires_at: self.clock.now() + CODE,
            session: None,
            reference: pending.reference.as_deref().map(PushedRequest::digest),
        };
        let digest = CodeDigest(digest::sha256(text.as_bytes()));
        let inserted = match authorization_codes::insert(&self.db, digest, &code, consent).await {
            // No two codes have one digest, so it is the reference that is taken.
            Err(StoreError::Duplicate(_)) => return Err(AuthorizeError::Expired),
            other => other?,
        };
        if !inserted {
            return Ok(None);
        }
        Event::done("authorize").account(session.user).client(&code.client).session(session.id).record();
        Ok(Some(text))
    }

    pub(super) fn refuse(
        &self,
        request: AuthorizationRequest,
        refusal: AuthorizationRefusal,
        client: &Client,
        session: Option<&Session>,
    ) -> AuthorizeOutcome {
        let AuthorizationRequest { redirect_uri, response_mode, state, prompt, .. } = request;
        let answer = self.refusal(redirect_uri, response_mode, state, refusal, &client.id);
        refused(answer, client, session, prompt.none)
    }

    fn refusal(
        &self,
        redirect_uri: String,
        mode: ResponseMode,
        state: Option<String>,
        refusal: AuthorizationRefusal,
        client: &ClientId,
    ) -> Answer {
        Event::refused("authorize", refusal.code.as_str()).client(client).record();
        let parameters =
            vec![("error", refusal.code.as_str().to_owned()), ("error_description", refusal.description.to_owned())];
        self.answer(redirect_uri, mode, state, parameters)
    }

    /// Every response carries `iss` (RFC 9207).
    fn answer(
        &self,
        redirect_uri: String,
        response_mode: ResponseMode,
        state: Option<String>,
        mut parameters: Vec<(&'static str, String)>,
    ) -> Answer {
        parameters.extend(state.map(|state| ("state", state)));
        parameters.push(("iss", self.issue.issuer.clone()));
        Answer { redirect_uri, response_mode, parameters }
    }
}

/// How the error of a request reaches its client: a redirect to an address that a stranger registered would lead
/// anybody anywhere by a link to us (RFC 9700 §4.11.2). Silent requests cannot be shown.
fn refused(answer: Answer, client: &Client, session: Option<&Session>, silent: bool) -> AuthorizeOutcome {
    if client.self_registered && session.is_none() && !silent {
        AuthorizeOutcome::Shown { answer, host: client.id.host() }
    } else {
        AuthorizeOutcome::Answer(answer)
    }
}
