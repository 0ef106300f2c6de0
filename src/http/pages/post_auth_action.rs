//! What somebody goes on with once they are logged in: a client's request, or a page of ours.

use poem::{
    Request, Response,
    http::{HeaderValue, header},
};
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    domain::{return_to::ReturnTo, session::Session},
    http::{
        extract::{body, cookies::SESSION},
        pages::{
            context::Pages,
            error::PageError,
            form::{self, BrowserContext, Form},
            send_on::{Via, send_on},
        },
        redirect::see_other,
    },
    services::{
        authorization::{
            authorize::AuthorizeOutcome,
            question::{Asking, Progress},
        },
        csrf::BrowserId,
    },
};

/// The page after a login that has no other destination.
const HOME: &str = "/account";

/// The destination after a login.
#[derive(Debug, Default)]
pub(in crate::http) struct PostAuthAction {
    /// A client's request, sealed; empty where there is none.
    pub(in crate::http) request: String,
    /// A path of ours; empty where there is none.
    pub(in crate::http) return_to: String,
}

impl PostAuthAction {
    /// Reads the action from a page's query.
    pub(in crate::http) fn of_query(request: &Request) -> Self {
        Self::of(
            form::parameter(request, "request").unwrap_or_default(),
            &form::parameter(request, "return_to").unwrap_or_default(),
        )
    }

    /// Reads the action from a page's form.
    pub(in crate::http) fn of_form(form: &mut Form) -> Self {
        let request = form.text("request");
        Self::of(request, &form.text("return_to"))
    }

    /// This page of ours.
    pub(in crate::http) fn back_to(path: &'static str) -> Self {
        Self { request: String::new(), return_to: path.to_owned() }
    }

    /// Reads the text that [`Self::query`] writes.
    pub(in crate::http) fn of_text(query: &str) -> Self {
        let given = body::parameters(query.trim_start_matches('?').as_bytes()).unwrap_or_default();
        let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
        Self::of(text("request").to_owned(), text("return_to"))
    }

    fn of(request: String, return_to: &str) -> Self {
        let return_to = ReturnTo::parse(return_to).map(|path| path.as_str().to_owned()).unwrap_or_default();
        Self { request, return_to }
    }

    /// The address at which somebody who may be logged in already goes on.
    pub(in crate::http) fn resumption(&self) -> String {
        if self.request.is_empty() {
            return if self.return_to.is_empty() { HOME.to_owned() } else { self.return_to.clone() };
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("resume", &self.request).finish();
        format!("/oauth/authorize?{query}")
    }

    /// The query that a link to another page of the same purpose has, `?` included.
    pub(in crate::http) fn query(&self) -> String {
        let given = [("request", &self.request), ("return_to", &self.return_to)];
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// The details of the client's request, where there is one.
    ///
    /// # Errors
    /// [`PageError`] where it cannot be gone on with.
    pub(in crate::http) async fn asking(
        &self,
        pages: &Pages,
        browser: &BrowserId,
    ) -> Result<Option<Asking>, PageError> {
        if self.request.is_empty() {
            return Ok(None);
        }
        Ok(Some(pages.authorize.asking(&self.request, browser).await?))
    }

    /// Whether the user must log in again first: where the client asks for it, and before our own pages that let a user
    /// with a recent login change the account.
    ///
    /// # Errors
    /// [`PageError`] where the client's request cannot be gone on with.
    pub(in crate::http) async fn wants_fresh(&self, pages: &Pages, browser: &BrowserId) -> Result<bool, PageError> {
        Ok(self.asking(pages, browser).await?.is_none_or(|asking| asking.fresh))
    }

    /// Sends who is logged in there, and has sent a form of ours.
    ///
    /// # Errors
    /// [`PageError`] where the client's request cannot be gone on with.
    pub(in crate::http) async fn go(
        &self,
        pages: &Pages,
        browser: &BrowserId,
        session: &Session,
    ) -> Result<Response, PageError> {
        if !self.request.is_empty() {
            let outcome = pages.authorize.resume(&self.request, browser, Some(session), Progress::FORM).await?;
            return Ok(send_on(pages, &BrowserContext::known(browser.clone()), outcome, Via::Form));
        }
        Ok(see_other(if self.return_to.is_empty() { HOME } else { &self.return_to }))
    }

    /// The same for who has just logged in with `request`: this browser now has the new login, in the place of any
    /// other, and its device is known.
    ///
    /// # Errors
    /// [`PageError`].
    pub(in crate::http) async fn go_logged_in(
        &self,
        pages: &Pages,
        browser: &BrowserId,
        request: &Request,
        (session, device): (Session, Option<SecretString>),
    ) -> Result<Response, PageError> {
        let before = pages.cookies.find(request, SESSION);
        pages.browser_sessions.replace(before.as_deref(), &session).await?;
        let response = self.go(pages, browser, &session).await?;
        Ok(Self::remember(pages, &session, device.as_ref(), response))
    }

    /// The same for whom a provider let in. It may know them from long ago, and not have asked: where the client's
    /// request wants a newer login, `stale_login` answers, and goes on with the request that it gets. To send them straight
    /// back to the login page would lead them in a circle.
    ///
    /// # Errors
    /// [`PageError`].
    pub(in crate::http) async fn continue_after_federation(
        &self,
        pages: &Pages,
        browser: &BrowserId,
        request: &Request,
        (session, pressed, via): (Session, bool, Via),
        stale_login: impl FnOnce(&Self) -> Response,
    ) -> Result<Response, PageError> {
        if self.request.is_empty() {
            return self.go_logged_in(pages, browser, request, (session, None)).await;
        }
        // A login with a provider has chosen the account already.
        let progress = Progress { account_chosen: true, pressed };
        let before = pages.cookies.find(request, SESSION);
        pages.browser_sessions.replace(before.as_deref(), &session).await?;
        let response = match pages.authorize.resume(&self.request, browser, Some(&session), progress).await? {
            AuthorizeOutcome::LogIn(request) => stale_login(&Self { request, return_to: String::new() }),
            outcome => send_on(pages, &BrowserContext::known(browser.clone()), outcome, via),
        };
        Ok(Self::remember(pages, &session, None, response))
    }

    /// Has the browser keep the login, and what makes the device known.
    fn remember(pages: &Pages, session: &Session, device: Option<&SecretString>, mut response: Response) -> Response {
        let lifetime = pages.browser_sessions.lifetimes.session.to_std().ok();
        let cookie = pages.cookies.field(SESSION, &pages.browser_sessions.cookie(session), lifetime);
        for field in [Some(cookie), pages.cookies.device(device)].into_iter().flatten() {
            if let Ok(field) = HeaderValue::from_str(&field) {
                response.headers_mut().append(header::SET_COOKIE, field);
            }
        }
        response
    }
}
