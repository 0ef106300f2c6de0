//! The authorization endpoint (RFC 6749 §3.1): read from the query or from a form, answered by sending the browser on.

use std::sync::Arc;

use askama::Template;
use poem::{
    Body, Request, RequestBody, Response, handler,
    http::{StatusCode, header},
    web::Data,
};
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        authorization_request::{Parameters, ResponseMode},
        redirect_uri,
    },
    http::{
        extract::body,
        openapi::docs,
        pages::{
            Pages,
            branding::Branding,
            error::PageError,
            form::{self, BrowserContext},
            layout,
        },
    },
    services::authorization::authorize::{Answer, AuthorizeError, AuthorizeOutcome},
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

/// `GET`
#[handler]
pub(in crate::http) async fn ask(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let query = body::parameters(request.uri().query().unwrap_or_default().as_bytes())?;
    run(pages, request, query).await
}

/// The longest query that a form is turned into, in bytes: what proxies take in a request's first line.
const LONGEST_QUERY: usize = 7 * 1024;

/// `POST` (OIDC Core §3.1.2.1): a client's own form.
#[handler]
pub(in crate::http) async fn ask_by_form(request: &Request, body: Body) -> Result<Response, PageError> {
    ask_again("/oauth/authorize", request, body).await
}

/// A client's form comes from another site, so that the browser keeps its cookies back (`SameSite=Lax`); asked again
/// with GET at `path`, it brings them.
pub(in crate::http) async fn ask_again(path: &str, request: &Request, body: Body) -> Result<Response, PageError> {
    let form = body::form(request, &mut RequestBody::new(body)).await?;
    let pairs = form.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.len() > LONGEST_QUERY {
        return Err(PageError::Incomplete);
    }
    Ok(see_other(&format!("{path}?{query}")))
}

async fn run(pages: &Pages, request: &Request, given: Map<String, Value>) -> Result<Response, PageError> {
    let context = form::context(pages, request);
    let session = pages.session(request).await?;
    // Whoever was asked already is not sent away once more.
    let given_resume = given.contains_key("resume");
    let outcome = if let Some(sealed) = given.get("resume").and_then(Value::as_str) {
        pages.authorize.resume(sealed, &context.browser, session.as_ref()).await?
    } else {
        // Every parameter is an optional string, so this fails for none of them.
        let parameters: Parameters = serde_json::from_value(given.into()).map_err(|_| PageError::Incomplete)?;
        pages.authorize.run(parameters, &context.browser, session.as_ref()).await?
    };
    if let AuthorizeOutcome::LogIn(sealed) = &outcome
        && !given_resume
        && let Some(provider) = hinted(pages, &context, sealed).await?
    {
        let response = see_other(&format!("/federation/{provider}?request={sealed}"));
        return Ok(form::set_browser_cookie(pages, &context, response));
    }
    Ok(send_on(pages, &context, outcome))
}

/// The provider that a request names, if it can be logged in with here.
async fn hinted(pages: &Pages, context: &BrowserContext, sealed: &str) -> Result<Option<String>, PageError> {
    let hint = pages.authorize.asking(sealed, &context.browser).await?.idp_hint;
    Ok(hint.filter(|hint| pages.providers.iter().any(|button| button.name == *hint)))
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

/// 303, so that a form with a password is never posted on (RFC 9700 §4.12).
pub(in crate::http) fn see_other(location: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location).finish()
}

/// The redirect URI as it was registered, byte for byte, and the parameters after it.
fn with_query(answer: &Answer) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&answer.parameters).finish();
    let joint = if answer.redirect_uri.contains('?') { '&' } else { '?' };
    format!("{}{joint}{query}", answer.redirect_uri)
}

/// Adds the endpoint to the documentation: its parameters are those that can be pushed, without proof of who pushes.
pub(in crate::http) fn describe(document: &mut Value) {
    const SCHEMA: &str = "AuthorizationRequest";
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let Some(mut request) = schemas.get("PushedAuthorizationRequest").cloned() else { return };
    let Some(properties) = request.get_mut("properties").and_then(Value::as_object_mut) else { return };
    properties.remove("client_secret");
    let parameters: Vec<Value> = properties
        .iter()
        .map(|(name, property)| {
            let (description, example) = (&property["description"], &property["example"]);
            json!({"name": name, "in": "query", "description": description, "example": example, "schema": {"type": "string"}})
        })
        .collect();
    schemas.insert(SCHEMA.to_owned(), request);
    let html = json!({"text/html; charset=utf-8": {"schema": {"type": "string"}}});
    let responses = json!({
        "303": {"description": "On to the log-in page, to the consent page, or to the client with a code or an error."},
        "200": {"description": "With `response_mode=form_post`: a form that goes to the client.", "content": html},
        "400": {"description": "The client or its redirect URI is not known: a page.", "content": html},
        "503": docs::trouble_page(),
    });
    let form = json!({"content": {"application/x-www-form-urlencoded": {
        "schema": {"$ref": format!("#/components/schemas/{SCHEMA}")}}}, "required": true});
    let described = |id: &str, summary: &str| {
        let description = "Leads the browser through log-in and consent, and back to the client.";
        json!({"tags": ["OAuth"], "operationId": id, "summary": summary, "description": description})
    };
    let mut get = described("authorize", "Authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2)");
    get["parameters"] = parameters.into();
    get["responses"] = responses.clone();
    let mut post = described("authorize_by_form", "Authorization endpoint, asked by a form");
    post["requestBody"] = form;
    post["responses"] = responses;
    document["paths"]["/oauth/authorize"] = json!({"get": get, "post": post});
}

impl From<AuthorizeError> for PageError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::UnknownClient => Self::UnknownClient,
            AuthorizeError::RedirectUri => Self::RedirectUri,
            AuthorizeError::Expired => Self::Expired,
            AuthorizeError::Unavailable(trouble) => Self::Unavailable(trouble),
        }
    }
}
