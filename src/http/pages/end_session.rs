//! The end session endpoint (OIDC RP-Initiated Logout 1.0 §2): a client has a browser logged out, and gets it back.

use std::sync::Arc;

use poem::{Body, Request, Response, handler, web::Data};
use serde_json::{Value, json};

use crate::{
    http::{
        extract::body,
        openapi::docs,
        pages::{
            Pages,
            authorize::{ask_again, see_other},
            error::PageError,
            form,
            logout::{forgotten, logged_out},
        },
    },
    services::sessions::logout::LogoutOutcome,
};

/// `GET`
#[handler]
pub(in crate::http) async fn ask(Data(pages): Data<&Arc<Pages>>, request: &Request) -> Result<Response, PageError> {
    let query = body::parameters(request.uri().query().unwrap_or_default().as_bytes())?;
    // Every parameter is an optional string, so this fails for none of them.
    let asked = serde_json::from_value(query.into()).map_err(|_| PageError::Incomplete)?;
    let context = form::context(pages, request);
    let session = pages.session(request).await?;
    let response = match pages.log_out.run(&asked, &context.browser, session.as_ref()).await? {
        LogoutOutcome::LoggedOut { then } => {
            let response = then.map_or_else(|| logged_out(pages), |then| see_other(&then));
            // Where there was no log-in to end, whoever sent the browser here may not have a cookie cleared either.
            if session.is_some() { forgotten(pages, response) } else { response }
        }
        LogoutOutcome::Ask(sealed) if sealed.is_empty() => see_other("/logout"),
        LogoutOutcome::Ask(sealed) => see_other(&format!("/logout?request={sealed}")),
    };
    Ok(form::set_browser_cookie(pages, &context, response))
}

/// `POST`: a client's own form, which comes from another site, so that the browser keeps its cookies back.
#[handler]
pub(in crate::http) async fn ask_by_form(request: &Request, body: Body) -> Result<Response, PageError> {
    ask_again("/oauth/logout", request, body).await
}

/// The parameters (§2), each with what it does and an example.
const PARAMETERS: [(&str, &str, &str); 4] = [
    ("id_token_hint", "An ID token of the log-in, however old.", "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOi..."),
    ("client_id", "The client, where no hint names it.", "app"),
    ("post_logout_redirect_uri", "Where to go afterwards: one of the client's.", "https://app.example.com/goodbye"),
    ("state", "What goes back with it.", "af0ifjsldkj"),
];

/// Adds the endpoint to the documentation.
pub(in crate::http) fn describe(document: &mut Value) {
    let query = PARAMETERS.map(|(name, description, example)| {
        json!({"name": name, "in": "query", "description": description, "example": example,
            "schema": {"type": "string"}})
    });
    let properties: serde_json::Map<String, Value> = PARAMETERS
        .into_iter()
        .map(|(name, description, example)| {
            (name.to_owned(), json!({"type": "string", "description": description, "example": example}))
        })
        .collect();
    let html = json!({"text/html; charset=utf-8": {"schema": {"type": "string"}}});
    let responses = json!({
        "200": {"description": "Nobody is logged in any more: a page.", "content": html},
        "303": {"description": "On to the page that asks, or back to the client."},
        "503": docs::trouble_page(),
    });
    let summary = "End session endpoint (OIDC RP-Initiated Logout 1.0)";
    let description = "Logs the browser out where the hint is of its own log-in; asks the person otherwise.";
    let described = |id: &str| json!({"tags": ["OAuth"], "operationId": id, "summary": summary, "description": description, "responses": responses});
    let mut get = described("rp_initiated_logout");
    get["parameters"] = query.to_vec().into();
    let mut post = described("rp_initiated_logout_by_form");
    post["requestBody"] = json!({"required": true, "content": {"application/x-www-form-urlencoded": {
        "schema": {"type": "object", "properties": properties}}}});
    document["paths"]["/oauth/logout"] = json!({"get": get, "post": post});
}
