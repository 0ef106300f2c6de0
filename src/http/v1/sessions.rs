//! Sessions.

use chrono::DateTime;
use poem::http::StatusCode;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Path, payload::Json, types::Example};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::users::Done;
use crate::{
    domain::{client::Client, client_info::Credentials, ids::SessionId, session::Session},
    http::{
        errors::problem::{BearerOnly, BearerWithId, CredentialExchange, Problem, ProblemFor},
        extract::{
            bearer::BearerToken,
            body::JsonBody,
            cookies::Cookies,
            lenient_string::{Fields, LenientString},
        },
        middleware::client_info::RequestOrigin,
        openapi::{date::Date, docs::EXAMPLE_ID},
    },
    services::{
        grants::{Asked, GrantError, refresh::Refresh, token_issuer::TokenSet},
        sessions::{bearer::Bearer, list::Sessions, login::LogIn},
    },
};

/// Sessions.
pub(in crate::http) struct SessionsApi {
    pub(in crate::http) bearer: Bearer,
    pub(in crate::http) log_in: LogIn,
    pub(in crate::http) refresh: Refresh,
    pub(in crate::http) sessions: Sessions,
    pub(in crate::http) cookies: Cookies,
}

/// A name and a password.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "Credentials", example)]
struct NewSession {
    /// The username, or a verified email address.
    #[serde(default)]
    username: LenientString,
    /// The password.
    #[serde(default)]
    password: LenientString,
}

impl Example for NewSession {
    fn example() -> Self {
        Self {
            username: LenientString::Given("ada".to_owned()),
            password: LenientString::Given("correct horse battery".to_owned()),
        }
    }
}

/// A refresh token.
#[derive(Debug, Deserialize, Object)]
#[oai(rename = "RefreshRequest", example)]
struct RefreshRequest {
    /// The refresh token; it is good for this once.
    #[serde(default)]
    refresh_token: LenientString,
}

impl Example for RefreshRequest {
    fn example() -> Self {
        Self {
            refresh_token: LenientString::Given("eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.eyJpc3MiOi...".to_owned()),
        }
    }
}

/// The tokens of a session.
#[derive(Debug, Object)]
#[oai(rename = "SessionTokens", example)]
struct SessionTokens {
    /// A signed JWT for services (RFC 9068).
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// How many seconds the access token lives.
    expires_in: i64,
    /// For the next refresh; each use gives the next one.
    refresh_token: String,
    /// The scope of the access token.
    scope: String,
    /// The account.
    user_id: uuid::Uuid,
    /// The session.
    session_id: uuid::Uuid,
}

impl Example for SessionTokens {
    fn example() -> Self {
        Self {
            access_token: "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOi...".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 600,
            refresh_token: "eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.eyJpc3MiOi...".to_owned(),
            scope: "openid profile email offline_access".to_owned(),
            user_id: EXAMPLE_ID,
            session_id: EXAMPLE_ID,
        }
    }
}

impl From<TokenSet> for SessionTokens {
    fn from(tokens: TokenSet) -> Self {
        Self {
            access_token: tokens.access_token.expose_secret().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: tokens.expires_in,
            // The built-in client has the refresh grant.
            refresh_token: tokens.refresh_token.map(|token| token.expose_secret().to_owned()).unwrap_or_default(),
            scope: tokens.scope.to_string(),
            user_id: tokens.user.0,
            session_id: tokens.session.0,
        }
    }
}

/// A login.
#[derive(ApiResponse)]
enum LoggedIn {
    /// The tokens of the new session. The cookie grants no access; it keeps strangers' failed passwords from locking this
    /// device out.
    #[oai(status = 200)]
    Tokens(Json<SessionTokens>, #[oai(header = "Set-Cookie")] Option<String>),
}

/// A live session.
#[derive(Debug, Object)]
#[oai(rename = "Session", example)]
struct SessionBody {
    /// The `sid` of its tokens.
    id: uuid::Uuid,
    /// When it began.
    created_at: Date,
    /// When it was last refreshed, or began.
    last_used_at: Date,
    /// The client of the session.
    client_id: String,
    /// The program that logged in, as it named itself, or `null`.
    user_agent: Option<String>,
    /// The address that the login came from, or `null`.
    ip: Option<String>,
    /// Whether the request was made with this session.
    current: bool,
}

impl Example for SessionBody {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            created_at: Date(DateTime::UNIX_EPOCH),
            last_used_at: Date(DateTime::UNIX_EPOCH),
            client_id: "first-party".to_owned(),
            user_agent: Some("curl/8.5.0".to_owned()),
            ip: Some("192.0.2.7".to_owned()),
            current: true,
        }
    }
}

impl SessionBody {
    fn of(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id.0,
            created_at: Date(session.created_at),
            last_used_at: Date(session.rotated_at),
            client_id: session.client.to_string(),
            user_agent: session.user_agent,
            ip: session.ip,
            current: session.id == current,
        }
    }
}

/// Logins.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::Sessions")]
impl SessionsApi {
    /// Log in
    ///
    /// An unknown name, a wrong password and a disabled account get the same answer, and so does a right password for a
    /// while after many wrong ones.
    #[oai(path = "/v1/sessions", method = "post", operation_id = "log_in")]
    async fn create(
        &self,
        origin: RequestOrigin,
        body: JsonBody<NewSession>,
    ) -> Result<LoggedIn, ProblemFor<CredentialExchange>> {
        let mut fields = Fields::default();
        let username = fields.required("username", body.0.username);
        let password = fields.required_secret("password", body.0.password);
        fields.finish()?;
        let credentials = Credentials { username: &username, password: &password };
        let logged_in = self.log_in.run(&credentials, &Client::first_party(), Asked::default(), &origin.0).await?;
        Ok(LoggedIn::Tokens(Json(logged_in.tokens.into()), self.cookies.device(logged_in.device.as_ref())))
    }

    /// Exchange a refresh token for new tokens
    #[oai(path = "/v1/sessions/refresh", method = "post", operation_id = "refresh_session")]
    async fn refresh(
        &self,
        body: JsonBody<RefreshRequest>,
    ) -> Result<Json<SessionTokens>, ProblemFor<CredentialExchange>> {
        let mut fields = Fields::default();
        let token = fields.required_secret("refresh_token", body.0.refresh_token);
        fields.finish()?;
        let tokens = self.refresh.run(token.expose_secret(), &Client::first_party(), Asked::default()).await;
        Ok(Json(tokens.map_err(refused)?.into()))
    }

    /// List the account's sessions
    ///
    /// Newest first.
    #[oai(path = "/v1/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(&self, token: BearerToken) -> Result<Json<Vec<SessionBody>>, ProblemFor<BearerOnly>> {
        let caller = token.account(&self.bearer).await?;
        let sessions = self.sessions.list(&caller).await?;
        Ok(Json(sessions.into_iter().map(|session| SessionBody::of(session, caller.session)).collect()))
    }

    /// Log out
    #[oai(path = "/v1/sessions/current", method = "delete", operation_id = "log_out")]
    async fn end_current(&self, token: BearerToken) -> Result<Done, ProblemFor<BearerOnly>> {
        let caller = token.account(&self.bearer).await?;
        self.sessions.end(&caller, caller.session).await?;
        Ok(Done::NoContent)
    }

    /// End one of the account's sessions
    #[oai(path = "/v1/sessions/:id", method = "delete", operation_id = "end_session")]
    async fn end(
        &self,
        token: BearerToken,
        /// The session's id.
        id: Path<String>,
    ) -> Result<Done, ProblemFor<BearerWithId>> {
        let caller = token.account(&self.bearer).await?;
        let named = uuid::Uuid::parse_str(&id.0).ok().map(SessionId);
        if let Some(session) = named
            && self.sessions.end(&caller, session).await?
        {
            return Ok(Done::NoContent);
        }
        Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "The account has no such session.").into())
    }

    /// End all of the account's sessions
    ///
    /// The session that makes the request ends too.
    #[oai(path = "/v1/sessions", method = "delete", operation_id = "end_sessions")]
    async fn end_all(&self, token: BearerToken) -> Result<Done, ProblemFor<BearerOnly>> {
        let caller = token.account(&self.bearer).await?;
        self.sessions.end_all(&caller).await?;
        Ok(Done::NoContent)
    }
}

/// Refused refreshes have a code of their own: there is no password to type again.
fn refused(error: GrantError) -> ProblemFor<CredentialExchange> {
    match error {
        GrantError::InvalidGrant => Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid_grant",
            "The refresh token is not good, or no longer: log in again.",
        )
        .into(),
        other => other.into(),
    }
}
