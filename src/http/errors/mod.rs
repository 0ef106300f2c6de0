//! Maps the services' errors to problems (RFC 9457) and to OAuth errors (RFC 6749 §5.2).
//!
//! The maps have no catch-all arms: a new variant does not compile until it has a status. `legacy` and `pages` map the
//! errors of their own shapes.

pub(in crate::http) mod failure;
pub(in crate::http) mod oauth;
pub(in crate::http) mod problem;
pub(in crate::http) mod shape;

use poem::{error::ResponseError, http::StatusCode};

use self::{
    failure::{BearerRefusal, TOO_MANY, TooManyRequests, retry_after},
    oauth::OAuthError,
    problem::{IntoProblem, Problem},
};
use crate::{
    domain::oauth::OAuthErrorCode,
    http::extract::body::BodyError,
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

const TRY_LATER: &str = "The service cannot do this at the moment; try again later.";

impl IntoProblem for Unavailable {
    fn into_problem(self) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", TRY_LATER)
            .with_header("Retry-After", retry_after(&self).to_string())
    }
}

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
    Problem::new(StatusCode::FORBIDDEN, "invalid_credentials", "The password is wrong.")
}

impl IntoProblem for RegisterError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Closed => Problem::new(
                StatusCode::FORBIDDEN,
                "registration_closed",
                "Only the operator can create accounts here.",
            ),
            Self::Invalid(errors) => errors.into_problem(),
            Self::UsernameTaken => username_taken(),
            Self::Unavailable(unavailable) => unavailable.into_problem(),
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
            Self::Unavailable(unavailable) => unavailable.into_problem(),
        }
    }
}

impl IntoProblem for ChangePasswordError {
    fn into_problem(self) -> Problem {
        match self {
            Self::WrongPassword => wrong_password(),
            Self::Malformed { field: which, why } => field(which, why),
            Self::TooMany { retry_after } => TooManyRequests::after(retry_after).into_problem(),
            Self::Unavailable(unavailable) => unavailable.into_problem(),
        }
    }
}

fn invalid_token() -> Problem {
    // One answer for an unknown, used, expired or replaced token: it reveals nothing about the token.
    Problem::new(StatusCode::BAD_REQUEST, "invalid_token", "The link is invalid or has expired: ask for another email.")
}

impl IntoProblem for RequestResetError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Invalid(errors) => errors.into_problem(),
            Self::Unavailable(unavailable) => unavailable.into_problem(),
        }
    }
}

impl IntoProblem for ResetPasswordError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Password(why) => field("new_password", why),
            Self::InvalidToken => invalid_token(),
            Self::Unavailable(unavailable) => unavailable.into_problem(),
        }
    }
}

impl IntoProblem for VerifyEmailError {
    fn into_problem(self) -> Problem {
        match self {
            Self::InvalidToken => invalid_token(),
            Self::Unavailable(unavailable) => unavailable.into_problem(),
        }
    }
}

impl IntoProblem for AuthenticateError {
    fn into_problem(self) -> Problem {
        match self {
            Self::Malformed { field: which, why } => field(which, why),
            Self::Invalid => invalid_credentials(),
            Self::TooMany { retry_after } => TooManyRequests::after(retry_after).into_problem(),
            Self::Unavailable(unavailable) => unavailable.into_problem(),
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
            Self::Unavailable(unavailable) => unavailable.into_problem(),
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
            Self::Twice => {
                "The access token came in two ways: send it in the Authorization field alone, not in the query or the body too."
            }
            Self::Token(BearerError::Token(_) | BearerError::Ended) => {
                "The access token is invalid or has expired: refresh it, or log in again."
            }
            Self::Token(BearerError::Insufficient) => {
                "This route needs an access token issued to a first-party client, with this issuer in `aud`."
            }
            Self::Token(BearerError::Unavailable(unavailable)) => return unavailable.into_problem(),
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
            Self::Unread | Self::TooSlow | Self::Form | Self::Repeated | Self::Query | Self::Host => "invalid_request",
        };
        let problem = Problem::new(self.status(), code, sentence(&self));
        match self {
            // RFC 9110 §15.5.16.
            Self::Encoded => problem.with_header("Accept-Encoding", "identity"),
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
            GrantError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<ClientError> for OAuthError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Invalid => Self::invalid_client(),
            ClientError::Document(_) => Self::invalid_client().saying(error.to_string()),
            ClientError::TooMany { retry_after } => TooManyRequests::after(retry_after).into(),
            ClientError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<RegisterClientError> for OAuthError {
    fn from(error: RegisterClientError) -> Self {
        match error {
            RegisterClientError::Off => {
                Self::new(OAuthErrorCode::InvalidRequest, error.to_string()).with_status(StatusCode::NOT_FOUND)
            }
            // RFC 6750 §3.1: a request without a token gets no error code.
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
            // Ids are random: a collision is not the client's fault.
            RegisterClientError::Registration(RegistrationError::Taken(_)) => {
                Self::new(OAuthErrorCode::TemporarilyUnavailable, "try again")
                    .with_status(StatusCode::SERVICE_UNAVAILABLE)
                    .with_header("Retry-After", "1")
            }
            RegisterClientError::Registration(RegistrationError::Unavailable(unavailable)) => unavailable.into(),
        }
    }
}

impl From<Unavailable> for OAuthError {
    fn from(unavailable: Unavailable) -> Self {
        Self::new(OAuthErrorCode::TemporarilyUnavailable, "try again later")
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_header("Retry-After", retry_after(&unavailable).to_string())
    }
}

/// RFC 6749 has no code for it. `temporarily_unavailable` tells a client to repeat the same request; any code of §5.2
/// would say that its grant or its secret is invalid.
impl From<TooManyRequests> for OAuthError {
    fn from(too_many: TooManyRequests) -> Self {
        Self::new(OAuthErrorCode::TemporarilyUnavailable, "too many requests; try again later")
            .with_status(too_many.status())
            .with_header("Retry-After", too_many.retry_after.to_string())
    }
}

impl From<BodyError> for OAuthError {
    fn from(error: BodyError) -> Self {
        let refusal = Self::new(OAuthErrorCode::InvalidRequest, error.to_string()).with_status(error.status());
        if error == BodyError::Encoded { refusal.with_header("Accept-Encoding", "identity") } else { refusal }
    }
}
