//! The original service's routes, kept word for word so that its clients move over unchanged.

use poem::{IntoResponse, Response, http::StatusCode};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    payload::Json,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, ToJSON, Type},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    domain::client_info::Credentials,
    http::{
        errors::failure::{TOO_MANY, TooManyRequests, retry_after},
        extract::{
            body::{BodyError, JsonBody},
            lenient_string::{Fields, LenientString},
        },
        middleware::client_info::RequestOrigin,
        openapi::answers::{describe, headers},
    },
    services::{
        Unavailable,
        accounts::{
            account::{Account, AccountError},
            register::{FieldError, NewAccount, Register, RegisterError},
        },
        grants::GrantError,
        sessions::{
            bearer::{Bearer, BearerError},
            login::LogIn,
        },
    },
};

/// The original service's routes.
pub(in crate::http) struct OriginalApi {
    pub(in crate::http) register: Register,
    pub(in crate::http) log_in: LogIn,
    pub(in crate::http) bearer: Bearer,
    pub(in crate::http) account: Account,
}

/// A name and a password.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "OriginalCredentials", example)]
struct OriginalCredentials {
    /// The username.
    #[serde(default)]
    username: LenientString,
    /// The password.
    #[serde(default)]
    password: LenientString,
}

impl Example for OriginalCredentials {
    fn example() -> Self {
        Self {
            username: LenientString::Given("ada".to_owned()),
            password: LenientString::Given("correct horse battery".to_owned()),
        }
    }
}

impl OriginalCredentials {
    fn parse(self) -> Result<(String, SecretString), Refused> {
        let mut fields = Fields::default();
        let username = fields.required("username", self.username);
        let password = fields.required_secret("password", self.password);
        fields.finish().map_err(|errors| Refused::fields(&errors))?;
        Ok((username, password))
    }
}

/// The result of creation and login.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "OriginalSession", example)]
struct OriginalSession {
    /// The signed access token.
    #[serde(default)]
    session_id: LenientString,
}

impl Example for OriginalSession {
    fn example() -> Self {
        Self { session_id: LenientString::Given("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOi...".to_owned()) }
    }
}

/// The answer of every route.
#[derive(Debug, Object)]
#[oai(rename = "OriginalAnswer", example)]
struct OriginalAnswer {
    /// Whether it was done.
    success: bool,
    /// The message: the result, or the reason of the refusal.
    message: String,
    /// The signed access token, from creation and login.
    #[oai(skip_serializing_if_is_none)]
    session_id: Option<String>,
}

impl Example for OriginalAnswer {
    fn example() -> Self {
        Self {
            success: true,
            message: "Authenticate user successful".to_owned(),
            session_id: Some("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOi...".to_owned()),
        }
    }
}

impl OriginalAnswer {
    fn done(message: &str, session_id: Option<&SecretString>) -> Json<Self> {
        Json(Self {
            success: true,
            message: message.to_owned(),
            session_id: session_id.map(|token| token.expose_secret().to_owned()),
        })
    }
}

/// Why something was not done, in the original's shape.
#[derive(Debug)]
pub(in crate::http) struct Refused {
    status: StatusCode,
    message: String,
    retry_after: Option<u64>,
}

impl Refused {
    /// A refusal with a sentence for people.
    pub(in crate::http) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    fn fields(errors: &[FieldError]) -> Self {
        let joined: Vec<_> = errors.iter().map(|FieldError { field, message }| format!("{field} {message}")).collect();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, joined.join("; "))
    }

    fn wrong_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Wrong username or password")
    }
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        use poem::error::ResponseError;
        let status = error.status();
        Self::new(status, error.to_string())
    }
}

impl From<Unavailable> for Refused {
    fn from(unavailable: Unavailable) -> Self {
        let message = "The service cannot do this at the moment; try again later";
        Self { retry_after: Some(retry_after(&unavailable)), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }
}

impl From<TooManyRequests> for Refused {
    fn from(too_many: TooManyRequests) -> Self {
        Self {
            retry_after: Some(too_many.retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, TOO_MANY.trim_end_matches('.'))
        }
    }
}

impl From<RegisterError> for Refused {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Closed => Self::new(StatusCode::UNAUTHORIZED, "Registration is closed"),
            RegisterError::Invalid(errors) => Self::fields(&errors),
            RegisterError::UsernameTaken => Self::new(StatusCode::CONFLICT, "Username is taken"),
            RegisterError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<GrantError> for Refused {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Malformed { field, why } => Self::fields(&[FieldError { field, message: why }]),
            GrantError::InvalidGrant
            | GrantError::UnauthorizedClient
            | GrantError::InvalidScope
            | GrantError::InvalidTarget => Self::wrong_credentials(),
            GrantError::TooMany { retry_after } => TooManyRequests::after(retry_after).into(),
            GrantError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Invalid(errors) => Self::fields(&errors),
            AccountError::Gone | AccountError::WrongPassword | AccountError::LogInTooOld => Self::wrong_credentials(),
            AccountError::UsernameTaken => Self::new(StatusCode::CONFLICT, "Username is taken"),
            AccountError::TooMany { retry_after } => TooManyRequests::after(retry_after).into(),
            AccountError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<BearerError> for Refused {
    fn from(error: BearerError) -> Self {
        match error {
            BearerError::Token(_) | BearerError::Ended | BearerError::Insufficient => {
                Self::new(StatusCode::UNAUTHORIZED, "Session id is not valid")
            }
            BearerError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let answer = OriginalAnswer { success: false, message: self.message, session_id: None };
        let response =
            Response::builder().status(self.status).content_type("application/json").body(answer.to_json_string());
        match self.retry_after {
            Some(seconds) => response.with_header("Retry-After", seconds).into_response(),
            None => response,
        }
    }
}

impl From<Refused> for poem::Error {
    fn from(refused: Refused) -> Self {
        Self::from_response(refused.into_response())
    }
}

impl ApiResponse for Refused {
    fn meta() -> MetaResponses {
        let responses = [400, 401, 408, 409, 413, 415, 422, 429, 503]
            .into_iter()
            .map(|status| MetaResponse {
                description: describe(status),
                status: Some(status),
                status_range: None,
                content: vec![MetaMediaType { content_type: "application/json", schema: OriginalAnswer::schema_ref() }],
                headers: if matches!(status, 429 | 503) { headers(status) } else { Vec::new() },
            })
            .collect();
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        OriginalAnswer::register(registry);
    }
}

/// The original service's routes. New clients use `/v1` and `/oauth`.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::Original")]
impl OriginalApi {
    /// Register an account and log in
    #[oai(path = "/users/create", method = "post", operation_id = "original_create")]
    async fn create(
        &self,
        origin: RequestOrigin,
        body: JsonBody<OriginalCredentials>,
    ) -> Result<Json<OriginalAnswer>, Refused> {
        let (username, password) = body.0.parse()?;
        let registration = NewAccount { username: &username, password: &password, email: None };
        let registered = self.register.run(&registration).await?;
        let token = self.log_in.for_registered(&registered, &origin.0).await?;
        Ok(OriginalAnswer::done("Create user successful", Some(&token)))
    }

    /// Log in
    ///
    /// The original's clients send `GET` with a body.
    #[oai(path = "/users/auth", method = "get", method = "post")]
    async fn auth(
        &self,
        origin: RequestOrigin,
        body: JsonBody<OriginalCredentials>,
    ) -> Result<Json<OriginalAnswer>, Refused> {
        let (username, password) = body.0.parse()?;
        let credentials = Credentials { username: &username, password: &password };
        let token = self.log_in.for_one_token(&credentials, &origin.0).await?;
        Ok(OriginalAnswer::done("Authenticate user successful", Some(&token)))
    }

    /// Check a session id
    ///
    /// The original's clients send `GET` with a body.
    #[oai(path = "/users/session_auth", method = "get", method = "post")]
    async fn session_auth(&self, body: JsonBody<OriginalSession>) -> Result<Json<OriginalAnswer>, Refused> {
        let mut fields = Fields::default();
        let token = fields.required_secret("session_id", body.0.session_id);
        fields.finish().map_err(|errors| Refused::fields(&errors))?;
        self.bearer.account(token.expose_secret()).await?;
        Ok(OriginalAnswer::done("Authenticate session id successful", None))
    }

    /// Delete the account that the credentials open
    #[oai(path = "/users/delete", method = "delete", operation_id = "original_delete")]
    async fn delete(
        &self,
        origin: RequestOrigin,
        body: JsonBody<OriginalCredentials>,
    ) -> Result<Json<OriginalAnswer>, Refused> {
        let (username, password) = body.0.parse()?;
        let credentials = Credentials { username: &username, password: &password };
        self.account.delete_by_credentials(&credentials, &origin.0).await?;
        Ok(OriginalAnswer::done("Delete user successful", None))
    }
}
