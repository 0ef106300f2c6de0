//! The token endpoint (RFC 6749 §3.2).

use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json, types::Example};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    domain::{
        client_info::Credentials,
        ids::ClientId,
        oauth::{GrantType, OAuthErrorCode},
    },
    http::{
        errors::oauth::OAuthError,
        extract::{
            client_auth::{ClientForm, FormRequest},
            cookies::Cookies,
        },
        middleware::client_info::RequestOrigin,
    },
    services::{
        clients::Clients,
        grants::{
            Asked,
            authorization_code::{CodeRedemption, RedeemCode},
            client_credentials::ClientCredentials,
            refresh::Refresh,
            token_issuer::{ClientToken, TokenSet},
        },
        sessions::login::{LogIn, LoggedIn},
    },
};

/// The token endpoint.
pub(in crate::http) struct TokenApi {
    pub(in crate::http) clients: Clients,
    pub(in crate::http) log_in: LogIn,
    pub(in crate::http) redeem_code: RedeemCode,
    pub(in crate::http) refresh: Refresh,
    pub(in crate::http) client_credentials: ClientCredentials,
    pub(in crate::http) cookies: Cookies,
}

/// The parameters of every grant; each takes its own, and ignores the others (RFC 6749 §3.2).
#[derive(Deserialize, Object)]
#[oai(rename = "TokenRequest", example)]
pub(in crate::http) struct TokenRequest {
    /// `authorization_code`, `password`, `refresh_token` or `client_credentials`.
    grant_type: Option<String>,
    /// The code (`authorization_code`).
    code: Option<String>,
    /// Where the code was sent (`authorization_code`); may be left out where the authorization request left it out.
    redirect_uri: Option<String>,
    /// The secret that the code challenge was made of, where there was one (`authorization_code`, RFC 7636).
    code_verifier: Option<String>,
    /// A username or verified email address (`password`).
    username: Option<String>,
    /// The password (`password`).
    password: Option<String>,
    /// The refresh token (`refresh_token`).
    refresh_token: Option<String>,
    /// The scope of the access token; all that is granted where it is left out.
    scope: Option<String>,
    /// The one resource that the access token is for (RFC 8707).
    resource: Option<String>,
}

impl FormRequest for TokenRequest {
    const NAMES: &'static [&'static str] = &[
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
        "username",
        "password",
        "refresh_token",
        "scope",
        "resource",
    ];
}

impl Example for TokenRequest {
    fn example() -> Self {
        Self {
            grant_type: Some("password".to_owned()),
            code: None,
            redirect_uri: None,
            code_verifier: None,
            username: Some("ada".to_owned()),
            password: Some("correct horse battery".to_owned()),
            refresh_token: None,
            scope: Some("openid profile".to_owned()),
            resource: None,
        }
    }
}

/// Tokens (RFC 6749 §5.1).
#[derive(Debug, Object)]
#[oai(rename = "Tokens", example)]
struct TokenBody {
    /// A signed JWT for resource servers (RFC 9068).
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// How many seconds the access token lives.
    expires_in: i64,
    /// For this endpoint alone; each use gives the next one. Not for clients' own tokens.
    #[oai(skip_serializing_if_is_none)]
    refresh_token: Option<String>,
    /// The ID token (OIDC Core §2): in the code flow, with scope `openid`.
    #[oai(skip_serializing_if_is_none)]
    id_token: Option<String>,
    /// The scope of the access token.
    scope: String,
}

impl Example for TokenBody {
    fn example() -> Self {
        Self {
            access_token: "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOi...".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 600,
            refresh_token: Some("eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.eyJpc3MiOi...".to_owned()),
            id_token: None,
            scope: "openid profile".to_owned(),
        }
    }
}

impl From<TokenSet> for TokenBody {
    fn from(tokens: TokenSet) -> Self {
        Self {
            access_token: tokens.access_token.expose_secret().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: tokens.expires_in,
            refresh_token: tokens.refresh_token.map(|token| token.expose_secret().to_owned()),
            id_token: tokens.id_token.map(|token| token.expose_secret().to_owned()),
            scope: tokens.scope.to_string(),
        }
    }
}

impl From<ClientToken> for TokenBody {
    fn from(token: ClientToken) -> Self {
        Self {
            access_token: token.access_token.expose_secret().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: token.expires_in,
            refresh_token: None,
            id_token: None,
            scope: token.scope.to_string(),
        }
    }
}

/// The answer to a grant.
#[derive(ApiResponse)]
enum Granted {
    /// The tokens. A login (`password`) also sets a cookie that opens nothing; it keeps strangers' failed passwords from
    /// locking this device out.
    #[oai(status = 200)]
    Tokens(Json<TokenBody>, #[oai(header = "Set-Cookie")] Option<String>),
}

impl<T: Into<TokenBody>> From<T> for Granted {
    fn from(tokens: T) -> Self {
        Self::Tokens(Json(tokens.into()), None)
    }
}

/// A parameter that the grant needs.
fn required<T>(name: &str, value: Option<T>) -> Result<T, OAuthError> {
    value.ok_or_else(|| OAuthError::new(OAuthErrorCode::InvalidRequest, format!("{name} is required")))
}

fn grant(form: &TokenRequest) -> Result<GrantType, OAuthError> {
    let grant = required("grant_type", form.grant_type.as_deref())?;
    GrantType::parse(grant.trim_ascii())
        .ok_or_else(|| OAuthError::new(OAuthErrorCode::UnsupportedGrantType, "there is no such grant here"))
}

impl TokenApi {
    /// The client of a request that names none.
    fn unnamed(&self, form: &TokenRequest) -> Result<Option<ClientId>, OAuthError> {
        match grant(form)? {
            GrantType::Password => Ok(Some(ClientId::first_party())),
            GrantType::RefreshToken => {
                let owner = self.refresh.owner(required("refresh_token", form.refresh_token.as_deref())?);
                // A token of nobody's gets the grant's own refusal.
                Ok(Some(owner.unwrap_or_else(ClientId::first_party)))
            }
            GrantType::ClientCredentials | GrantType::AuthorizationCode => Ok(None),
        }
    }
}

/// OAuth 2 and OpenID Connect.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl TokenApi {
    /// Token endpoint (RFC 6749 §3.2)
    ///
    /// Exchanges a grant for tokens. The client authenticates by `client_secret_basic`, `client_secret_post` or `private_key_jwt`; a
    /// public client names itself by `client_id`. Where no client is named, a `password` request is the built-in `first-party`'s, and
    /// a `refresh_token` request that of the public client that the token was issued to.
    #[oai(path = "/oauth/token", method = "post", operation_id = "token")]
    async fn token(&self, origin: RequestOrigin, form: ClientForm<TokenRequest>) -> Result<Granted, OAuthError> {
        let (client, form) = form.authenticated(&self.clients, |form| self.unnamed(form)).await?;
        let grant = grant(&form)?;
        let asked = Asked { scope: form.scope.as_deref(), resource: form.resource.as_deref() };
        match grant {
            GrantType::Password => {
                let username = required("username", form.username)?;
                let password: SecretString = required("password", form.password)?.into();
                let credentials = Credentials { username: &username, password: &password };
                let LoggedIn { tokens, device } = self.log_in.run(&credentials, &client, asked, &origin.0).await?;
                Ok(Granted::Tokens(Json(tokens.into()), self.cookies.device(device.as_ref())))
            }
            GrantType::RefreshToken => {
                let token: SecretString = required("refresh_token", form.refresh_token)?.into();
                Ok(self.refresh.run(token.expose_secret(), &client, asked).await?.into())
            }
            GrantType::ClientCredentials => Ok(self.client_credentials.run(&client, asked)?.into()),
            GrantType::AuthorizationCode => {
                let presented = CodeRedemption {
                    code: required("code", form.code)?.into(),
                    redirect_uri: form.redirect_uri,
                    code_verifier: form.code_verifier.map(SecretString::from),
                    resource: form.resource,
                };
                Ok(self.redeem_code.run(presented, &client, &origin.0).await?.into())
            }
        }
    }
}
