//! Sends the browser on from a client's authorization request: to the login, to the consent, or back to the client.

use askama::Template;
use poem::Response;

use crate::{
    domain::{authorization_request::ResponseMode, redirect_uri},
    http::{
        pages::{
            branding::Branding,
            context::Pages,
            form::{self, BrowserContext},
            layout,
        },
        redirect::see_other,
    },
    services::authorization::authorize::{Answer, AuthorizeOutcome},
};

/// A form that sends itself to the client, and has a button where there is no script (OAuth 2.0 Form Post Response
/// Mode).
#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    branding: &'a Branding,
    redirect_uri: &'a str,
    parameters: &'a [(&'static str, String)],
}

/// Sends the browser where a request leads it.
pub(in crate::http) fn send_on(pages: &Pages, context: &BrowserContext, outcome: AuthorizeOutcome) -> Response {
    let response = match outcome {
        AuthorizeOutcome::LogIn(sealed) => see_other(&format!("/login?request={sealed}")),
        AuthorizeOutcome::Consent(sealed) => see_other(&format!("/consent?request={sealed}")),
        AuthorizeOutcome::Answer(answer) => match answer.response_mode {
            ResponseMode::Query => see_other(&with_query(&answer)),
            ResponseMode::FormPost => {
                let Answer { redirect_uri, parameters, .. } = &answer;
                let page = FormPost { branding: &pages.branding, redirect_uri, parameters };
                layout::posting_page(&page, redirect_uri::origin(redirect_uri).as_deref().unwrap_or("'none'"))
            }
        },
    };
    form::set_browser_cookie(pages, context, response)
}

/// The redirect URI as it was registered, byte for byte, and the parameters after it.
fn with_query(answer: &Answer) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&answer.parameters).finish();
    let joint = if answer.redirect_uri.contains('?') { '&' } else { '?' };
    format!("{}{joint}{query}", answer.redirect_uri)
}
