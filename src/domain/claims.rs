//! What tokens say.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ids::{ClientId, SessionId, UserId},
    role::Role,
    scope::Scope,
    status_list::StatusClaim,
};

/// The `aud` claim (RFC 7519 §4.1.3): written as one string where there is one, as an array where there are more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One audience.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Audience {
    /// An audience of these, doubles left out.
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

    /// Whether `name` is one of them, byte for byte.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }

    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Many(many) if many.is_empty())
    }
}

/// The claims of an access token (RFC 9068 §2.2). Times are whole seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it.
    pub iss: String,
    /// The user's id, or the client's for client credentials.
    pub sub: String,
    /// The resource servers that it is for.
    pub aud: Audience,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its own identifier, never given twice.
    pub jti: String,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// What it allows.
    pub scope: Scope,
    /// What is there only where a user logged in.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserClaims>,
}

/// The claims that an access token has besides where a user logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    /// The session: a token of an ended one is no longer good.
    pub sid: SessionId,
    /// When the user last proved who they are (OIDC Core §2).
    pub auth_time: i64,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// The username, as it was written at registration.
    pub preferred_username: String,
    /// The account's roles at issue (RFC 9068 §2.2.3.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Where gateways learn whether the session is over (draft-ietf-oauth-status-list-21 §6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusClaim>,
}

/// The claims of a refresh token. It says which session and which generation of it; the session's row decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshClaims {
    /// Who issued it.
    pub iss: String,
    /// The user.
    pub sub: UserId,
    /// The issuer's token endpoint, and nobody else.
    pub aud: Audience,
    /// When it ends unless it is used.
    pub exp: i64,
    /// When its generation began.
    pub iat: i64,
    /// Follows from session and generation, so that every replica gives a repeat the same token.
    pub jti: String,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// The session.
    pub sid: SessionId,
    /// The generation.
    pub generation: i64,
}

/// The claims of an ID token (OIDC Core §2): what a client learns of who logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdClaims {
    /// Who issued it.
    pub iss: String,
    /// The user.
    pub sub: UserId,
    /// The client, and nobody else.
    pub aud: Audience,
    /// Until when the client may take it in.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// When the user last proved who they are.
    pub auth_time: i64,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// What the client asked to be told again, so that nobody else's token can be slipped to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// What binds the access token to it (§3.1.3.6).
    pub at_hash: String,
    /// The session: a log-out names it (OIDC Back-Channel Logout 1.0 §2.1).
    pub sid: SessionId,
    /// With scope `profile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// With scope `email`, where there is an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Beside `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

/// The claims of a logout token (OIDC Back-Channel Logout 1.0 §2.4): what a client learns of a session that has ended.
/// Never a `nonce`, by which it could pass for an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogoutClaims {
    /// Who issued it.
    pub iss: String,
    /// Whose session it was.
    pub sub: UserId,
    /// The client, and nobody else.
    pub aud: Audience,
    /// When it was issued.
    pub iat: i64,
    /// Until when the client may take it in.
    pub exp: i64,
    /// Its own identifier, never given twice.
    pub jti: String,
    /// What happened: the one event that says that this is a logout token.
    pub events: LogoutEvents,
    /// The session, as its ID tokens named it.
    pub sid: SessionId,
}

/// The `events` of a logout token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogoutEvents {
    /// The one that there must be.
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    pub backchannel_logout: NoMembers,
}

/// An object without members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoMembers {}

impl LogoutClaims {
    /// What `client` learns of the end of `session`; it may take that in `from` a time on, `until` another.
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

/// A time as claims write it (RFC 7519 §2, `NumericDate`), in whole seconds.
#[must_use]
pub fn numeric_date(time: DateTime<Utc>) -> i64 {
    time.timestamp()
}
