//! Errors of the JSON API: `application/problem+json` (RFC 9457).

use std::marker::PhantomData;

use poem::{IntoResponse, Response, http::StatusCode};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};

use crate::{
    http::openapi::answers::{describe, headers},
    services::accounts::register::FieldError,
};

pub(in crate::http) const CONTENT_TYPE: &str = "application/problem+json";

/// The code of the problem (RFC 9457 §3).
#[derive(Debug, Clone, Object)]
#[oai(rename = "Problem", example)]
pub(in crate::http) struct ProblemBody {
    /// Always `about:blank`: the `code` tells problems apart.
    r#type: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// A stable code for programs.
    code: String,
    /// A sentence for people.
    detail: String,
    /// The invalid fields, if any.
    #[oai(skip_serializing_if_is_none)]
    errors: Option<Vec<WrongField>>,
}

/// An invalid field.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct WrongField {
    /// The name of the field.
    field: String,
    /// What to do about it.
    message: String,
}

impl poem_openapi::types::Example for WrongField {
    fn example() -> Self {
        Self { field: "username".to_owned(), message: "must not be empty".to_owned() }
    }
}

impl poem_openapi::types::Example for ProblemBody {
    fn example() -> Self {
        Problem::invalid(vec![FieldError { field: "username", message: "must not be empty".to_owned() }]).body()
    }
}

/// A problem.
#[derive(Debug, Clone)]
pub(in crate::http) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    header: Option<(&'static str, String)>,
}

impl Problem {
    /// A problem with a code for programs and a sentence for people.
    pub(in crate::http) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), header: None }
    }

    /// Fields that cannot be taken.
    pub(in crate::http) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = "Some fields cannot be taken as they are; see errors.";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields", detail) }
    }

    /// The same, saying which fields.
    pub(in crate::http) fn about(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// The same, with a header field.
    pub(in crate::http) fn with_header(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }

    fn body(&self) -> ProblemBody {
        let errors: Vec<_> = self
            .errors
            .iter()
            .map(|FieldError { field, message }| WrongField { field: (*field).to_owned(), message: message.clone() })
            .collect();
        ProblemBody {
            r#type: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail.clone(),
            errors: (!errors.is_empty()).then_some(errors),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let response =
            Response::builder().status(self.status).content_type(CONTENT_TYPE).body(self.body().to_json_string());
        match self.header {
            Some((name, value)) => response.with_header(name, value).into_response(),
            None => response,
        }
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let code = problem.code;
        let mut error = Self::from_response(problem.into_response());
        error.set_error_message(code);
        error
    }
}

/// The error statuses of a kind of route, for its documentation.
pub(in crate::http) trait Statuses: Send + Sync + 'static {
    /// The statuses.
    const STATUSES: &'static [u16];
}

/// Names kinds of routes and the statuses with which each may refuse.
macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident: $($status:literal),+;)+) => {
        $($(#[$doc])* #[derive(Debug)] pub(in crate::http) struct $name;
        impl Statuses for $name { const STATUSES: &'static [u16] = &[$($status),+]; })+
    };
}

statuses! {
    /// Reads something public.
    PublicRead: 400, 422, 503;
    /// Registers an account.
    AccountCreation: 400, 403, 408, 409, 413, 415, 422, 503;
    /// Exchanges credentials for tokens.
    CredentialExchange: 400, 401, 408, 413, 415, 422, 429, 503;
    /// Takes a body that proves who sends it, or needs no proof.
    PublicWrite: 400, 408, 413, 415, 422, 429, 503;
    /// Names something public that may not be there.
    PublicLookup: 400, 404, 503;
    /// Needs a token and nothing else.
    BearerOnly: 400, 401, 403, 503;
    /// Needs a token, and takes a body.
    BearerWithBody: 400, 401, 403, 408, 409, 413, 415, 422, 429, 503;
    /// Needs a token, and names something that may not be there.
    BearerWithId: 400, 401, 403, 404, 503;
}

/// A problem of a kind of route.
#[derive(Debug)]
pub(in crate::http) struct ProblemFor<S>(Problem, PhantomData<fn() -> S>);

impl<S, E> From<E> for ProblemFor<S>
where
    E: IntoProblem,
{
    fn from(error: E) -> Self {
        Self(error.into_problem(), PhantomData)
    }
}

/// Errors that can be rendered as a problem.
pub(in crate::http) trait IntoProblem {
    fn into_problem(self) -> Problem;
}

impl IntoProblem for Problem {
    fn into_problem(self) -> Problem {
        self
    }
}

impl<S> From<ProblemFor<S>> for poem::Error {
    fn from(refusal: ProblemFor<S>) -> Self {
        refusal.0.into()
    }
}

impl<S: Statuses> ApiResponse for ProblemFor<S> {
    fn meta() -> MetaResponses {
        let responses = S::STATUSES
            .iter()
            .map(|status| MetaResponse {
                description: describe(*status),
                status: Some(*status),
                status_range: None,
                content: vec![MetaMediaType { content_type: CONTENT_TYPE, schema: ProblemBody::schema_ref() }],
                headers: headers(*status),
            })
            .collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}
