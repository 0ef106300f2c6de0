//! The claims of an access token (RFC 9068 §2.2).

use serde::{Deserialize, Deserializer};

use crate::{clock::numeric_date, error::Distrust};

/// How far in the future a token may have been issued, in seconds: the issuer's clock may be ahead of ours.
pub(crate) const MAX_SKEW: i64 = 30;

/// The claims of an access token that has been verified. Times are whole seconds since 1970.
///
/// What is optional is there where a user logged in, and absent with client credentials; [`sid`](Self::sid) tells the
/// two apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The user's id, or the client's for client credentials.
    pub sub: String,
    /// The resource servers that it is for.
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// When it ends.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its own identifier, never given twice.
    pub jti: String,
    /// The client that it was issued to. A user's token is not the user: what this client may do for them, `scope` says.
    pub client_id: String,
    /// What it allows: words with a space between them. Ask [`has_scope`](Self::has_scope).
    pub scope: String,
    /// The session.
    pub sid: Option<String>,
    /// When the user last proved who they are (OpenID Connect Core §2).
    pub auth_time: Option<i64>,
    /// How (RFC 8176).
    #[serde(default)]
    pub amr: Vec<String>,
    /// The username, as it was written at registration. It may change; `sub` does not. Tokens of clients that are not
    /// first-party have it with scope `profile` alone.
    pub preferred_username: Option<String>,
    /// The account's roles at issue. Tokens of clients that are not first-party have them with scope `roles` alone.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Where to ask whether it has been revoked.
    #[serde(default, deserialize_with = "present")]
    pub status: Option<Status>,
    /// Before when it is not valid: Signet never writes it, and it is honoured all the same.
    #[serde(default, deserialize_with = "present")]
    nbf: Option<i64>,
}

/// The `status` claim (Token Status List §6.1).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The one mechanism that Signet uses.
    pub status_list: StatusReference,
}

/// A place in a status list (Token Status List §6.2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct StatusReference {
    /// The index.
    pub idx: u64,
    /// Where the list is, which is its name too.
    pub uri: String,
}

impl Claims {
    /// Whether the token allows `scope`, a single word.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|word| !word.is_empty() && word == scope)
    }

    /// Whether the user had `role` when the token was issued.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Whether whatever must say something does.
    pub(crate) fn is_whole(&self) -> bool {
        ![&self.sub, &self.jti, &self.client_id].into_iter().any(String::is_empty)
    }

    /// Judges the claims (RFC 9068 §4) at `now`, for the service named `audience`; `leeway` is added to `exp`.
    pub(crate) fn judge(&self, issuer: &str, audience: &str, leeway: i64, now: i64) -> Result<(), Distrust> {
        if self.iss != issuer {
            Err(Distrust::WrongIssuer)
        } else if !self.aud.iter().any(|name| name == audience) {
            Err(Distrust::WrongAudience)
        } else if self.exp.saturating_add(leeway) <= now {
            Err(Distrust::Expired)
        } else if [Some(self.iat), self.nbf].into_iter().flatten().any(|from| from > now.saturating_add(MAX_SKEW)) {
            Err(Distrust::NotYetValid)
        } else {
            Ok(())
        }
    }

    /// How long the token is still good at `now`, its leeway aside; zero where it has expired.
    #[must_use]
    pub fn expires_in(&self, now: std::time::SystemTime) -> std::time::Duration {
        let seconds = self.exp.saturating_sub(numeric_date(now));
        std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }
}

/// `aud` is one string or an array of them (RFC 7519 §4.1.3).
fn one_or_many<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Names::deserialize(value)? {
        Names::One(name) => vec![name],
        Names::Many(names) => names,
    })
}

/// Unlike an `Option` by itself, this refuses `null`: a check must not vanish with its claim's value.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn claims(change: impl FnOnce(&mut Value)) -> Result<Claims, serde_json::Error> {
        let mut value = json!({
            "iss": "https://id.example.com", "sub": "u", "aud": ["x", "api"], "exp": 1_000, "iat": 900, "jti": "j",
            "client_id": "c", "scope": "openid orders:read"
        });
        change(&mut value);
        serde_json::from_value(value)
    }

    #[test]
    fn a_status_that_is_null_or_of_another_mechanism_does_not_pass_for_none() {
        assert!(claims(|claims| claims["status"] = Value::Null).is_err());
        assert!(claims(|claims| claims["status"] = json!({})).is_err());
        assert!(claims(|claims| claims["status"] = json!({"status_list": {"idx": -1, "uri": "u"}})).is_err());
        assert_eq!(claims(|_| ()).unwrap().status, None);
    }

    #[test]
    fn a_scope_is_a_whole_word() {
        let claims = claims(|_| ()).unwrap();
        assert!(claims.has_scope("openid") && claims.has_scope("orders:read"));
        for other in ["orders", "orders:rea", "read", "", " ", "openid orders:read", "OpenID"] {
            assert!(!claims.has_scope(other), "{other:?}");
        }
    }

    #[test]
    fn a_token_ends_with_its_last_second() {
        let claims = claims(|_| ()).unwrap();
        let judge = |leeway, now| claims.judge("https://id.example.com", "api", leeway, now);
        assert_eq!((judge(0, 999), judge(0, 1_000)), (Ok(()), Err(Distrust::Expired)));
        assert_eq!((judge(30, 1_029), judge(30, 1_030)), (Ok(()), Err(Distrust::Expired)));
        assert_eq!((judge(0, 870), judge(0, 869)), (Ok(()), Err(Distrust::NotYetValid)));
    }

    proptest! {
        #[test]
        fn no_time_is_too_wild_to_be_judged(exp: i64, iat: i64, nbf: i64, leeway in 0..=30_i64, now in 0..i64::MAX) {
            let claims = claims(|claims| {
                claims["exp"] = exp.into();
                claims["iat"] = iat.into();
                claims["nbf"] = nbf.into();
            })
            .unwrap();
            let accepted = claims.judge("https://id.example.com", "api", leeway, now).is_ok();
            let (exp, now) = (i128::from(exp), i128::from(now));
            prop_assert!(!accepted || exp + i128::from(leeway) > now);
            prop_assert!(!accepted || i128::from(iat.max(nbf)) <= now + 30);
        }
    }
}
