//! The authorization endpoint (RFC 6749 §3.1): read from the query or from a form, answered by sending the browser on.

use std::sync::Arc;

use poem::{Body, Request, Response, handler, web::Data};
use serde_json::{Map, Value};

use crate::{
    domain::authorization_request::Parameters,
    http::{
        extract::body,
        pages::{
            context::Pages,
            error::PageError,
            form::{self, BrowserContext},
            send_on::{Via, send_on},
        },
        redirect::{ask_again, see_other},
    },
    services::authorization::{
        authorize::{AuthorizeError, AuthorizeOutcome},
        question::Progress,
    },
};

/// `GET`
#[handler]
pub(in crate::http) async fn ask(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    if let Some(sealed) = form::parameter(request, "resume") {
        let context = form::context(pages, request);
        let session = pages.session(request).await?;
        let outcome = pages.authorize.resume(&sealed, &context.browser, session.as_ref(), Progress::default()).await?;
        return Ok(send_on(pages, &context, outcome, Via::Link));
    }
    let (query, malformed) = body::parameters_of(query, &Parameters::NAMES);
    run(pages, request, query, malformed).await
}

/// `POST` (OIDC Core §3.1.2.1): a client's own form.
#[handler]
pub(in crate::http) async fn ask_by_form(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    ask_again(&pages.branding, "/oauth/authorize", request, body).await
}

async fn run(
    pages: &Pages,
    request: &Request,
    given: Map<String, Value>,
    malformed: bool,
) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let session = pages.session(request).await?;
    // Every parameter is an optional string, so this fails for none of them.
    let parameters: Parameters = serde_json::from_value(given.into()).map_err(|_| PageError::Incomplete)?;
    let parameters = Parameters { malformed, ..parameters };
    let outcome = pages.authorize.run(parameters, &context.browser, session.as_ref()).await?;
    if let AuthorizeOutcome::LogIn(sealed) = &outcome
        && let Some(provider) = hinted(pages, &context, sealed).await?
    {
        let response = see_other(&format!("/federation/{provider}?request={sealed}"));
        return Ok(form::set_browser_cookie(pages, &context, response));
    }
    Ok(send_on(pages, &context, outcome, Via::Link))
}

/// The provider that a request names, if it can be logged in with here.
async fn hinted(pages: &Pages, context: &BrowserContext, sealed: &str) -> Result<Option<String>, PageError> {
    let hint = pages.authorize.asking(sealed, &context.browser).await?.idp_hint;
    Ok(hint.filter(|hint| pages.providers.iter().any(|button| button.name == *hint)))
}

impl From<AuthorizeError> for PageError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::UnknownClient => Self::UnknownClient,
            AuthorizeError::Document(refusal) => Self::Document(refusal),
            AuthorizeError::RedirectUri => Self::RedirectUri,
            AuthorizeError::Expired => Self::Expired,
            AuthorizeError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}
