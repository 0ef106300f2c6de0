//! Forms of pages: only our own come in (OWASP ASVS 5.0, 3.5.1).

use poem::{
    Body, Request, RequestBody, Response,
    http::{HeaderName, HeaderValue, header},
};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{context::Pages, error::PageError};
use crate::{http::extract::body, services::csrf::BrowserId};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The cookie that names a browser.
const BROWSER: &str = "browser";

/// A form that somebody sent from one of our pages.
pub(in crate::http) struct Form {
    fields: Map<String, Value>,
    /// The browser that sent it.
    pub(in crate::http) browser: BrowserId,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may hold passwords.
        f.write_str("Form([redacted])")
    }
}

impl Form {
    /// Reads the form `name`, which this browser must have got from us.
    ///
    /// # Errors
    /// [`PageError`] where it came from another site, is for another browser or another form, or cannot be read.
    pub(in crate::http) async fn read(
        pages: &Pages,
        name: &str,
        request: &Request,
        body: Body,
    ) -> Result<Self, PageError> {
        let form = Self::read_unchecked(pages, request, body).await?;
        if form.is_of(pages, name) { Ok(form) } else { Err(PageError::Stale) }
    }

    /// Reads a form that came from a page of ours. Whose and which it is, [`Self::is_of`] says.
    ///
    /// # Errors
    /// [`PageError`] where it came from another site, from a browser without an id, or cannot be read.
    pub(in crate::http) async fn read_unchecked(
        pages: &Pages,
        request: &Request,
        body: Body,
    ) -> Result<Self, PageError> {
        if !came_from_here(pages, request) {
            return Err(PageError::Foreign);
        }
        let fields = body::parameters_once(&body::form_text(request, &mut RequestBody::new(body)).await?);
        let browser = browser(pages, request).ok_or(PageError::Stale)?;
        Ok(Self { fields, browser })
    }

    /// Whether it is the form `name`, which this browser got from us.
    pub(in crate::http) fn is_of(&self, pages: &Pages, name: &str) -> bool {
        let code = self.fields.get("csrf").and_then(Value::as_str).unwrap_or_default();
        pages.csrf.is_good(&self.browser, name, code)
    }

    /// A field's text; empty where it was not sent.
    pub(in crate::http) fn text(&mut self, field: &str) -> String {
        match self.fields.remove(field) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        }
    }

    /// A secret field.
    pub(in crate::http) fn secret(&mut self, field: &str) -> SecretString {
        self.text(field).into()
    }
}

/// The id of the browser that asks, if it has one.
fn browser(pages: &Pages, request: &Request) -> Option<BrowserId> {
    pages.cookies.find(request, BROWSER).and_then(|name| BrowserId::parse(&name))
}

/// A parameter of the query. One that came twice or cannot be decoded is none; the others do not matter.
pub(in crate::http) fn parameter(request: &Request, name: &str) -> Option<String> {
    let (query, _) = body::parameters_of(request.uri().query().unwrap_or_default().as_bytes(), &[name]);
    query.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}

/// The `token` of an email's link.
pub(in crate::http) fn token(request: &Request) -> SecretString {
    parameter(request, "token").unwrap_or_default().into()
}

/// The browser that asks for a page.
#[derive(Debug)]
pub(in crate::http) struct BrowserContext {
    /// The browser.
    pub(in crate::http) browser: BrowserId,
    /// Whether it still needs its cookie.
    new: bool,
}

impl BrowserContext {
    /// A browser that has its cookie.
    pub(in crate::http) fn known(browser: BrowserId) -> Self {
        Self { browser, new: false }
    }
}

/// The browser that asks for a page; a new one is given an id.
pub(in crate::http) fn context(pages: &Pages, request: &Request) -> BrowserContext {
    match browser(pages, request) {
        Some(browser) => BrowserContext { browser, new: false },
        None => BrowserContext { browser: pages.csrf.new_browser_id(), new: true },
    }
}

/// Sets the cookie of a new browser.
pub(in crate::http) fn set_browser_cookie(pages: &Pages, context: &BrowserContext, mut response: Response) -> Response {
    if context.new {
        let field = pages.cookies.field(BROWSER, context.browser.as_str(), None);
        if let Ok(field) = HeaderValue::from_str(&field) {
            response.headers_mut().append(header::SET_COOKIE, field);
        }
    }
    response
}

/// Whether the form was sent from a page of ours. A client without either header field is no current browser; then
/// the CSRF code decides alone.
fn came_from_here(pages: &Pages, request: &Request) -> bool {
    let field = |name: HeaderName| request.headers().get(name);
    match (field(SEC_FETCH_SITE), field(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin.as_bytes() == pages.issuer.as_bytes(),
        (None, None) => true,
    }
}
