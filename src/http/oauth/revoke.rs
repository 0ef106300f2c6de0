//! The revocation endpoint (RFC 7009).

use poem_openapi::{ApiResponse, Object, OpenApi, types::Example};
use serde::Deserialize;

use crate::{
    domain::oauth::OAuthErrorCode,
    http::{
        errors::oauth::OAuthError,
        extract::{
            body::FormBody,
            client_auth::{BasicCredentials, InForm},
        },
    },
    services::{
        clients::Clients,
        sessions::revoke::{Revoke, RevokeError},
    },
};

/// The revocation endpoint.
pub(in crate::http) struct RevokeApi {
    pub(in crate::http) clients: Clients,
    pub(in crate::http) revoke: Revoke,
}

/// What to revoke.
#[derive(Deserialize, Object)]
#[oai(rename = "RevocationRequest", example)]
pub(in crate::http) struct RevocationRequest {
    /// A refresh token or an access token.
    token: Option<String>,
    /// What the token is; it is a hint, which the token itself does not need.
    token_type_hint: Option<String>,
    /// The client; the built-in `first-party` where it is left out.
    client_id: Option<String>,
    /// The client's secret (`client_secret_post`).
    client_secret: Option<String>,
    /// How the client proves who it is by a JWT (`private_key_jwt`):
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
    /// The JWT, signed with the client's key (RFC 7523).
    client_assertion: Option<String>,
}

impl Example for RevocationRequest {
    fn example() -> Self {
        Self {
            token: Some("eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.eyJpc3MiOi...".to_owned()),
            token_type_hint: Some("refresh_token".to_owned()),
            client_id: Some("first-party".to_owned()),
            client_secret: None,
            client_assertion_type: None,
            client_assertion: None,
        }
    }
}

/// Revoked.
#[derive(ApiResponse)]
enum Revoked {
    /// The token is revoked, or was already invalid.
    #[oai(status = 200)]
    Done,
}

impl From<RevokeError> for OAuthError {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::NotYours => Self::new(OAuthErrorCode::InvalidGrant, "the token was issued to another client"),
            RevokeError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

/// Revocation.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl RevokeApi {
    /// Revocation endpoint (RFC 7009)
    ///
    /// Either token of a session ends the session; a client's own token is denied until it expires.
    #[oai(path = "/oauth/revoke", method = "post", operation_id = "revoke")]
    async fn revoke(&self, basic: BasicCredentials, form: FormBody<RevocationRequest>) -> Result<Revoked, OAuthError> {
        let form = form.0;
        let presented = basic.or_form(InForm {
            id: form.client_id,
            secret: form.client_secret,
            assertion_type: form.client_assertion_type,
            assertion: form.client_assertion,
        })?;
        let client = self.clients.authenticate(&presented).await?;
        let token = form.token.ok_or_else(|| OAuthError::new(OAuthErrorCode::InvalidRequest, "token is required"))?;
        self.revoke.run(&token, &client).await?;
        Ok(Revoked::Done)
    }
}
