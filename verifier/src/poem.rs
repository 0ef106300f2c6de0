//! Bearer tokens in poem (RFC 6750): a middleware that verifies them, and an extractor for what they say.
//!
//! ```no_run
//! use poem::{EndpointExt, Route, get, handler};
//! use verifier::{Verifier, poem::{BearerAuth, VerifiedToken}};
//!
//! #[handler]
//! async fn orders(token: &VerifiedToken) -> String {
//!     format!("orders of {}", token.sub)
//! }
//!
//! # fn routes() -> Result<impl poem::Endpoint, verifier::BuildError> {
//! let verifier = Verifier::builder("https://id.example.com").audience("https://api.example.com").build()?;
//! let routes = Route::new().at("/orders", get(orders).with(BearerAuth::new(verifier).require_scope("orders:read")));
//! # Ok(routes)
//! # }
//! ```

use std::{ops::Deref, sync::Arc};

use ::poem::{
    Endpoint, FromRequest, IntoResponse, Middleware, Request, RequestBody, Response,
    error::ResponseError,
    http::{HeaderMap, StatusCode, header},
};
use serde_json::json;

use crate::{Claims, Verifier, VerifyError};

/// Lets requests pass that carry a good access token, with these scopes; see the [module](self).
#[derive(Debug, Clone)]
#[must_use]
pub struct BearerAuth {
    verifier: Verifier,
    scopes: Vec<String>,
}

impl BearerAuth {
    /// Asks for a token that `verifier` accepts.
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, scopes: Vec::new() }
    }

    /// Asks for `scope` too. Each call adds one, and all are needed.
    pub fn require_scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    async fn admit(&self, request: &Request) -> Result<VerifiedToken, Refusal> {
        let token = bearer_token(request.headers())?;
        let claims = self.verifier.verify(token).await.map_err(Refusal::Token)?;
        if self.scopes.iter().all(|scope| claims.has_scope(scope)) {
            Ok(VerifiedToken(Arc::new(claims)))
        } else {
            Err(Refusal::InsufficientScope(self.scopes.join(" ")))
        }
    }
}

impl<E: Endpoint> Middleware<E> for BearerAuth {
    type Output = BearerAuthEndpoint<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        BearerAuthEndpoint { auth: self.clone(), endpoint }
    }
}

/// An endpoint behind [`BearerAuth`].
#[derive(Debug)]
pub struct BearerAuthEndpoint<E> {
    auth: BearerAuth,
    endpoint: E,
}

impl<E: Endpoint> Endpoint for BearerAuthEndpoint<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> ::poem::Result<Self::Output> {
        let token = self.auth.admit(&request).await?;
        request.extensions_mut().insert(token);
        self.endpoint.call(request).await
    }
}

/// The claims of the request's token, which [`BearerAuth`] has verified.
#[derive(Debug, Clone)]
pub struct VerifiedToken(Arc<Claims>);

impl VerifiedToken {
    /// Asks for `scope` in a handler, where it depends on more than the route.
    ///
    /// # Errors
    /// [`Refusal::InsufficientScope`], which `?` makes the answer.
    pub fn require_scope(&self, scope: &str) -> Result<(), Refusal> {
        if self.has_scope(scope) { Ok(()) } else { Err(Refusal::InsufficientScope(scope.to_owned())) }
    }
}

impl Deref for VerifiedToken {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.0
    }
}

impl<'a> FromRequest<'a> for &'a VerifiedToken {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> ::poem::Result<Self> {
        let unguarded = || {
            let message = "a handler asks for the token of a route that BearerAuth does not guard";
            ::poem::Error::from_string(message, StatusCode::INTERNAL_SERVER_ERROR)
        };
        request.extensions().get().ok_or_else(unguarded)
    }
}

impl<'a> FromRequest<'a> for VerifiedToken {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> ::poem::Result<Self> {
        <&Self>::from_request(request, body).await.cloned()
    }
}

/// Why a request does not pass. It is the source of the [`poem::Error`], so that a service can log what
/// the client is not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The `Authorization` field is not one bearer token: 400 `invalid_request`.
    #[error("the Authorization field is malformed")]
    InvalidRequest,
    /// There is no token, or none that is good: 401; or it cannot be checked: 503.
    #[error(transparent)]
    Token(VerifyError),
    /// The token does not allow it; these scopes would: 403 `insufficient_scope`.
    #[error("the token lacks scope {0}")]
    InsufficientScope(String),
}

impl Refusal {
    /// The `WWW-Authenticate` field (RFC 6750 §3). A request without a token is told no error.
    fn challenge(&self) -> Option<String> {
        match self {
            Self::InvalidRequest => Some(r#"Bearer error="invalid_request""#.to_owned()),
            Self::Token(VerifyError::Missing) => Some("Bearer".to_owned()),
            Self::Token(VerifyError::Malformed(_) | VerifyError::Untrusted(_) | VerifyError::Revoked(_)) => {
                Some(r#"Bearer error="invalid_token""#.to_owned())
            }
            Self::Token(VerifyError::Unavailable { .. }) => None,
            // RFC 6749 §3.3 has no quote and no control in a scope; a service that asks for one gets no broken field.
            Self::InsufficientScope(scope)
                if scope.bytes().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')) =>
            {
                Some(format!(r#"Bearer error="insufficient_scope", scope="{scope}""#))
            }
            Self::InsufficientScope(_) => Some(r#"Bearer error="insufficient_scope""#.to_owned()),
        }
    }

    /// The problem's code, and a sentence for people. Which check failed is not told: a forger would learn from it.
    fn told(&self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid_request", "Send one Authorization field: Bearer and the token."),
            Self::Token(VerifyError::Missing) => ("missing_token", "An access token is needed."),
            Self::Token(VerifyError::Malformed(_) | VerifyError::Untrusted(_) | VerifyError::Revoked(_)) => {
                ("invalid_token", "The access token is malformed, expired, revoked, or not for this service.")
            }
            Self::Token(VerifyError::Unavailable { .. }) => {
                ("unavailable", "The access token cannot be checked at the moment; try again.")
            }
            Self::InsufficientScope(_) => ("insufficient_scope", "The access token does not allow this."),
        }
    }
}

impl ResponseError for Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Token(VerifyError::Unavailable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
        }
    }

    fn as_response(&self) -> Response {
        let status = self.status();
        let (code, detail) = self.told();
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
        });
        let mut response = Response::builder().status(status).content_type("application/problem+json");
        if let Some(challenge) = self.challenge() {
            response = response.header(header::WWW_AUTHENTICATE, challenge);
        }
        if let Self::Token(error) = self
            && let Some(after) = error.retry_after()
        {
            response = response.header(header::RETRY_AFTER, after.as_secs());
        }
        response.body(problem.to_string()).into_response()
    }
}

/// The token of the `Authorization` field (RFC 6750 §2.1); never one of a query or a form. A field of another scheme is
/// no token.
fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let field = fields.next().ok_or(Refusal::Token(VerifyError::Missing))?;
    let field = field.to_str().map_err(|_| Refusal::InvalidRequest)?;
    let (scheme, token) = field.split_once(' ').unwrap_or((field, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Token(VerifyError::Missing));
    }
    let token = token.trim_matches(' ');
    if token.is_empty() || token.contains(' ') || fields.next().is_some() {
        return Err(Refusal::InvalidRequest);
    }
    Ok(token)
}
