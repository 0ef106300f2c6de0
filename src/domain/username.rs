//! Usernames: public names, of which no two look or fold alike by accident of writing (RFC 8265 §3, UTS 39).

use std::{collections::BTreeSet, fmt, sync::Arc};

use icu_casemap::CaseMapper;
use precis_profiles::{
    UsernameCasePreserved,
    precis_core::{Error as PrecisError, profile::PrecisFastInvocation},
};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection, confusable_detection};

/// A username: how its owner wrote it, and the key that decides whether two names are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    display: String,
    key: String,
}

/// Why a text is no username. The messages are predicates of the field and never repeat what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAUsername {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More than [`Username::MAX_LENGTH`] code points, as written or normalized.
    #[error("must have at most {} characters", Username::MAX_LENGTH)]
    TooLong,
    /// It holds a character that no username may hold, or an accent without a letter under it.
    #[error("must consist of letters, digits, '.', '_' and '-' alone")]
    Character,
    /// It holds punctuation alone.
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

    /// How often a name is normalized and folded before it must be stable. No single character needs more than two
    /// rounds, the second of which only shows that nothing changes any more.
    const MAX_ROUNDS: usize = 4;

    /// Reads a name as a person typed it.
    ///
    /// The key is NFKC, full case folding and NFKC again, until nothing changes; only then are the rules applied to
    /// it: letters, marks and digits that UTS 39 §3.1 allows in identifiers, `.`, `_`, `-`; scripts mixed at most as
    /// UTS 39 §5.2 *highly restrictive* does; digits of one kind; the `IdentifierClass` and the Bidi rule of RFC 8265.
    /// There is never an `@`, so that a name is not mistaken for an email address. Each character of the written form
    /// must itself stand for allowed ones, since that form is displayed.
    ///
    /// A name never reads as a UUID, with or without its hyphens: operators and logs name accounts by their ids.
    ///
    /// White space around the name is not counted: keyboards of phones add it.
    ///
    /// # Errors
    /// [`NotAUsername`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NotAUsername> {
        let name = Self::parse_existing(text)?;
        if reads_as_uuid(&name.key) { Err(NotAUsername::Uuid) } else { Ok(name) }
    }

    /// Reads a name that an account may already have, for a look-up: names that read as UUIDs were allowed once.
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

    /// The way back from the database, whose rows hold only what [`parse`](Self::parse) made: nothing is checked, so
    /// that a name stays good where later Unicode tables would refuse it.
    #[must_use]
    pub fn from_stored(display: String, key: String) -> Self {
        Self { display, key }
    }

    /// As it was written at registration: only ever displayed, never compared.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.display
    }

    /// What the name looks like (UTS 39 §4): two names with one skeleton are drawn alike, in whatever scripts. It is
    /// stored under a unique index, and never displayed.
    ///
    /// The written form decides, since that is what people see: `PaypaI` looks like `Paypal`, and `paypai` does not.
    #[must_use]
    pub fn skeleton(&self) -> String {
        let drawn = |text: &str| -> String {
            let skeleton: String = confusable_detection::skeleton(text).collect();
            CaseMapper::new().fold_string(&skeleton).nfkc().collect()
        };
        // Folding may give letters that have look-alikes of their own.
        drawn(&drawn(&self.display.nfkc().collect::<String>()))
    }

    /// The key that decides whether two names are the same, stored under a unique index.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Names that only the operator can give, and what looks like them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ReservedUsernames(Arc<BTreeSet<String>>);

impl ReservedUsernames {
    #[must_use]
    pub fn new(names: &[Username]) -> Self {
        Self(Arc::new(names.iter().map(Username::skeleton).collect()))
    }

    #[must_use]
    pub fn contain(&self, name: &Username) -> bool {
        // The key too: a name may be written so that it looks like none, and folds to one.
        let folded = Username::from_stored(name.key.clone(), name.key.clone());
        self.0.contains(&name.skeleton()) || self.0.contains(&folded.skeleton())
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

/// Whether the text is 32 hexadecimal digits, however they are parted: parsers of UUIDs differ in that.
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

/// The name's key; `None` where it does not settle, which no known text does.
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

/// Applies the rules to a key. They ask nothing that folding could change, so a key is its own key.
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
        // The profile's word for a broken Bidi rule, and for that alone.
        Err(PrecisError::Invalid) => Err(NotAUsername::Direction),
        Ok(_) | Err(_) => Err(NotAUsername::Character),
    }
}

/// Whether every mark sits on a letter or digit, and not too many on one: a tower of accents spills over what is
/// displayed around the name.
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
