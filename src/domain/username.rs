//! Usernames: public names. No two of them look alike or fold alike by accident of writing (RFC 8265 §3, UTS 39).

use std::{collections::BTreeSet, fmt, sync::Arc};

use icu_casemap::CaseMapper;
use precis_profiles::{
    UsernameCasePreserved,
    precis_core::{Error as PrecisError, profile::PrecisFastInvocation},
};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection, confusable_detection};

/// A username: the name as its owner wrote it, and the key that decides whether two names are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    display: String,
    key: String,
}

/// The reason why a text is not a username. The messages are predicates of the field and never repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAUsername {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more than [`Username::MAX_LENGTH`] code points, as written or normalized.
    #[error("must have at most {} characters", Username::MAX_LENGTH)]
    TooLong,
    /// It holds a character that no username may hold, or an accent without a letter under it.
    #[error("must consist of letters, digits, '.', '_' and '-' alone")]
    Character,
    /// It holds only punctuation.
    #[error("must contain a letter or a digit")]
    NoLetterOrDigit,
    /// Its letters or digits come from writing systems that are not used together.
    #[error("must keep to the letters and digits of one writing system")]
    MixedScripts,
    /// Parts of it would be drawn in another order than they are stored (RFC 5893 §2).
    #[error("must begin and end with a letter, or end with a digit, where it is written from right to left")]
    Direction,
    /// It reads as a UUID, which an account's id is.
    #[error("must not have the form of a UUID")]
    Uuid,
}

impl Username {
    /// The longest name, in code points.
    pub const MAX_LENGTH: usize = 64;

    /// The most accents on one letter. UTS 39 §5.4 advises four nonspacing ones; spacing vowel signs count here too.
    const MAX_MARKS: usize = 6;

    /// The most rounds of normalizing and folding until a name must be stable. No single character needs more than two
    /// rounds; the second only shows that nothing changes any more.
    const MAX_ROUNDS: usize = 4;

    /// Reads a name as a person typed it.
    ///
    /// The key is NFKC, full case folding and NFKC again, until nothing changes. The rules apply to the key: it
    /// consists of letters, marks and digits that UTS 39 §3.1 allows in identifiers, and of `.`, `_`, `-`. Scripts are
    /// mixed at most as UTS 39 §5.2 *highly restrictive* allows, and all digits are of one kind. The `IdentifierClass`
    /// and the Bidi rule of RFC 8265 hold.
    ///
    /// A name never contains an `@`, so that it is not mistaken for an email address. The written form is displayed, so
    /// each of its characters must itself stand for allowed ones.
    ///
    /// A name never reads as a UUID, with or without its hyphens: operators and logs name accounts by their ids.
    ///
    /// White space around the name is ignored: phone keyboards add it.
    ///
    /// # Errors
    /// [`NotAUsername`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NotAUsername> {
        let name = Self::parse_existing(text)?;
        if reads_as_uuid(&name.key) { Err(NotAUsername::Uuid) } else { Ok(name) }
    }

    /// Parses a name that an account may already have, for a lookup: older versions allowed names that read as UUIDs.
    ///
    /// # Errors
    /// [`NotAUsername`] says which other rule the text breaks.
    pub fn parse_existing(text: &str) -> Result<Self, NotAUsername> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NotAUsername::Empty);
        }
        if is_over_long(text) {
            return Err(NotAUsername::TooLong);
        }
        if !text.chars().all(|written| written.nfkc().all(is_name_character)) {
            return Err(NotAUsername::Character);
        }
        let key = fold(text).ok_or(NotAUsername::Character)?;
        check(&key)?;
        Ok(Self { display: text.to_owned(), key })
    }

    /// Restores a name from the database, whose rows hold only results of [`parse`](Self::parse). Nothing is checked,
    /// so that a name stays valid even if later Unicode tables would refuse it.
    #[must_use]
    pub fn from_stored(display: String, key: String) -> Self {
        Self { display, key }
    }

    /// The name as its owner wrote it at registration: only displayed, never compared.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.display
    }

    /// The skeleton of the name (UTS 39 §4): two names with one skeleton look alike, in any scripts. The skeleton is
    /// stored under a unique index, and never displayed.
    ///
    /// The skeleton comes from the written form, because people see that form: `PaypaI` looks like `Paypal`, and
    /// `paypai` does not.
    #[must_use]
    pub fn skeleton(&self) -> String {
        let drawn = |text: &str| -> String {
            let skeleton: String = confusable_detection::skeleton(text).collect();
            CaseMapper::new().fold_string(&skeleton).nfkc().collect()
        };
        // Folding may produce letters that have look-alikes of their own.
        drawn(&drawn(&self.display.nfkc().collect::<String>()))
    }

    /// The key that decides whether two names are the same: stored under a unique index.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The names that only the operator can give, and their look-alikes. Clones share the names.
#[derive(Debug, Clone, Default)]
pub struct ReservedUsernames(Arc<BTreeSet<String>>);

impl ReservedUsernames {
    #[must_use]
    pub fn new(names: &[Username]) -> Self {
        Self(Arc::new(names.iter().map(Username::skeleton).collect()))
    }

    #[must_use]
    pub fn contain(&self, name: &Username) -> bool {
        // Check the key too: a name may look like no reserved name as written, and still fold to one.
        let folded = Username::from_stored(name.key.clone(), name.key.clone());
        self.0.contains(&name.skeleton()) || self.0.contains(&folded.skeleton())
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

/// Whether the text is 32 hexadecimal digits with any separators: UUID parsers accept different ones.
fn reads_as_uuid(text: &str) -> bool {
    let mut digits = text.chars().filter(|c| !matches!(c, '.' | '_' | '-'));
    digits.clone().count() == 32 && digits.all(|c| c.is_ascii_hexdigit())
}

fn is_over_long(text: &str) -> bool {
    text.chars().nth(Username::MAX_LENGTH).is_some()
}

fn is_letter_or_digit(c: char) -> bool {
    c.is_alphanumeric() && !is_combining_mark(c)
}

fn is_name_character(c: char) -> bool {
    matches!(c, '.' | '_' | '-') || c.is_alphanumeric() || is_combining_mark(c)
}

/// The name's key; `None` if the key never becomes stable, which happens for no known text.
fn fold(text: &str) -> Option<String> {
    let mut key: String = text.nfkc().collect();
    for _ in 0..Username::MAX_ROUNDS {
        let next: String = CaseMapper::new().fold_string(&key).nfkc().collect();
        if next == key {
            return Some(key);
        }
        key = next;
    }
    None
}

/// Applies the rules to a key. No rule depends on anything that folding changes, so a key is its own key.
fn check(key: &str) -> Result<(), NotAUsername> {
    if is_over_long(key) {
        return Err(NotAUsername::TooLong);
    }
    if !key.chars().all(|c| is_name_character(c) && c.identifier_allowed()) || !marks_have_letters(key) {
        return Err(NotAUsername::Character);
    }
    if !key.chars().any(is_letter_or_digit) {
        return Err(NotAUsername::NoLetterOrDigit);
    }
    // Digits of several kinds look alike with other values: U+09EA is a Bengali four and looks like an 8 (UTS 39 §5.3).
    let other_digit = |c: char| !c.is_ascii() && c.is_numeric();
    let mixes_digits = key.contains(|c: char| c.is_ascii_digit()) && key.contains(other_digit);
    if mixes_digits || !key.check_restriction_level(RestrictionLevel::HighlyRestrictive) {
        return Err(NotAUsername::MixedScripts);
    }
    match UsernameCasePreserved::enforce(key) {
        Ok(enforced) if enforced == key => Ok(()),
        // The profile returns this error only for a broken Bidi rule.
        Err(PrecisError::Invalid) => Err(NotAUsername::Direction),
        Ok(_) | Err(_) => Err(NotAUsername::Character),
    }
}

/// Whether every mark sits on a letter or digit, with a bounded number on each: stacked accents cover the text around
/// the name.
fn marks_have_letters(key: &str) -> bool {
    let mut room = 0_usize;
    key.chars().all(|c| {
        if is_combining_mark(c) {
            let fits = room > 0;
            room = room.saturating_sub(1);
            return fits;
        }
        room = if is_letter_or_digit(c) { Username::MAX_MARKS } else { 0 };
        true
    })
}

#[cfg(test)]
mod tests;
