//! What every page has in common.

use askama::Template;
use poem::{IntoResponse, Response, http::StatusCode};

use super::look::Look;

/// No script, and nothing from anywhere else; a form goes to where it came from (security of pages: CSP Level 3).
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// A page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Response::builder()
            .status(status)
            .content_type("text/html; charset=utf-8")
            .header("Content-Security-Policy", POLICY)
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
pub(super) struct Notice<'a> {
    pub(super) look: &'a Look,
    pub(super) title: &'static str,
    pub(super) text: &'a str,
    /// Whether it is about something that went wrong.
    pub(super) alarming: bool,
    /// What to tell the operator; empty where nothing went wrong.
    pub(super) request_id: &'a str,
    pub(super) link: Option<Link>,
}

/// A way on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) href: &'static str,
    pub(super) label: &'static str,
}

impl<'a> Notice<'a> {
    /// A page that says that something is done.
    pub(super) fn new(look: &'a Look, title: &'static str, text: &'a str) -> Self {
        Self { look, title, text, alarming: false, request_id: "", link: None }
    }

    /// With a way on.
    pub(super) fn with_link(self, href: &'static str, label: &'static str) -> Self {
        Self { link: Some(Link { href, label }), ..self }
    }
}
