//! The common parts of every page.

use askama::Template;
use poem::{
    IntoResponse, Response,
    http::{HeaderValue, StatusCode, header},
};

use crate::http::pages::branding::Branding;

/// Nothing from anywhere else, and no script but where the page has one of ours. A form goes to us alone: browsers hold
/// every address that its answer leads through to the same rule (CSP 3 §6.4.1), which nobody can list, so that a form is
/// answered by a page that goes on by itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
/// The policy of the page that posts itself to a client. Its one form has no field to fill in.
const POSTING: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                       frame-ancestors 'none'";

/// A page.
pub(in crate::http) fn page(status: StatusCode, template: &impl Template) -> Response {
    rendered(status, template, POLICY)
}

/// A page that posts itself to a client.
pub(in crate::http) fn posting_page(status: StatusCode, template: &impl Template) -> Response {
    rendered(status, template, POSTING)
}

/// A page that goes on to an address elsewhere by itself: the answer to a form.
#[derive(Debug, Template)]
#[template(path = "leaving.html")]
pub(in crate::http) struct Leaving<'a> {
    pub(in crate::http) branding: &'a Branding,
    pub(in crate::http) title: &'a str,
    pub(in crate::http) text: &'a str,
    pub(in crate::http) address: &'a str,
    /// Whether the body has the `Refresh`, and not the header.
    by_body: bool,
}

/// The longest address in the header of an answer, in bytes. nginx takes 4 kB for the whole header by default; cookies
/// and the fields that every answer has may need the rest.
pub(in crate::http) const LONGEST_LOCATION: usize = 2600;

impl<'a> Leaving<'a> {
    pub(in crate::http) fn new(branding: &'a Branding, title: &'a str, text: &'a str, address: &'a str) -> Self {
        Self { branding, title, text, address, by_body: false }
    }

    /// The page.
    pub(in crate::http) fn response(&self) -> Response {
        self.response_beside(0)
    }

    /// The page, whose header has this many bytes of cookies too. An address that does not fit beside them is followed
    /// from the body.
    pub(in crate::http) fn response_beside(&self, cookies: usize) -> Response {
        if self.address.len() + cookies > LONGEST_LOCATION {
            return page(StatusCode::OK, &Self { by_body: true, ..*self });
        }
        let mut response = page(StatusCode::OK, self);
        // A URL holds no character that could end the field, and no white space.
        if let Ok(refresh) = HeaderValue::from_str(&format!("0;url={}", self.address)) {
            response.headers_mut().insert(header::REFRESH, refresh);
        }
        response
    }
}

fn rendered(status: StatusCode, template: &impl Template, policy: &str) -> Response {
    match template.render() {
        Ok(html) => Response::builder()
            .status(status)
            .content_type("text/html; charset=utf-8")
            .header("Content-Security-Policy", policy)
            .body(html),
        Err(cause) => {
            // Templates of plain values write into a string; that cannot fail, and would be ours to mend.
            tracing::error!(%cause, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that says something, with a way on where there is one.
#[derive(Debug, Template)]
#[template(path = "notice.html")]
pub(in crate::http) struct Notice<'a> {
    pub(in crate::http) branding: &'a Branding,
    pub(in crate::http) title: &'static str,
    pub(in crate::http) text: &'a str,
    /// Whether it is about something that went wrong.
    pub(in crate::http) alarming: bool,
    /// The request id, for the operator; empty where nothing went wrong.
    pub(in crate::http) request_id: &'a str,
    pub(in crate::http) link: Option<Link>,
}

/// A way on.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Link {
    pub(in crate::http) href: &'static str,
    pub(in crate::http) label: &'static str,
}

impl<'a> Notice<'a> {
    /// A page that says that something is done.
    pub(in crate::http) fn new(branding: &'a Branding, title: &'static str, text: &'a str) -> Self {
        Self { branding, title, text, alarming: false, request_id: "", link: None }
    }

    /// With a way on.
    pub(in crate::http) fn with_link(self, href: &'static str, label: &'static str) -> Self {
        Self { link: Some(Link { href, label }), ..self }
    }
}

/// A page that says something, with an address elsewhere to go on to.
#[derive(Debug, Template)]
#[template(path = "offer.html")]
pub(in crate::http) struct Offer<'a> {
    pub(in crate::http) branding: &'a Branding,
    pub(in crate::http) title: &'a str,
    pub(in crate::http) text: &'a str,
    /// Whether it is about something that went wrong.
    pub(in crate::http) alarming: bool,
    pub(in crate::http) address: &'a str,
    pub(in crate::http) label: &'a str,
}
