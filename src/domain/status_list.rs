//! Status lists (Token Status List, draft-ietf-oauth-status-list-21): they tell gateways which sessions
//! have ended, in one bit each.
//!
//! Every session has a status list index, which its access tokens name. A gateway that fetches the list once per
//! [`StatusListClaims::TTL`] learns of every revocation. Signet does not learn which tokens are in use.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// A session's status list and the session's index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusPosition {
    /// The number of the list.
    pub list: u16,
    /// The index in it, below [`StatusPosition::LIST_LENGTH`].
    pub index: u32,
}

impl StatusPosition {
    /// The number of indexes of a list: 128 KiB before compression.
    pub const LIST_LENGTH: u32 = 1 << 20;
}

/// The `status` claim of an access token (§6.1): it says where to learn whether the token is still valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusClaim {
    /// The one mechanism that Signet uses.
    pub status_list: StatusReference,
}

/// The status list index of a token (§6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReference {
    pub idx: u32,
    /// The URL of the list, which is its `sub` too.
    pub uri: String,
}

impl StatusClaim {
    /// The claim of a token whose session has `position`.
    #[must_use]
    pub fn of(issuer: &str, position: StatusPosition) -> Self {
        Self { status_list: StatusReference { idx: position.index, uri: list_uri(issuer, position.list) } }
    }
}

/// The claims of a status list token (§5.1). Times are whole seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusListClaims {
    /// The issuer. The draft does not require it; some verifiers compare the issuer of every token.
    pub iss: String,
    /// The URL of the list, which is the `uri` in tokens.
    pub sub: String,
    /// When the list was made.
    pub iat: i64,
    /// Verifiers must not rely on it from this time on.
    pub exp: i64,
    /// The seconds after which a copy should be fetched again (§13.7).
    pub ttl: u32,
    /// The list itself.
    pub status_list: StatusList,
}

impl StatusListClaims {
    /// The `ttl` of every list, in seconds: gateways refuse an ended session's tokens this late at most.
    pub const TTL: u32 = 60;

    /// How long a list is valid for gateways that cannot fetch a newer one.
    pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);

    /// The claims of list `number` with the bits `lst`, issued at `iat` and valid until `exp`.
    #[must_use]
    pub fn of(issuer: &str, number: u16, lst: String, iat: i64, exp: i64) -> Self {
        Self {
            iss: issuer.to_owned(),
            sub: list_uri(issuer, number),
            iat,
            exp,
            ttl: Self::TTL,
            status_list: StatusList { bits: StatusList::BITS, lst },
        }
    }
}

/// A status list in JSON (§4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusList {
    /// The number of bits per token.
    pub bits: u8,
    /// The bits, compressed and in base64url.
    pub lst: String,
}

impl StatusList {
    /// One bit holds the whole state of a token: `VALID`, 0, or `INVALID`, 1 (§7.1).
    pub const BITS: u8 = 1;
}

/// The URL of a list of `issuer`.
fn list_uri(issuer: &str, number: u16) -> String {
    format!("{issuer}/oauth/status-lists/{number}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_refers_to_its_list_by_the_lists_own_subject() {
        let claim = StatusClaim::of("https://id.example", StatusPosition { list: 65_535, index: 1_048_575 });
        let uri = "https://id.example/oauth/status-lists/65535";
        assert_eq!(serde_json::to_value(&claim).unwrap(), json!({"status_list": {"idx": 1_048_575, "uri": uri}}));
        let list = StatusListClaims::of("https://id.example", 65_535, "eNrbuRgAAhcBXQ".into(), 1000, 1300);
        assert_eq!(list.sub, claim.status_list.uri);
    }

    #[test]
    fn the_claims_of_a_list_are_those_of_the_draft() {
        let list = StatusListClaims::of("https://id.example", 0, "eNrbuRgAAhcBXQ".into(), 1000, 1300);
        let expected = json!({
            "iss": "https://id.example",
            "sub": "https://id.example/oauth/status-lists/0",
            "iat": 1000,
            "exp": 1300,
            "ttl": 60,
            "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"},
        });
        assert_eq!(serde_json::to_value(&list).unwrap(), expected);
        assert_eq!(serde_json::from_value::<StatusListClaims>(expected).unwrap(), list);
    }
}
