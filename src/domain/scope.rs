//! Scopes (RFC 6749 §3.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Scope tokens, each once, in the order in which they were first given; written with single spaces. May be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Vec<String>);

/// The text is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is words of printable ASCII without '\"' and '\\', parted by spaces, {} bytes in all",
    Scope::MAX_LENGTH
)]
pub struct NotAScope;

impl Scope {
    /// The longest scope, in bytes: tokens carry it, and their size is bounded.
    pub const MAX_LENGTH: usize = 512;

    /// Reads `scope` (RFC 6749 §3.3). A token given twice counts once, and so does a run of spaces.
    ///
    /// # Errors
    /// [`NotAScope`] for other characters and over-long text.
    pub fn parse(text: &str) -> Result<Self, NotAScope> {
        let token_character = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if text.len() > Self::MAX_LENGTH {
            return Err(NotAScope);
        }
        let mut tokens: Vec<String> = Vec::new();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !token.bytes().all(token_character) {
                return Err(NotAScope);
            }
            if !tokens.iter().any(|given| given == token) {
                tokens.push(token.to_owned());
            }
        }
        Ok(Self(tokens))
    }

    /// Whether every token of this scope is in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|token| other.contains(token))
    }

    /// Its values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `token` is in this scope.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|given| given == token)
    }

    /// The tokens of this scope that are in `one` or in `other`.
    #[must_use]
    pub fn of_either(mut self, one: &Self, other: &Self) -> Self {
        self.0.retain(|token| one.contains(token) || other.contains(token));
        self
    }

    /// The tokens of this scope that are in `allowed`.
    #[must_use]
    pub fn within(mut self, allowed: &Self) -> Self {
        self.0.retain(|token| allowed.contains(token));
        self
    }

    /// This scope without `tokens`.
    #[must_use]
    pub fn without(mut self, tokens: &[&str]) -> Self {
        self.0.retain(|token| !tokens.contains(&token.as_str()));
        self
    }

    /// Whether the scope is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, token) in self.0.iter().enumerate() {
            write!(f, "{}{token}", if n == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::properties;

    #[test]
    fn only_the_characters_of_rfc_6749_make_a_scope() {
        for bad in ["a\"b", "a\\b", "ä", "a\tb", "a\0b", &"x".repeat(513)] {
            assert_eq!(Scope::parse(bad), Err(NotAScope), "{bad:?}");
        }
        assert_eq!(Scope::parse("  b   a ").map(|s| s.to_string()), Ok("b a".to_owned()));
        assert!(Scope::parse(" ").is_ok_and(|scope| scope.is_empty()));
        assert_eq!(Scope::parse("b a b").map(|s| s.to_string()), Ok("b a".to_owned()));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_written_back_as_an_equal_scope(text in ".{0,40}|[a-c\"\\\\é]{0,3}( [a-c]{1,2}){0,6}") {
            properties::scope(text.as_bytes());
        }
    }
}
