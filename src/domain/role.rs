//! Roles: names that an operator gives to accounts and that services read in the `roles` claim (RFC 9068 §2.2.3.1).

use serde::{Deserialize, Serialize};

/// A role's name: 1 to 32 of `a-z`, `0-9`, `-`, `_`, `.`, `:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(String);

/// The text is not a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is 1 to 32 of a-z, 0-9, '-', '_', '.' and ':'")]
pub struct NotARole;

impl Role {
    /// The most roles of one account: tokens carry all of them, and a token has at most 4096 bytes.
    pub const MOST: usize = 16;

    /// Reads a role's name.
    ///
    /// # Errors
    /// [`NotARole`] for other characters and other lengths.
    pub fn parse(text: &str) -> Result<Self, NotARole> {
        let well_formed = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.:".contains(&b));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(NotARole) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Role {
    type Error = NotARole;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.0
    }
}
