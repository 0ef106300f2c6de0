//! The revocation endpoint (RFC 7009).

use poem_openapi::{ApiResponse, Object, OpenApi, types::Example};
use serde::Deserialize;

use crate::{
    domain::{ids::ClientId, oauth::OAuthErrorCode},
    http::{
        errors::oauth::OAuthError,
        extract::client_auth::{ClientForm, FormRequest},
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

/// A revocation request.
#[derive(Deserialize, Object)]
#[oai(rename = "RevocationRequest", example)]
pub(in crate::http) struct RevocationRequest {
    /// A refresh token or an access token.
    token: Option<String>,
    /// The kind of token: a hint, which the service does not need.
    token_type_hint: Option<String>,
}

impl FormRequest for RevocationRequest {
    // The hint is not read: a token says itself what it is.
    const NAMES: &'static [&'static str] = &["token"];
}

impl Example for RevocationRequest {
    fn example() -> Self {
        Self {
            token: Some("eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.eyJpc3MiOi...".to_owned()),
            token_type_hint: Some("refresh_token".to_owned()),
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
    async fn revoke(&self, form: ClientForm<RevocationRequest>) -> Result<Revoked, OAuthError> {
        let owner = |form: &RevocationRequest| {
            let owner = form.token.as_deref().and_then(|token| self.revoke.owner(token));
            // A token of nobody's is revoked already, for every client.
            Ok(Some(owner.unwrap_or_else(ClientId::first_party)))
        };
        let (client, form) = form.authenticated(&self.clients, owner).await?;
        let token = form.token.ok_or_else(|| OAuthError::new(OAuthErrorCode::InvalidRequest, "token is required"))?;
        self.revoke.run(&token, &client).await?;
        Ok(Revoked::Done)
    }
}
