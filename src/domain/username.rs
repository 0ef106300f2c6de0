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

    /// What decides whether two names are the same: stored under a unique index.
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::properties;

    fn key(text: &str) -> String {
        Username::parse(text).unwrap_or_else(|error| panic!("{text:?} {error}")).key
    }

    /// Characters that show nothing, or move what stands beside them: controls, white space, bidi controls and all
    /// else of the property `Default_Ignorable_Code_Point`, private use, noncharacters.
    fn hidden() -> impl Iterator<Item = char> {
        let ranges = [
            ('\0', '\u{20}'),
            ('\u{7f}', '\u{a0}'),
            ('\u{ad}', '\u{ad}'),
            ('\u{34f}', '\u{34f}'),
            ('\u{61c}', '\u{61c}'),
            ('\u{115f}', '\u{1160}'),
            ('\u{1680}', '\u{1680}'),
            ('\u{17b4}', '\u{17b5}'),
            ('\u{180b}', '\u{180f}'),
            ('\u{2000}', '\u{200f}'),
            ('\u{2028}', '\u{202f}'),
            ('\u{205f}', '\u{206f}'),
            ('\u{3000}', '\u{3000}'),
            ('\u{3164}', '\u{3164}'),
            ('\u{e000}', '\u{f8ff}'),
            ('\u{fdd0}', '\u{fdef}'),
            ('\u{fe00}', '\u{fe0f}'),
            ('\u{feff}', '\u{feff}'),
            ('\u{ffa0}', '\u{ffa0}'),
            ('\u{fff0}', '\u{ffff}'),
            ('\u{1bca0}', '\u{1bca3}'),
            ('\u{1d173}', '\u{1d17a}'),
            ('\u{e0000}', '\u{e0fff}'),
            ('\u{f0000}', '\u{f00ff}'),
            ('\u{10ff00}', '\u{10ffff}'),
        ];
        ranges.into_iter().flat_map(|(first, last)| first..=last)
    }

    #[test]
    fn names_that_are_drawn_alike_have_one_skeleton() {
        let skeleton = |text| Username::parse(text).unwrap_or_else(|error| panic!("{text:?} {error}")).skeleton();
        for (one, other) in [
            ("paypal", "раураӏ"),
            ("paypal", "PaypaI"),
            ("paypal", "PAYPAI"),
            ("Paypal", "paypaI"),
            ("modern", "modem"),
            ("scope", "ѕсоре"),
            ("lol", "1o1"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} and {other}");
        }
        for (one, other) in [("paypal", "paypai"), ("ada", "adb"), ("eve1", "eve2"), ("anna", "anna2"), ("a.b", "a_b")]
        {
            assert_ne!(skeleton(one), skeleton(other), "{one} and {other}");
        }
    }

    #[test]
    fn reserved_names_are_reserved_in_every_spelling_and_likeness() {
        let read = |text| Username::parse(text).expect("a name");
        let reserved = ReservedUsernames::new(&[read("admin"), read("support")]);
        for text in ["admin", "Admin", "ADMIN", "ａｄｍｉｎ", "adrnin", "SUPPORT", "supp0rt"] {
            assert!(reserved.contain(&read(text)), "{text}");
        }
        for text in ["admins", "ada", "badmin"] {
            assert!(!reserved.contain(&read(text)), "{text}");
        }
        assert!(!ReservedUsernames::default().contain(&read("admin")));
    }

    #[test]
    fn no_name_reads_as_a_uuid() {
        let id = "01996f3e-7b1c-7d3a-8f00-0123456789ab";
        let full_width: String = id
            .chars()
            .map(|c| if c.is_ascii_digit() { char::from_u32(u32::from(c) + 0xfee0).unwrap() } else { c })
            .collect();
        for text in [id, &id.to_uppercase(), &id.replace('-', ""), &id.replace('-', "_"), &full_width] {
            assert_eq!(Username::parse(text), Err(NotAUsername::Uuid), "{text}");
            assert!(Username::parse_existing(text).is_ok(), "an older account may have it: {text}");
        }
        for text in [format!("{{{id}}}"), format!("urn:uuid:{id}")] {
            assert_eq!(Username::parse(&text), Err(NotAUsername::Character), "{text}");
        }
        for text in ["deadbeef", &id[1..], &format!("{id}0"), &id.replace('a', "g")] {
            assert!(Username::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn nothing_invisible_hides_in_a_name() {
        for c in hidden() {
            for name in [format!("{c}"), format!("a{c}b"), format!("{c}ada"), format!("ada{c}"), format!("김{c}김")] {
                assert!(Username::parse(&name).is_err(), "U+{:04X} in {name:?}", u32::from(c));
            }
            // Where joiners, variation selectors and fillers belong to the script.
            for name in [format!("क्{c}ष"), format!("ᠮᠣ{c}ᠩ"), format!("فا{c}رس"), format!("\u{1100}{c}\u{11a8}")]
            {
                assert!(Username::parse(&name).is_err(), "U+{:04X} in {name:?}", u32::from(c));
            }
        }
    }

    #[test]
    fn punctuation_and_symbols_of_other_grammars_are_refused() {
        for c in "@/\\:;,'\"`<>()[]{}|!?#$%&*+=^~ \t\r\n\0´¸·’‘…€§🙂\u{2044}\u{ff20}\u{2010}\u{2011}\u{2215}".chars()
        {
            let name = format!("a{c}b");
            // The ellipsis and the one-dot leader are the only ones that stand for allowed characters.
            let expected = if c == '…' { Ok("a...b") } else { Err(NotAUsername::Character) };
            let found = Username::parse(&name);
            assert_eq!(found.as_ref().map(Username::key).map_err(|e| *e), expected, "{name:?}");
        }
    }

    #[test]
    fn a_name_of_look_alikes_from_two_scripts_is_refused() {
        for bad in
            ["\u{430}dmin", "adm\u{456}n", "pаypal", "αdmin", "ad\u{3bf}", "a\u{b5}", "한ひ", "ada\u{561}", "שaם"]
        {
            assert_eq!(Username::parse(bad), Err(NotAUsername::MixedScripts), "{bad:?}");
        }
        assert_eq!(Username::parse("ক1২"), Err(NotAUsername::MixedScripts), "two kinds of digits");
    }

    #[test]
    fn a_name_that_would_be_drawn_out_of_order_is_refused() {
        for bad in ["1אב", "אב-", ".אב"] {
            assert_eq!(Username::parse(bad), Err(NotAUsername::Direction), "{bad:?}");
        }
        assert_eq!(key("אב1"), "אב1");
    }

    #[test]
    fn a_tower_of_accents_is_refused() {
        let tower = |marks| format!("q{}", "\u{323}".repeat(marks));
        assert!(Username::parse(&tower(6)).is_ok());
        for bad in [tower(7).as_str(), "\u{301}ada", "ada.\u{301}", "\u{301}"] {
            assert_eq!(Username::parse(bad), Err(NotAUsername::Character), "{bad:?}");
        }
    }

    #[test]
    fn one_name_has_one_key_however_it_is_written() {
        let same: [&[&str]; 8] = [
            &["ada", "ADA", "Ada", "ａｄａ", "𝐀𝐝𝐚", "ᴬᵈᵃ", "ⓐⓓⓐ"],
            &["k", "K", "\u{212a}"],
            &["straße", "STRASSE", "Straẞe", "ﬆraſſe"],
            &["josé", "jose\u{301}", "JOSE\u{301}"],
            &["σοφος", "ΣΟΦΟΣ", "σοφοσ"],
            &["file", "ﬁle"],
            &["김", "\u{1100}\u{1175}\u{11b7}"],
            &["a2", "a²", "a２"],
        ];
        for names in same {
            for name in names {
                assert_eq!(key(name), key(names[0]), "{name:?}");
            }
        }
    }

    #[test]
    fn names_of_the_world_are_welcome() {
        let names = "ada ada.lovelace_1815- 7 Ægir Łukasz Yıldız İpek Nguyễn Сергей Ελένη Դավիթ דוד محمد علی कृष्ण কৃষ্ণ \
                     สมชาย 山田太郎 ひろし ヒロシ 김철수 李小龙 ada山田 მარიამ አበበ மாரி ကျော် ខ្មែរ";
        for name in names.split_whitespace() {
            assert_eq!(Username::parse(name).as_ref().map(Username::as_written), Ok(name));
        }
    }

    #[test]
    fn emptiness_length_and_bare_punctuation_are_told_apart() {
        assert_eq!(Username::parse(""), Err(NotAUsername::Empty));
        assert_eq!(Username::parse("._-"), Err(NotAUsername::NoLetterOrDigit));
        assert!(Username::parse(&"山".repeat(64)).is_ok());
        assert_eq!(Username::parse(&"a".repeat(65)), Err(NotAUsername::TooLong));
        assert_eq!(Username::parse(&"ﬃ".repeat(22)), Err(NotAUsername::TooLong), "66 letters when written out");
    }

    #[test]
    fn messages_never_repeat_the_name() {
        for bad in ["<secret>", "secr\u{435}t", &"secret".repeat(20)] {
            let message = Username::parse(bad).map_err(|error| error.to_string());
            assert!(message.is_err_and(|text| text.starts_with("must ") && !text.contains("secr")));
        }
    }

    #[test]
    fn every_character_alone_settles_and_is_its_own_key() {
        for c in '\0'..=char::MAX {
            if c.nfkc().all(is_name_character) {
                assert!(fold(&c.to_string()).is_some(), "U+{:04X} does not settle", u32::from(c));
            }
            if let Ok(name) = Username::parse(&c.to_string()) {
                assert_eq!(Username::parse(name.key()).as_ref().map(Username::key), Ok(name.key()));
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_is_its_own_key(
            text in prop_oneof![
                "\\PC{0,70}", ".{0,12}", "[\\p{L}\\p{M}\\p{N}._-]{1,8}", "[\\p{Latin}\\p{M}]{1,12}", "[\\p{Greek}\\p{M}]{1,8}",
                "[\\p{Arabic}0-9]{1,8}", "[\\p{Han}\\p{Katakana}\\p{Hangul}]{1,6}", "[\\p{Devanagari}]{1,6}",
            ]
        ) {
            properties::username(text.as_bytes());
        }

        #[test]
        fn a_name_keeps_its_key_in_every_spelling(
            // Letters with marks, look-alikes, ligatures, and what folds to something longer.
            text in "[a-zA-Zſßẞ\u{130}ıİŁłǅﬁﬀ\u{300}-\u{308}\u{323}éÉΣςσµＡａ𝐀²②\u{1e9e}\u{212a}\u{212b}K]{1,10}"
        ) {
            properties::username(text.as_bytes());
        }
    }
}
