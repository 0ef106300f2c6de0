//! The claims of tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    ids::{ClientId, SessionId, UserId},
    role::Role,
    scope::Scope,
    status_list::StatusClaim,
};

/// The `aud` claim (RFC 7519 §4.1.3): written as one string if it has one name, otherwise as an array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// An audience of these names, without duplicates.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let mut many: Vec<String> = Vec::new();
        for name in names {
            if !many.contains(&name) {
                many.push(name);
            }
        }
        if many.len() == 1 { Self::One(many.remove(0)) } else { Self::Many(many) }
    }

    /// Whether the audience contains `name`, byte for byte.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }

    /// The names of the audience, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }

    /// Whether the audience is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Many(many) if many.is_empty())
    }
}

/// The claims of an access token (RFC 9068 §2.2). Times are whole seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    /// The user's id, or the client's id for client credentials.
    pub sub: String,
    /// The resource servers that the token is for.
    pub aud: Audience,
    /// When the token expires.
    pub exp: i64,
    pub iat: i64,
    /// The token's own identifier, never used twice.
    pub jti: String,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// The granted scope.
    pub scope: Scope,
    /// The claims of a token for a user; `None` for client credentials.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserClaims>,
}

/// The claims that only an access token for a user has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    /// The session. When it has ended, the token is invalid.
    pub sid: SessionId,
    /// When the user last proved who they are (OIDC Core §2); absent if their provider did not say.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How the user proved it (RFC 8176).
    pub amr: Vec<String>,
    /// How much the login proves ([`Session::acr`](super::session::Session::acr)). A token of an older version has
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub acr: Option<String>,
    /// The username, as it was written at registration: for first-party clients, or with scope `profile`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub preferred_username: Option<String>,
    /// The account's roles at issue (RFC 9068 §2.2.3.1): for first-party clients, or with scope `roles`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// The status list index (draft-ietf-oauth-status-list-21 §6.1): gateways learn by it whether the session has
    /// ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusClaim>,
}

/// The claims of a refresh token. The token names a session and a generation; the session's row decides about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshClaims {
    pub iss: String,
    pub sub: UserId,
    /// The issuer's token endpoint alone.
    pub aud: Audience,
    /// When it ends unless it is used.
    pub exp: i64,
    /// When its generation began.
    pub iat: i64,
    /// Derived from session and generation, so that every replica answers a repeated request with the same token.
    pub jti: String,
    /// The client that it was issued to.
    pub client_id: ClientId,
    pub sid: SessionId,
    pub generation: i64,
}

/// The claims of an ID token (OIDC Core §2): they tell a client which user logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdClaims {
    pub iss: String,
    pub sub: UserId,
    /// The client alone.
    pub aud: Audience,
    /// The client must refuse it from this time on.
    pub exp: i64,
    pub iat: i64,
    /// When the user last proved who they are; absent if their provider did not say.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How the user proved it (RFC 8176).
    pub amr: Vec<String>,
    /// How much the login proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The `nonce` of the request: it binds the token to that request, so that another token cannot be injected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Binds the access token to it (`at_hash`, §3.1.3.6).
    pub at_hash: String,
    /// The session: a logout token names it (OIDC Back-Channel Logout 1.0 §2.1).
    pub sid: SessionId,
    /// The name to show, which is the username: with scope `profile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The username, with scope `profile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The email address, with scope `email`, if the account has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the email address is verified; present together with `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// The account's roles, with scope `roles`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
}

/// The claims of a logout token (OIDC Back-Channel Logout 1.0 §2.4): they tell a client which session has ended.
/// They never include a `nonce`: with one, the token could pass for an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogoutClaims {
    pub iss: String,
    /// The user whose session ended.
    pub sub: UserId,
    /// The client alone.
    pub aud: Audience,
    pub iat: i64,
    /// The client must refuse it from this time on.
    pub exp: i64,
    /// The token's own identifier, never used twice.
    pub jti: String,
    /// The one event, which marks this as a logout token.
    pub events: LogoutEvents,
    /// The session, as its ID tokens named it.
    pub sid: SessionId,
}

/// The `events` of a logout token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogoutEvents {
    /// The one event that the specification requires.
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    pub backchannel_logout: NoMembers,
}

/// An object without members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoMembers {}

impl LogoutClaims {
    /// The claims that tell `client` that `session` has ended, valid `from` one time `until` another.
    #[must_use]
    pub fn of(
        issuer: &str,
        (session, user): (SessionId, UserId),
        client: &ClientId,
        jti: String,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
    ) -> Self {
        Self {
            iss: issuer.to_owned(),
            sub: user,
            aud: Audience::One(client.as_str().to_owned()),
            iat: numeric_date(from),
            exp: numeric_date(until),
            jti,
            events: LogoutEvents { backchannel_logout: NoMembers {} },
            sid: session,
        }
    }
}

/// The deserializer of an optional claim. Unlike a plain `Option`, it refuses `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// A time as claims hold it (RFC 7519 §2, `NumericDate`), in whole seconds.
#[must_use]
pub fn numeric_date(time: DateTime<Utc>) -> i64 {
    time.timestamp()
}
