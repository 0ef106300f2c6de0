//! Sends the browser on from a client's authorization request: to the login, to the consent, or back to the client.

use askama::Template;
use poem::{Response, http::StatusCode};

use crate::{
    domain::{authorization_request::ResponseMode, redirect_uri},
    http::{
        pages::{
            branding::Branding,
            context::Pages,
            form::{self, BrowserContext},
            layout::{self, LONGEST_LOCATION, Leaving, Offer},
        },
        redirect::see_other,
    },
    services::authorization::authorize::{Answer, AuthorizeOutcome},
};

/// What the browser sent, so what may answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Via {
    /// A link or redirect: a redirect may answer it.
    Link,
    /// A form of ours: a page of ours answers it, and goes on by itself.
    Form,
}

/// A form that sends itself to the client, and has a button where there is no script (OAuth 2.0 Form Post Response
/// Mode).
#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    branding: &'a Branding,
    title: &'a str,
    text: &'a str,
    label: &'a str,
    /// Whether it sends itself.
    by_itself: bool,
    redirect_uri: &'a str,
    parameters: &'a [(&'static str, String)],
}

/// Sends the browser where a request leads it.
pub(in crate::http) fn send_on(
    pages: &Pages,
    context: &BrowserContext,
    outcome: AuthorizeOutcome,
    via: Via,
) -> Response {
    let response = match outcome {
        AuthorizeOutcome::LogIn(sealed) => see_other(&format!("/login?request={sealed}")),
        AuthorizeOutcome::Consent(sealed) => see_other(&format!("/consent?request={sealed}")),
        AuthorizeOutcome::Answer(answer) => match answer.response_mode {
            ResponseMode::Query => leave(pages, &with_query(&answer), via),
            ResponseMode::FormPost => {
                let Answer { redirect_uri, parameters, .. } = &answer;
                let page = FormPost {
                    branding: &pages.branding,
                    title: "You are on your way back",
                    text: "",
                    label: "Continue",
                    by_itself: true,
                    redirect_uri,
                    parameters,
                };
                layout::posting_page(StatusCode::OK, &page)
            }
        },
        AuthorizeOutcome::Shown { answer, host } => shown(pages, &answer, host.as_deref()),
    };
    form::set_browser_cookie(pages, context, response)
}

/// Sends the browser back to a client.
pub(in crate::http) fn leave(pages: &Pages, address: &str, via: Via) -> Response {
    match via {
        Via::Link if address.len() <= LONGEST_LOCATION => see_other(address),
        Via::Link | Via::Form => {
            let text = "If the app does not open by itself, continue here.";
            Leaving::new(&pages.branding, "You are on your way back", text, address).response()
        }
    }
}

/// What is known of an app that nobody vouches for: the host of the document that describes it, or that it registered
/// itself.
pub(in crate::http) fn unvouched(app: &str, host: Option<&str>) -> String {
    match host {
        Some(host) => format!("{app} is described by a document at {host}, and the operator has not checked it."),
        None => format!("{app} registered itself, and the operator has not checked it."),
    }
}

/// An error of a client that nobody vouches for. The person decides whether to go there.
fn shown(pages: &Pages, answer: &Answer, host: Option<&str>) -> Response {
    let value =
        |name: &str| answer.parameters.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
    let destination = redirect_uri::origin(&answer.redirect_uri).unwrap_or_default();
    let text = format!(
        "{} It asked for what it does not get: {} ({}). Go back to it only if you know {destination}.",
        unvouched("The app", host),
        value("error_description").unwrap_or_default(),
        value("error").unwrap_or_default(),
    );
    let (title, label) = ("This app asked for what it does not get", format!("Go to {destination}"));
    let branding = &pages.branding;
    match answer.response_mode {
        ResponseMode::Query => {
            let address = with_query(answer);
            let page = Offer { branding, title, text: &text, alarming: true, address: &address, label: &label };
            layout::page(StatusCode::BAD_REQUEST, &page)
        }
        ResponseMode::FormPost => {
            let Answer { redirect_uri, parameters, .. } = answer;
            let page =
                FormPost { branding, title, text: &text, label: &label, by_itself: false, redirect_uri, parameters };
            layout::posting_page(StatusCode::BAD_REQUEST, &page)
        }
    }
}

/// The redirect URI as it was registered, byte for byte, and the parameters after it.
fn with_query(answer: &Answer) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&answer.parameters).finish();
    let joint = if answer.redirect_uri.contains('?') { '&' } else { '?' };
    format!("{}{joint}{query}", answer.redirect_uri)
}
