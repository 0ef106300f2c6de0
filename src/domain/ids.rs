//! Identifiers: one type each, so that no two can be swapped.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::document_url;

/// The subject of a user's tokens: a `UUIDv7`, never given to another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

/// A session's identifier: the `sid` of its tokens. A `UUIDv7`: later sessions have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// When the session began, to the millisecond, by the clock of the replica that drew the id (RFC 9562 §5.7).
    #[must_use]
    pub fn began(self) -> DateTime<Utc> {
        let milliseconds = i64::try_from(self.0.as_u128() >> 80).unwrap_or(0);
        DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An OAuth client's identifier (RFC 6749 §2.2): 1 to 64 of the unreserved characters of RFC 3986, never a UUID, so
/// that a client's `sub` is never a user's (RFC 9700 §4.15). Or a URL, as [`document_url::parse`] takes it: then the
/// client's metadata is the document at that URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

/// The text is not a client identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a client id is 1 to {} letters, digits, '-', '.', '_' or '~', and no UUID; or the https URL of its metadata",
    ClientId::MAX_LENGTH
)]
pub struct NotAClientId;

impl ClientId {
    /// The longest identifier that is no URL, in bytes: tokens carry it, and they are bounded.
    pub const MAX_LENGTH: usize = 64;
    const FIRST_PARTY: &str = "first-party";
    const PAGES: &str = "pages";

    /// Parses an identifier as clients and operators write it.
    ///
    /// # Errors
    /// [`NotAClientId`] for other characters, other lengths and UUIDs.
    pub fn parse(text: &str) -> Result<Self, NotAClientId> {
        let well_formed = (1..=Self::MAX_LENGTH).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        if (well_formed && Uuid::parse_str(text).is_err()) || document_url::parse(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAClientId)
        }
    }

    /// Whether this is a URL, where the client's metadata is.
    #[must_use]
    pub fn is_url(&self) -> bool {
        document_url::is_url(&self.0)
    }

    /// The host of a URL, as people are shown it; `None` for other identifiers.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        document_url::host(&self.0)
    }

    /// The built-in public first-party client: requests that name no client belong to it.
    #[must_use]
    pub fn first_party() -> Self {
        Self(Self::FIRST_PARTY.to_owned())
    }

    /// Whether this is the built-in client, which has no row in the database.
    #[must_use]
    pub fn is_first_party(&self) -> bool {
        self.0 == Self::FIRST_PARTY
    }

    /// The client id of the browser pages. A login there is a session of this client, which gets no tokens. Clients that
    /// the browser then logs in to get their own sessions, with that one as parent.
    #[must_use]
    pub fn pages() -> Self {
        Self(Self::PAGES.to_owned())
    }

    /// Whether the id is reserved for a built-in client, so that it cannot be registered.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        [Self::FIRST_PARTY, Self::PAGES].contains(&self.0.as_str())
    }

    /// The identifier as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientId {
    type Error = NotAClientId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_never_a_uuid_in_any_spelling() {
        for uuid in ["0198f0f0-0000-7000-8000-000000000000", "0198F0F0000070008000000000000000"] {
            assert_eq!(ClientId::parse(uuid), Err(NotAClientId), "{uuid}");
        }
    }

    #[test]
    fn a_client_id_is_short_and_plain() {
        assert!(ClientId::parse("orders.api_v2~x").is_ok());
        for bad in ["", "a b", "a\0", "ä", "a/b", &"x".repeat(65)] {
            assert_eq!(ClientId::parse(bad), Err(NotAClientId), "{bad:?}");
        }
    }

    #[test]
    fn a_url_is_a_client_id_in_one_spelling() {
        let id = ClientId::parse("https://app.example/client.json").expect("a URL");
        assert!(id.is_url() && !id.is_built_in());
        assert_eq!(id.host().as_deref(), Some("app.example"));
        for bad in ["https://app.example", "https://App.example/c", "http://app.example/c", "https://app.example/../c"]
        {
            assert_eq!(ClientId::parse(bad), Err(NotAClientId), "{bad:?}");
        }
        let plain = ClientId::parse("https").expect("a word");
        assert!(!plain.is_url() && plain.host().is_none());
    }
}
