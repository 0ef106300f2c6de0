//! The pushed authorization request endpoint (RFC 9126 §2).

use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json, types::Example};
use serde::Deserialize;

use crate::{
    domain::authorization_request::Parameters,
    http::{
        errors::oauth::OAuthError,
        extract::client_auth::{ClientForm, FormRequest},
    },
    services::{
        authorization::{
            authorize::Authorize,
            push::{PushError, Pushed},
        },
        clients::Clients,
    },
};

/// The endpoint.
pub(in crate::http) struct ParApi {
    pub(in crate::http) clients: Clients,
    pub(in crate::http) authorize: Authorize,
}

/// An authorization request, as it would be in the browser's URL (RFC 6749 §4.1.1, OIDC Core §3.1.2.1).
#[derive(Deserialize, Object)]
#[oai(rename = "PushedAuthorizationRequest", example)]
struct PushedRequest {
    /// Where the answer goes: one of the client's, byte for byte. May be left out without scope `openid` where the client
    /// has one alone.
    redirect_uri: Option<String>,
    /// `code`.
    response_type: Option<String>,
    /// `query` or `form_post`.
    response_mode: Option<String>,
    /// The answer returns it.
    state: Option<String>,
    /// The requested scope; by default all that the client is registered for.
    scope: Option<String>,
    /// For which resource (RFC 8707).
    resource: Option<String>,
    /// The ID token returns it.
    nonce: Option<String>,
    /// BASE64URL(SHA-256(code verifier)) (RFC 7636).
    code_challenge: Option<String>,
    /// `S256`.
    code_challenge_method: Option<String>,
    /// `none`, or of `login`, `consent` and `select_account` one or more.
    prompt: Option<String>,
    /// How old the login may be, in seconds.
    max_age: Option<String>,
    /// The username or email address that is probably logging in.
    login_hint: Option<String>,
    /// An ID token of the user that should be logged in.
    id_token_hint: Option<String>,
    /// A provider to log in with.
    idp_hint: Option<String>,
    /// Not taken.
    request: Option<String>,
    /// Not taken here.
    request_uri: Option<String>,
}

impl FormRequest for PushedRequest {
    const NAMES: &'static [&'static str] = &Parameters::NAMES;
}

impl Example for PushedRequest {
    fn example() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            redirect_uri: text("https://app.example.com/callback"),
            response_type: text("code"),
            response_mode: text("query"),
            state: text("af0ifjsldkj"),
            scope: text("openid profile"),
            resource: text("https://orders.example.com"),
            nonce: text("n-0S6_WzA2Mj"),
            code_challenge: text("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            code_challenge_method: text("S256"),
            prompt: text("login"),
            max_age: text("3600"),
            login_hint: text("ada"),
            id_token_hint: text("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOi..."),
            idp_hint: text("google"),
            request: text("(not taken)"),
            request_uri: text("(not taken here)"),
        }
    }
}

impl From<PushedRequest> for Parameters {
    fn from(request: PushedRequest) -> Self {
        Self {
            client_id: None,
            redirect_uri: request.redirect_uri,
            response_type: request.response_type,
            response_mode: request.response_mode,
            state: request.state,
            scope: request.scope,
            resource: request.resource,
            nonce: request.nonce,
            code_challenge: request.code_challenge,
            code_challenge_method: request.code_challenge_method,
            prompt: request.prompt,
            max_age: request.max_age,
            login_hint: request.login_hint,
            id_token_hint: request.id_token_hint,
            malformed: false,
            idp_hint: request.idp_hint,
            request: request.request,
            request_uri: request.request_uri,
        }
    }
}

/// A reference to a pushed request.
#[derive(Debug, Object)]
#[oai(rename = "PushedAuthorization", example)]
struct Reference {
    /// The browser brings it to the authorization endpoint, beside `client_id`.
    request_uri: String,
    /// How many seconds it is valid.
    expires_in: i64,
}

impl Example for Reference {
    fn example() -> Self {
        Self { request_uri: "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c".to_owned(), expires_in: 60 }
    }
}

/// The request was taken.
#[derive(ApiResponse)]
enum Taken {
    /// Send the browser to the authorization endpoint with it.
    #[oai(status = 201)]
    Created(Json<Reference>),
}

impl From<PushError> for OAuthError {
    fn from(error: PushError) -> Self {
        Self::of_request(error.code(), error.to_string())
    }
}

/// Pushed authorization requests.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl ParApi {
    /// Pushed authorization request endpoint (RFC 9126)
    ///
    /// Takes the parameters of the authorization endpoint from the client itself.
    #[oai(path = "/oauth/par", method = "post", operation_id = "push_authorization_request")]
    async fn push(&self, form: ClientForm<PushedRequest>) -> Result<Taken, OAuthError> {
        let (client, form) = form.authenticated(&self.clients, |_| Ok(None)).await?;
        let Pushed { request_uri, expires_in } = self.authorize.push(&client, form.into())?;
        Ok(Taken::Created(Json(Reference { request_uri, expires_in })))
    }
}
