//! Errors of the OAuth endpoints (RFC 6749 §5.2).

use poem::{IntoResponse, Response, http::StatusCode};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, ToJSON, Type},
};

use crate::{
    domain::{authorization_request::AuthorizationErrorCode, oauth::OAuthErrorCode},
    http::openapi::answers::{describe, headers},
};

/// Why no token was issued (RFC 6749 §5.2).
#[derive(Debug, Clone, Object)]
#[oai(rename = "OAuthError", example)]
pub(in crate::http) struct OAuthErrorBody {
    /// The error's code.
    error: String,
    /// A sentence for developers.
    error_description: String,
}

impl Example for OAuthErrorBody {
    fn example() -> Self {
        Self {
            error: OAuthErrorCode::InvalidGrant.as_str().to_owned(),
            error_description: "the credentials are not good".to_owned(),
        }
    }
}

/// An error of an OAuth endpoint.
#[derive(Debug)]
pub(in crate::http) struct OAuthError {
    code: &'static str,
    description: String,
    status: StatusCode,
    header: Option<(&'static str, String)>,
}

impl OAuthError {
    /// An error with status 400, as nearly all have.
    pub(in crate::http) fn new(code: OAuthErrorCode, description: impl Into<String>) -> Self {
        Self { code: code.as_str(), description: description.into(), status: StatusCode::BAD_REQUEST, header: None }
    }

    /// An error of a pushed authorization request (RFC 9126 §2.3).
    pub(in crate::http) fn of_request(code: AuthorizationErrorCode, description: impl Into<String>) -> Self {
        Self { code: code.as_str(), description: description.into(), status: StatusCode::BAD_REQUEST, header: None }
    }

    /// Client authentication failed: 401 with the scheme that it may use (RFC 6749 §5.2).
    pub(in crate::http) fn invalid_client() -> Self {
        Self::new(
            OAuthErrorCode::InvalidClient,
            "the client is unknown, or did not authenticate as it is registered to",
        )
        .with_status(StatusCode::UNAUTHORIZED)
        .with_header("WWW-Authenticate", r#"Basic realm="signet", charset="UTF-8""#)
    }

    /// The bearer token of an OAuth endpoint is invalid (RFC 6750 §3.1).
    pub(in crate::http) fn invalid_token() -> Self {
        Self::new(OAuthErrorCode::InvalidToken, "the token is not good for this")
            .with_status(StatusCode::UNAUTHORIZED)
            .with_header("WWW-Authenticate", r#"Bearer error="invalid_token""#)
    }

    /// The same with another description.
    pub(in crate::http) fn saying(self, description: String) -> Self {
        Self { description, ..self }
    }

    /// The same with another status.
    pub(in crate::http) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with a header field.
    pub(in crate::http) fn with_header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = OAuthErrorBody { error: self.code.to_owned(), error_description: self.description };
        let response = Response::builder()
            .status(self.status)
            .content_type("application/json")
            .header("Pragma", "no-cache")
            .body(body.to_json_string());
        match self.header {
            Some((name, value)) => response.with_header(name, value).into_response(),
            None => response,
        }
    }
}

impl From<OAuthError> for poem::Error {
    fn from(error: OAuthError) -> Self {
        let code = error.code;
        let mut answer = Self::from_response(error.into_response());
        answer.set_error_message(code);
        answer
    }
}

impl ApiResponse for OAuthError {
    fn meta() -> MetaResponses {
        let responses = [400, 401, 408, 413, 415, 503]
            .into_iter()
            .map(|status| MetaResponse {
                description: describe(status),
                status: Some(status),
                status_range: None,
                content: vec![MetaMediaType { content_type: "application/json", schema: OAuthErrorBody::schema_ref() }],
                headers: headers(status),
            })
            .collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        OAuthErrorBody::register(registry);
    }
}
