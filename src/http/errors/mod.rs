//! The only map from errors to statuses. Three shapes: RFC 6749 JSON on OAuth routes, the original service's on its
//! routes, and problem+json elsewhere. No catch-all arms: a new error does not compile until it has its place.

pub(in crate::http) mod oauth;
pub(in crate::http) mod problem;

use std::time::Duration;

use poem::{
    IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ParsePathError, ResponseError},
    http::StatusCode,
};

use self::{
    oauth::OAuthError,
    problem::{IntoProblem, Problem},
};
use crate::{
    domain::oauth::OAuthErrorCode,
    http::legacy::{self, Refused},
    services::{
        Unavailable,
        accounts::{
            account::AccountError,
            authenticate::AuthenticateError,
            change_password::ChangePasswordError,
            register::{FieldError, RegisterError},
            request_reset::RequestResetError,
            reset_password::ResetPasswordError,
            verify_email::VerifyEmailError,
        },
        clients::{ClientError, RegistrationError, register::RegisterClientError},
        grants::GrantError,
        sessions::bearer::BearerError,
    },
};

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum BodyError {
    /// Another type than JSON.
    #[error("send the body as application/json")]
    NotJson,
    /// Another type than a form.
    #[error("send the body as application/x-www-form-urlencoded")]
    NotAForm,
    /// Compressed.
    #[error("send the body without a content encoding")]
    Encoded,
    /// Over 64 kB.
    #[error("the body is over 64 kB")]
    TooLarge,
    /// It broke off.
    #[error("the body broke off")]
    Unread,
    /// It did not come to its end in time.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The query cannot be read.
    #[error("the query is malformed, or repeats a parameter")]
    Query,
    /// No JSON object of UTF-8, or not to its end; the member where it stopped, if it got that far.
    #[error("the body is not a well-formed JSON object")]
    Json {
        /// The member.
        field: Option<String>,
    },
    /// No form of UTF-8.
    #[error("the body is not a well-formed form")]
    Form,
    /// A parameter twice.
    #[error("a parameter is repeated")]
    Repeated,
}

impl ResponseError for BodyError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotJson | Self::NotAForm | Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unread | Self::Json { .. } | Self::Form | Self::Repeated | Self::Query => StatusCode::BAD_REQUEST,
        }
    }
}

/// An answer that took too long to find.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer took too long")]
pub(in crate::http) struct Overdue;

impl ResponseError for Overdue {
    fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// More requests than are allowed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many requests")]
pub(in crate::http) struct TooManyRequests {
    /// When one is worth another try, in whole seconds.
    pub(in crate::http) retry_after: u64,
}

impl TooManyRequests {
    /// One is worth another try after `wait`: in whole seconds, rounded up and not zero (RFC 9110 §10.2.3).
    pub(in crate::http) fn after(wait: Duration) -> Self {
        Self { retry_after: wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1) }
    }
}

impl ResponseError for TooManyRequests {
    fn status(&self) -> StatusCode {
        StatusCode::TOO_MANY_REQUESTS
    }
}

/// Why a bearer token did not open a route, before it is known in which shape to say so.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum BearerRefusal {
    /// None was sent.
    #[error("no access token was sent")]
    Missing,
    /// The `Authorization` field is not of the form `Bearer TOKEN`.
    #[error("the Authorization field is malformed")]
    Malformed,
    /// It was sent and is not good enough.
    #[error(transparent)]
    Token(#[from] BearerError),
}

impl ResponseError for BearerRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Token(BearerError::Token(_) | BearerError::Ended) => StatusCode::UNAUTHORIZED,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Token(BearerError::Insufficient) => StatusCode::FORBIDDEN,
            Self::Token(BearerError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl BearerRefusal {
    /// The challenge (RFC 6750 §3) and the code: a request without a token is told of none (§3.1).
    fn challenge(&self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("Bearer", "token_missing"),
            Self::Malformed => (r#"Bearer error="invalid_request""#, "invalid_request"),
            Self::Token(BearerError::Token(_) | BearerError::Ended) => {
                (r#"Bearer error="invalid_token""#, "invalid_token")
            }
            Self::Token(BearerError::Insufficient | BearerError::Unavailable(_)) => {
                (r#"Bearer error="insufficient_scope""#, "insufficient_scope")
            }
        }
    }
}

/// When trouble is worth another try, in whole seconds; its cause goes to the log, once.
pub(in crate::http) fn retry_after(trouble: &Unavailable) -> u64 {
    match trouble {
        Unavailable::Busy { retry_after } => {
            tracing::warn!("the password queue is full");
            (*retry_after).max(Duration::from_secs(1)).as_secs()
        }
        Unavailable::Store(_)
        | Unavailable::Hash(_)
        | Unavailable::Sign(_)
        | Unavailable::Stale
        | Unavailable::TooSlow => {
            tracing::error!(cause = %trouble, "a request failed");
            2
        }
    }
}

const TRY_LATER: &str = "The service cannot do this at the moment; try again later.";

impl IntoProblem for Unavailable {
    fn into_problem(self) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", TRY_LATER)
            .with_header("Retry-After", retry_after(&self).to_string())
    }
}

/// What a 429 says to people, wherever it is said.
pub(in crate::http) const TOO_MANY: &str =
    "There were too many requests; try again after the seconds that Retry-After says.";

impl IntoProblem for TooManyRequests {
    fn into_problem(self) -> Problem {
        Problem::new(self.status(), "too_many_requests", TOO_MANY)
            .with_header("Retry-After", self.retry_after.to_string())
    }
}

impl IntoProblem for Vec<FieldError> {
    fn into_problem(self) -> Problem {
        Problem::invalid(self)
    }
}

fn field(field: &'static str, message: String) -> Problem {
    Problem::invalid(vec![FieldError { field, message }])
}

fn username_taken() -> Problem {
    Problem::new(StatusCode::CONFLICT, "username_taken", "Another account has that username.")
}

fn invalid_credentials() -> Problem {
    // RFC 9110 §15.5.2 wants a challenge; this one makes no browser ask for a password.
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", "The username or the password is wrong.")
        .with_header("WWW-Authenticate", "Bearer")
}

fn wrong_password() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "invalid_credentials", "The password is not this account's.")
}

impl IntoProblem for RegisterError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Closed => {
                Problem::new(StatusCode::FORBIDDEN, "registration_closed", "Accounts are made by the operator here.")
            }
            Self::Invalid(errors) => errors.into_problem(),
            Self::UsernameTaken => username_taken(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

impl IntoProblem for AccountError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Gone => BearerRefusal::from(BearerError::Ended).into_problem(),
            Self::Invalid(errors) => errors.into_problem(),
            Self::UsernameTaken => username_taken(),
            Self::WrongPassword => wrong_password(),
            Self::LogInTooOld => {
                Problem::new(StatusCode::FORBIDDEN, "log_in_too_old", "Log in again, and repeat this within 5 minutes.")
            }
            Self::TooMany { retry_after } => TooManyRequests::after(retry_after).into_problem(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

impl IntoProblem for ChangePasswordError {
    fn into_problem(self) -> Problem {
        match self {
            Self::WrongPassword => wrong_password(),
            Self::Malformed { field: which, why } => field(which, why),
            Self::TooMany { retry_after } => TooManyRequests::after(retry_after).into_problem(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

fn invalid_token() -> Problem {
    // One answer for unknown, used, run out and replaced.
    Problem::new(StatusCode::BAD_REQUEST, "invalid_token", "The link is not good, or no longer: ask for another mail.")
}

impl IntoProblem for RequestResetError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Invalid(errors) => errors.into_problem(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

impl IntoProblem for ResetPasswordError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Password(why) => field("new_password", why),
            Self::InvalidToken => invalid_token(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

impl IntoProblem for VerifyEmailError {
    fn into_problem(self) -> Problem {
        match self {
            Self::InvalidToken => invalid_token(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

impl IntoProblem for AuthenticateError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Malformed { field: which, why } => field(which, why),
            Self::Invalid => invalid_credentials(),
            Self::TooMany { retry_after } => TooManyRequests::after(retry_after).into_problem(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

/// The JSON API logs in with the built-in client alone, so of the grant's errors only the first two can be the caller's.
impl IntoProblem for GrantError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Malformed { field: which, why } => field(which, why),
            Self::InvalidGrant | Self::UnauthorizedClient | Self::InvalidScope | Self::InvalidTarget => {
                invalid_credentials()
            }
            Self::TooMany { retry_after } => TooManyRequests::after(retry_after).into_problem(),
            Self::Unavailable(trouble) => trouble.into_problem(),
        }
    }
}

impl IntoProblem for BearerRefusal {
    fn into_problem(self) -> Problem {
        let (challenge, code) = self.challenge();
        let status = self.status();
        let detail = match self {
            Self::Missing => "Send an access token in the Authorization field, as: Bearer TOKEN.",
            Self::Malformed => "The Authorization field must read: Bearer TOKEN.",
            Self::Token(BearerError::Token(_) | BearerError::Ended) => {
                "The access token is not good, or no longer: refresh it, or log in again."
            }
            Self::Token(BearerError::Insufficient) => {
                "The access token does not reach this far: it takes a first-party client's, with this issuer in aud."
            }
            Self::Token(BearerError::Unavailable(trouble)) => return trouble.into_problem(),
        };
        Problem::new(status, code, detail).with_header("WWW-Authenticate", challenge)
    }
}

impl IntoProblem for BodyError {
    fn into_problem(self) -> Problem {
        let code = match self {
            Self::NotJson | Self::NotAForm | Self::Encoded => "unsupported_media_type",
            Self::TooLarge => "body_too_large",
            Self::Json { .. } => "invalid_json",
            Self::Unread | Self::TooSlow | Self::Form | Self::Repeated | Self::Query => "invalid_request",
        };
        let problem = Problem::new(self.status(), code, sentence(&self));
        match self {
            Self::Json { field: Some(which) } => problem.about(vec![FieldError {
                field: known_field(&which),
                message: "must be well-formed UTF-8 JSON, and be there once".to_owned(),
            }]),
            _ => problem,
        }
    }
}

/// The field's name if it is one of ours: an answer never echoes what was sent.
fn known_field(name: &str) -> &'static str {
    const FIELDS: [&str; 8] =
        ["username", "password", "email", "current_password", "new_password", "refresh_token", "session_id", "token"];
    FIELDS.into_iter().find(|known| *known == name).unwrap_or("body")
}

fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

impl From<GrantError> for OAuthError {
    fn from(error: GrantError) -> Self {
        match error {
            // The same words whatever was wrong with it: a thief must not learn how close the guess was.
            GrantError::InvalidGrant => Self::new(OAuthErrorCode::InvalidGrant, "the credentials are not good"),
            GrantError::Malformed { field, why } => Self::new(OAuthErrorCode::InvalidRequest, format!("{field} {why}")),
            GrantError::UnauthorizedClient => {
                Self::new(OAuthErrorCode::UnauthorizedClient, "the client may not use this grant")
            }
            GrantError::InvalidScope => {
                Self::new(OAuthErrorCode::InvalidScope, "the scope is malformed or wider than allowed")
            }
            GrantError::InvalidTarget => {
                Self::new(OAuthErrorCode::InvalidTarget, "the resource is not this client's to ask for")
            }
            GrantError::TooMany { retry_after } => TooManyRequests::after(retry_after).into(),
            GrantError::Unavailable(trouble) => trouble.into(),
        }
    }
}

impl From<ClientError> for OAuthError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Invalid => Self::invalid_client(),
            ClientError::Unavailable(trouble) => trouble.into(),
        }
    }
}

impl From<RegisterClientError> for OAuthError {
    fn from(error: RegisterClientError) -> Self {
        match error {
            RegisterClientError::Off => {
                Self::new(OAuthErrorCode::InvalidRequest, error.to_string()).with_status(StatusCode::NOT_FOUND)
            }
            // RFC 6750 §3.1: a request without a token is told of none.
            RegisterClientError::TokenMissing => Self::invalid_token().with_header("WWW-Authenticate", "Bearer"),
            RegisterClientError::Token => Self::invalid_token(),
            RegisterClientError::AnotherClient => Self::new(OAuthErrorCode::InvalidClientMetadata, error.to_string()),
            RegisterClientError::Registration(RegistrationError::Invalid(why)) => {
                let redirect = why.is_about_redirects();
                let code =
                    if redirect { OAuthErrorCode::InvalidRedirectUri } else { OAuthErrorCode::InvalidClientMetadata };
                Self::new(code, why.to_string())
            }
            RegisterClientError::Registration(RegistrationError::Keys(why)) => {
                Self::new(OAuthErrorCode::InvalidClientMetadata, format!("jwks {why}"))
            }
            // Ids are drawn: that one is taken is no fault of the client's.
            RegisterClientError::Registration(RegistrationError::Taken(_)) => {
                Self::new(OAuthErrorCode::TemporarilyUnavailable, "try again")
                    .with_status(StatusCode::SERVICE_UNAVAILABLE)
                    .with_header("Retry-After", "1")
            }
            RegisterClientError::Registration(RegistrationError::Unavailable(trouble)) => trouble.into(),
        }
    }
}

impl From<Unavailable> for OAuthError {
    fn from(trouble: Unavailable) -> Self {
        Self::new(OAuthErrorCode::TemporarilyUnavailable, "try again later")
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_header("Retry-After", retry_after(&trouble).to_string())
    }
}

/// RFC 6749 has no code for it. `temporarily_unavailable` is the one that says to come again with the same request; any
/// of §5.2 would tell a client that its grant or its secret is no good.
impl From<TooManyRequests> for OAuthError {
    fn from(too_many: TooManyRequests) -> Self {
        Self::new(OAuthErrorCode::TemporarilyUnavailable, "too many requests; try again later")
            .with_status(too_many.status())
            .with_header("Retry-After", too_many.retry_after.to_string())
    }
}

impl From<BodyError> for OAuthError {
    fn from(error: BodyError) -> Self {
        Self::new(OAuthErrorCode::InvalidRequest, error.to_string()).with_status(error.status())
    }
}

/// Shapes what no handler answered: bodies that could not be read, missing tokens, unknown routes and methods.
pub(in crate::http) fn shape(path: &str, allowed: &str, error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    let original = legacy::PATHS.contains(&path);
    if let Some(body) = error.downcast_ref::<BodyError>().cloned() {
        return match path {
            _ if path.starts_with("/oauth/") => OAuthError::from(body).into_response(),
            _ if original => Refused::from(body).into_response(),
            _ => body.into_problem().into_response(),
        };
    }
    if let Some(too_many) = error.downcast_ref::<TooManyRequests>().copied() {
        return match path {
            _ if path.starts_with("/oauth/") => OAuthError::from(too_many).into_response(),
            _ if original => Refused::from(too_many).into_response(),
            _ => too_many.into_problem().into_response(),
        };
    }
    if error.is::<Overdue>() {
        return match path {
            _ if path.starts_with("/oauth/") => OAuthError::from(Unavailable::TooSlow).into_response(),
            _ if original => Refused::from(Unavailable::TooSlow).into_response(),
            _ => Unavailable::TooSlow.into_problem().into_response(),
        };
    }
    if error.is::<BearerRefusal>() {
        return match error.downcast::<BearerRefusal>() {
            Ok(refusal) => refusal.into_problem().into_response(),
            Err(other) => other.into_response(),
        };
    }
    let (status, code, detail) = if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
        (StatusCode::NOT_FOUND, "not_found", "There is nothing here; /docs lists every route.")
    } else if error.is::<MethodNotAllowedError>() {
        (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This route does not take that method; see Allow.")
    } else if error.status().is_client_error() {
        (error.status(), "invalid_request", "The request cannot be read.")
    } else {
        tracing::error!(cause = %error, "a request failed");
        (StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something broke on our side; it has been logged.")
    };
    let response = match path {
        _ if path.starts_with("/oauth/") => {
            OAuthError::new(OAuthErrorCode::InvalidRequest, detail).with_status(status).into_response()
        }
        _ if original => Refused::new(status, detail).into_response(),
        _ => Problem::new(status, code, detail).into_response(),
    };
    if status == StatusCode::METHOD_NOT_ALLOWED {
        return response.with_header("Allow", allowed).into_response();
    }
    response
}
