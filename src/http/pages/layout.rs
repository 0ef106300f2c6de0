//! What every page has in common.

use askama::Template;
use poem::{IntoResponse, Response, http::StatusCode};

use crate::http::pages::branding::Branding;

/// Nothing from anywhere else, and no script but where the page has one of ours. A form goes to where it came from; the
/// browser holds where its answer redirects to the same rule, so that a page says where that may be (CSP 3 §6.4.1).
fn policy(script: &str, form_action: &str) -> String {
    format!(
        "default-src 'none'; {script}style-src 'self'; img-src 'self'; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// A page.
pub(in crate::http) fn page(status: StatusCode, template: &impl Template) -> Response {
    page_leading_to(status, template, None)
}

/// A page whose form may lead on to `origin`, as a content security policy names it.
pub(in crate::http) fn page_leading_to(status: StatusCode, template: &impl Template, origin: Option<&str>) -> Response {
    let form_action = origin.map_or_else(|| "'self'".to_owned(), |origin| format!("'self' {origin}"));
    rendered(status, template, &policy("", &form_action))
}

/// A page that posts itself to `origin`.
pub(in crate::http) fn posting_page(template: &impl Template, origin: &str) -> Response {
    rendered(StatusCode::OK, template, &policy("script-src 'self'; ", origin))
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
