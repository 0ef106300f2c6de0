//! Client assertions (RFC 7523 §3): a JWT that a client signs with its own key, in place of a secret.

use chrono::TimeDelta;
use serde::Deserialize;

use super::{claims::Audience, ids::ClientId, numeric_date};

/// The `client_assertion_type` of a JWT (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The algorithms that may sign an assertion. The client's key decides which one, never the assertion itself.
pub const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "RS256", "PS256"];

/// The longest time until an assertion ends. Signet remembers each assertion that long, so that it is accepted once.
/// Popular libraries let it live for an hour by default.
pub const LONGEST: TimeDelta = TimeDelta::hours(1);

/// The largest difference between the clocks of clients and ours.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// The longest `jti`, in bytes.
const MAX_JTI: usize = 512;

/// The claims of an assertion. Times are in seconds since 1970; fractions are cut off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AssertionClaims {
    /// The client that made the assertion.
    pub iss: ClientId,
    /// The client that the assertion is about: the same one.
    pub sub: ClientId,
    /// The parties that the assertion is for.
    pub aud: Audience,
    /// When the assertion expires.
    #[serde(deserialize_with = "numeric_date::required")]
    pub exp: i64,
    /// The assertion's own identifier: no other assertion of this client has it.
    pub jti: String,
    /// When the assertion was made.
    #[serde(default, deserialize_with = "numeric_date::optional")]
    pub iat: Option<i64>,
    /// When the assertion becomes valid.
    #[serde(default, deserialize_with = "numeric_date::optional")]
    pub nbf: Option<i64>,
}

/// The reason why an assertion is not valid. A client gets one answer for all reasons; the log has the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAssertion {
    /// `iss` names another client, or `jti` is empty or too long.
    #[error("the claims name two clients, or no assertion")]
    Claims,
    /// `aud` is empty, or names a party other than this issuer.
    #[error("for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `exp` is further ahead than [`LONGEST`].
    #[error("it ends too far ahead")]
    TooLong,
    /// `iat` or `nbf` is further ahead than clocks differ.
    #[error("not valid yet")]
    NotYetValid,
}

impl NotAnAssertion {
    /// The reason in one word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claims => "assertion_claims",
            Self::Audience => "assertion_audience",
            Self::Expired => "assertion_expired",
            Self::TooLong => "assertion_lifetime",
            Self::NotYetValid => "assertion_not_yet",
        }
    }
}

impl AssertionClaims {
    /// Checks the claims of an assertion at `now` in seconds, after its signature was verified as that of the client
    /// `sub`. `ours` are the names by which the assertion may call this issuer.
    ///
    /// Every `aud` value must name this issuer: another audience of the assertion could present it here.
    ///
    /// # Errors
    /// [`NotAnAssertion`].
    pub fn judge(&self, ours: &[&str], now: i64) -> Result<(), NotAnAssertion> {
        let for_us = |name: &String| ours.contains(&name.as_str());
        let is_ours = match &self.aud {
            Audience::One(name) => for_us(name),
            Audience::Many(names) => !names.is_empty() && names.iter().all(for_us),
        };
        let (skew, longest) = (SKEW.num_seconds(), LONGEST.num_seconds());
        if self.iss != self.sub || !(1..=MAX_JTI).contains(&self.jti.len()) {
            Err(NotAnAssertion::Claims)
        } else if !is_ours {
            Err(NotAnAssertion::Audience)
        } else if self.exp <= now - skew {
            Err(NotAnAssertion::Expired)
        } else if self.exp > now + longest + skew {
            Err(NotAnAssertion::TooLong)
        } else if [self.iat, self.nbf].into_iter().flatten().any(|from| from > now + skew) {
            Err(NotAnAssertion::NotYetValid)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const OURS: [&str; 2] = ["https://id.example", "https://id.example/oauth/token"];

    fn judged(change: impl FnOnce(&mut Value)) -> Option<Result<(), NotAnAssertion>> {
        let mut claims = json!({"iss": "app", "sub": "app", "aud": OURS[0], "exp": NOW + 60, "jti": "1"});
        change(&mut claims);
        serde_json::from_value::<AssertionClaims>(claims).ok().map(|claims| claims.judge(&OURS, NOW))
    }

    fn with(name: &str, value: Value) -> Option<Result<(), NotAnAssertion>> {
        judged(|claims| claims[name] = value)
    }

    #[test]
    fn every_claim_but_the_beginning_is_required_and_of_its_type() {
        assert_eq!(judged(|_| ()), Some(Ok(())));
        for name in ["iss", "sub", "aud", "exp", "jti"] {
            let without = judged(|claims| {
                claims.as_object_mut().expect("an object").remove(name);
            });
            assert_eq!(without, None, "{name}");
            assert_eq!(with(name, Value::Null), None, "{name}");
            assert_eq!(with(name, json!({"a": 1})), None, "{name}");
        }
        for name in ["exp", "iat", "nbf"] {
            assert_eq!(with(name, json!(1_800_000_000.5)), Some(Ok(())), "{name}");
            assert_eq!(with(name, json!((NOW + 1).to_string())), None, "{name}");
            assert_eq!(with(name, Value::Null), None, "{name}");
        }
    }

    #[test]
    fn nobody_speaks_for_another() {
        assert_eq!(with("iss", json!("other")), Some(Err(NotAnAssertion::Claims)));
        assert_eq!(with("sub", json!("other")), Some(Err(NotAnAssertion::Claims)));
        assert_eq!(with("jti", json!("")), Some(Err(NotAnAssertion::Claims)));
        assert_eq!(with("jti", json!("x".repeat(MAX_JTI + 1))), Some(Err(NotAnAssertion::Claims)));
    }

    #[test]
    fn it_is_for_us_and_for_nobody_else() {
        for good in [json!(OURS[0]), json!(OURS[1]), json!([OURS[1]]), json!(OURS)] {
            assert_eq!(with("aud", good.clone()), Some(Ok(())), "{good}");
        }
        for bad in [
            json!(""),
            json!([]),
            json!("https://id.example/"),
            json!("https://ID.example"),
            json!("https://id.example/oauth"),
            json!("https://other.example"),
            json!([OURS[0], "https://other.example"]),
        ] {
            assert_eq!(with("aud", bad.clone()), Some(Err(NotAnAssertion::Audience)), "{bad}");
        }
    }

    #[test]
    fn it_lives_shortly_and_now() {
        for (exp, judgement) in [
            (NOW - 30, Err(NotAnAssertion::Expired)),
            (NOW - 29, Ok(())),
            (NOW + 3630, Ok(())),
            (NOW + 3631, Err(NotAnAssertion::TooLong)),
        ] {
            assert_eq!(with("exp", json!(exp)), Some(judgement), "{exp}");
        }
        for name in ["iat", "nbf"] {
            assert_eq!(with(name, json!(NOW + 30)), Some(Ok(())), "{name}");
            assert_eq!(with(name, json!(NOW + 31)), Some(Err(NotAnAssertion::NotYetValid)), "{name}");
        }
        assert_eq!(with("exp", json!(i64::MIN)), Some(Err(NotAnAssertion::Expired)));
        assert_eq!(with("exp", json!(i64::MAX)), Some(Err(NotAnAssertion::TooLong)));
    }
}
