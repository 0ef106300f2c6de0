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
    /// [`NotAScope`] for other characters, and for a scope that is over-long as it is written.
    pub fn parse(text: &str) -> Result<Self, NotAScope> {
        Self::read(text, |_| true)
    }

    /// The tokens of `text` that are in `allowed`. The other ones do not count for the length: a request may be long,
    /// what it is granted is not.
    ///
    /// # Errors
    /// [`NotAScope`] for other characters, in any token.
    pub fn parse_within(text: &str, allowed: &Self) -> Result<Self, NotAScope> {
        Self::read(text, |token| allowed.contains(token))
    }

    fn read(text: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Self, NotAScope> {
        let token_character = |b: u8| matches!(b, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if !text.bytes().all(token_character) {
            return Err(NotAScope);
        }
        let mut tokens: Vec<String> = Vec::new();
        let mut length = 0;
        for token in text.split(' ').filter(|token| !token.is_empty() && is_wanted(token)) {
            if tokens.iter().any(|given| given == token) {
                continue;
            }
            length += token.len() + usize::from(!tokens.is_empty());
            if length > Self::MAX_LENGTH {
                return Err(NotAScope);
            }
            tokens.push(token.to_owned());
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

    #[test]
    fn the_bound_is_on_what_is_left() {
        let long = "x".repeat(Scope::MAX_LENGTH);
        assert_eq!(Scope::parse(&long).map(|s| s.to_string()), Ok(long.clone()));
        assert!(Scope::parse(&format!("  {long} {long}   {long} ")).is_ok(), "a repeated token counts once");
        assert_eq!(Scope::parse(&format!("{long} y")), Err(NotAScope));
        let allowed = Scope::parse("openid email").expect("a scope");
        for text in [
            format!("openid {long}"),
            format!("{long} {long}z openid"),
            format!("openid {}", "https://graph.example/Mail.Read ".repeat(1000)),
            "openid ".repeat(5000),
        ] {
            let within = Scope::parse_within(&text, &allowed).map(|scope| scope.to_string());
            assert_eq!(within, Ok("openid".to_owned()), "{text}");
        }
        assert_eq!(Scope::parse_within("openid gro\"ups", &allowed), Err(NotAScope));
        assert!(Scope::parse_within(&long, &allowed).is_ok_and(|scope| scope.is_empty()));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_written_back_as_an_equal_scope(text in ".{0,40}|[a-c\"\\\\é]{0,3}( [a-c]{1,2}){0,6}") {
            properties::scope(text.as_bytes());
        }

        #[test]
        fn reading_within_a_scope_is_reading_and_narrowing(text in "[a-d ]{0,40}", allowed in "[a-d ]{0,12}") {
            let allowed = Scope::parse(&allowed).expect("a scope");
            let within = Scope::parse(&text).map(|scope| scope.within(&allowed));
            prop_assert_eq!(Scope::parse_within(&text, &allowed), within);
        }
    }
}
