//! The introspection endpoint (RFC 7662).

use std::sync::Arc;

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};
use serde::Deserialize;

use crate::{
    domain::{
        claims::{AccessClaims, Audience, RefreshClaims},
        oauth::OAuthErrorCode,
        session::Session,
    },
    http::{
        errors::oauth::OAuthError,
        extract::client_auth::{ClientForm, FormRequest},
    },
    services::{
        clients::Clients,
        sessions::introspect::{Active, Introspect},
    },
};

/// The introspection endpoint.
pub(in crate::http) struct IntrospectApi {
    pub(in crate::http) clients: Clients,
    pub(in crate::http) introspect: Introspect,
}

/// An introspection request.
#[derive(Deserialize, Object)]
#[oai(rename = "IntrospectionRequest", example)]
pub(in crate::http) struct IntrospectionRequest {
    /// An access token or a refresh token.
    token: Option<String>,
    /// The kind of token: a hint, which the service does not need.
    token_type_hint: Option<String>,
}

impl FormRequest for IntrospectionRequest {
    // The hint is not read: a token says itself what it is.
    const NAMES: &'static [&'static str] = &["token"];
}

impl Example for IntrospectionRequest {
    fn example() -> Self {
        Self { token: Some("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOi...".to_owned()), token_type_hint: None }
    }
}

/// What the token is (RFC 7662 §2.2). Of one that is not active, or not the caller's to know of, `active` is all.
#[derive(Debug, Default, Object)]
#[oai(rename = "Introspection", skip_serializing_if_is_none, example)]
struct Introspection {
    /// Whether the token is good now.
    active: bool,
    /// Its scope.
    scope: Option<String>,
    /// The client that it was issued to.
    client_id: Option<String>,
    /// The user's name, where the token has it.
    username: Option<String>,
    /// `Bearer` for an access token.
    token_type: Option<String>,
    /// When it ends, in seconds since 1970.
    exp: Option<i64>,
    /// When it was issued.
    iat: Option<i64>,
    /// The user's id, or the client's for its own token.
    sub: Option<String>,
    /// Its audience.
    aud: Option<Vec<String>>,
    /// Its issuer.
    iss: Option<String>,
    /// Its identifier.
    jti: Option<String>,
    /// The session.
    sid: Option<String>,
    /// When the user proved who they are.
    auth_time: Option<i64>,
    /// How (RFC 8176).
    amr: Option<Vec<String>>,
    /// How much that proves: `1` is one factor.
    acr: Option<String>,
    /// The account's roles at issue.
    roles: Option<Vec<String>>,
}

impl Example for Introspection {
    fn example() -> Self {
        Self {
            active: true,
            scope: Some("openid profile".to_owned()),
            client_id: Some("first-party".to_owned()),
            username: Some("ada".to_owned()),
            token_type: Some("Bearer".to_owned()),
            exp: Some(1_800_000_600),
            iat: Some(1_800_000_000),
            sub: Some(crate::http::openapi::docs::EXAMPLE_ID.to_string()),
            aud: Some(vec!["https://orders.example.com".to_owned()]),
            iss: Some("https://id.example.com".to_owned()),
            jti: Some("QhMqFwIo8m5pXbW2xkNf0g".to_owned()),
            sid: Some(crate::http::openapi::docs::EXAMPLE_ID.to_string()),
            auth_time: Some(1_800_000_000),
            amr: Some(vec!["pwd".to_owned()]),
            acr: Some("1".to_owned()),
            roles: Some(vec!["clerk".to_owned()]),
        }
    }
}

fn names(audience: Audience) -> Vec<String> {
    match audience {
        Audience::One(name) => vec![name],
        Audience::Many(names) => names,
    }
}

impl From<AccessClaims> for Introspection {
    fn from(claims: AccessClaims) -> Self {
        let about_token = Self {
            active: true,
            scope: Some(claims.scope.to_string()),
            client_id: Some(claims.client_id.to_string()),
            token_type: Some("Bearer".to_owned()),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            sub: Some(claims.sub),
            aud: Some(names(claims.aud)),
            iss: Some(claims.iss),
            jti: Some(claims.jti),
            ..Self::default()
        };
        match claims.user {
            None => about_token,
            Some(user) => Self {
                username: user.preferred_username,
                sid: Some(user.sid.to_string()),
                auth_time: user.auth_time,
                amr: Some(user.amr),
                acr: user.acr,
                roles: (!user.roles.is_empty())
                    .then(|| user.roles.iter().map(|role| role.as_str().to_owned()).collect()),
                ..about_token
            },
        }
    }
}

impl From<(RefreshClaims, Session)> for Introspection {
    fn from((claims, session): (RefreshClaims, Session)) -> Self {
        let acr = session.acr().to_owned();
        Self {
            active: true,
            scope: Some(session.scope.to_string()),
            client_id: Some(claims.client_id.to_string()),
            auth_time: session.auth_time(),
            username: Some(session.username),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            sub: Some(claims.sub.to_string()),
            aud: Some(names(claims.aud)),
            iss: Some(claims.iss),
            jti: Some(claims.jti),
            sid: Some(claims.sid.to_string()),
            acr: Some(acr),
            amr: Some(session.amr),
            ..Self::default()
        }
    }
}

/// Introspection.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl IntrospectApi {
    /// Introspection endpoint (RFC 7662)
    ///
    /// For confidential clients: tokens issued to them, and access tokens whose `aud` has one of their audiences.
    #[oai(path = "/oauth/introspect", method = "post", operation_id = "introspect")]
    async fn introspect(&self, form: ClientForm<IntrospectionRequest>) -> Result<Json<Introspection>, OAuthError> {
        self.introspect.can_judge()?;
        let nobody = |_: &IntrospectionRequest| Err(OAuthError::invalid_client());
        let (client, form) = form.authenticated(&self.clients, nobody).await?;
        // A client must authenticate (RFC 7662 §2.1).
        if !client.is_confidential() {
            return Err(OAuthError::invalid_client());
        }
        let token = form.token.ok_or_else(|| OAuthError::new(OAuthErrorCode::InvalidRequest, "token is required"))?;
        Ok(Json(match self.introspect.run(&token, &client).await? {
            None => Introspection::default(),
            Some(Active::Access(claims)) => Arc::unwrap_or_clone(claims).into(),
            Some(Active::Refresh(both)) => (*both).into(),
        }))
    }
}
