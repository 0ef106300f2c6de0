//! The authorization endpoint (RFC 6749 §3.1): read from the query or from a form, answered by sending the browser on.

use std::sync::Arc;

use poem::{Body, Request, RequestBody, Response, handler, web::Data};

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
        redirect::{as_query, come_again, is_too_long, see_other},
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
    let parameters = match form::parameter(request, POSTED) {
        Some(sealed) => pages.authorize.open_posted(&sealed)?,
        None => parameters(query)?,
    };
    let context = form::context(pages, request);
    let session = pages.session(request).await?;
    let outcome = pages.authorize.run(parameters, &context.browser, session.as_ref()).await?;
    if let AuthorizeOutcome::LogIn(sealed) = &outcome
        && let Some(provider) = hinted(pages, &context, sealed).await?
    {
        let response = see_other(&format!("/federation/{provider}?request={sealed}"));
        return Ok(form::set_browser_cookie(pages, &context, response));
    }
    Ok(send_on(pages, &context, outcome, Via::Link))
}

/// The parameter with a request that was posted, and is too long for a query of its own.
const POSTED: &str = "posted";

/// `POST` (OIDC Core §3.1.2.1): a client's own form. It comes without cookies, so that the browser asks again with GET.
#[handler]
pub(in crate::http) async fn ask_by_form(
    Data(pages): Data<&Arc<Pages>>,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    let form = body::form_text(request, &mut RequestBody::new(body)).await?;
    let query = as_query(&form, &Parameters::NAMES);
    if !is_too_long(&query) {
        return come_again(&pages.branding, PATH, &query);
    }
    let parameters = parameters(&form)?;
    if let Some(sealed) = pages.authorize.seal_posted(parameters.clone()) {
        return come_again(&pages.branding, PATH, &format!("{POSTED}={sealed}"));
    }
    // Nothing of this length is answered with more than an error, which needs no cookie, and must not replace one.
    let context = BrowserContext::known(pages.csrf.new_browser_id());
    let outcome = pages.authorize.run(parameters, &context.browser, None).await?;
    Ok(send_on(pages, &context, outcome, Via::Link))
}

const PATH: &str = "/oauth/authorize";

/// The parameters of a query or a form.
fn parameters(bytes: &[u8]) -> Result<Parameters, PageError> {
    let (given, malformed) = body::parameters_of(bytes, &Parameters::NAMES);
    // Every parameter is an optional string, so this fails for none of them.
    let parameters = serde_json::from_value(given.into()).map_err(|_| PageError::Incomplete)?;
    Ok(Parameters { malformed, ..parameters })
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
