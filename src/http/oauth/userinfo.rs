//! The userinfo endpoint (OIDC Core §5.3).

use futures_util::FutureExt;
use poem::{IntoResponse, Response};
use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use crate::{
    http::{
        errors::problem::{BearerOnly, ProblemFor},
        extract::bearer::UserinfoToken,
    },
    services::sessions::userinfo::{UserClaims, Userinfo},
};

/// The path.
pub(in crate::http) const PATH: &str = "/oauth/userinfo";

/// The userinfo endpoint.
pub(in crate::http) struct UserinfoApi {
    pub(in crate::http) userinfo: Userinfo,
}

/// Claims of a user (OIDC Core §5.1): those that the token's scope allows.
#[derive(Debug, Object)]
#[oai(rename = "Userinfo", example)]
struct UserinfoBody {
    /// The subject: the user's id.
    sub: uuid::Uuid,
    /// The name to show, which is the username: with scope `profile`.
    #[oai(skip_serializing_if_is_none)]
    name: Option<String>,
    /// The username, with scope `profile`.
    #[oai(skip_serializing_if_is_none)]
    preferred_username: Option<String>,
    /// The email address, with scope `email`.
    #[oai(skip_serializing_if_is_none)]
    email: Option<String>,
    /// Whether its owner proved the address, with scope `email`.
    #[oai(skip_serializing_if_is_none)]
    email_verified: Option<bool>,
    /// The account's roles, with scope `roles`, where it has any.
    #[oai(skip_serializing_if_is_none)]
    roles: Option<Vec<String>>,
}

impl Example for UserinfoBody {
    fn example() -> Self {
        Self {
            sub: crate::http::openapi::docs::EXAMPLE_ID,
            name: Some("ada".to_owned()),
            preferred_username: Some("ada".to_owned()),
            email: Some("ada@example.com".to_owned()),
            email_verified: Some(true),
            roles: Some(vec!["clerk".to_owned()]),
        }
    }
}

impl From<UserClaims> for UserinfoBody {
    fn from(claims: UserClaims) -> Self {
        Self {
            sub: claims.sub.0,
            name: claims.preferred_username.clone(),
            preferred_username: claims.preferred_username,
            email: claims.email,
            email_verified: claims.email_verified,
            roles: claims.roles.map(|roles| roles.iter().map(|role| role.as_str().to_owned()).collect()),
        }
    }
}

/// The answer to a good token, if it takes no wait: this process has the claims in memory.
pub(in crate::http) fn answer_at_once(userinfo: &Userinfo, token: &str) -> Option<Response> {
    let claims = userinfo.run(token).now_or_never()?.ok()?;
    Some(Json(UserinfoBody::from(claims)).into_response())
}

/// OpenID Connect's userinfo.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl UserinfoApi {
    /// Userinfo endpoint (OIDC Core §5.3)
    ///
    /// For a user's token with scope `openid`, or of a first-party client, whose `aud` has the issuer or the configured
    /// audience. Takes the token in the `Authorization` field, or, posted, as `access_token` in a form (RFC 6750 §2.2).
    #[oai(path = "/oauth/userinfo", method = "get", method = "post")]
    async fn userinfo(&self, token: UserinfoToken) -> Result<Json<UserinfoBody>, ProblemFor<BearerOnly>> {
        Ok(Json(token.0.userinfo(&self.userinfo).await?.into()))
    }
}
