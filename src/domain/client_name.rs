//! The names of clients, which users read before they consent. A name reads as it is written, and no client passes for
//! another.

use icu_casemap::CaseMapper;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::{
    GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection, confusable_detection::skeleton,
};

/// The longest name, in bytes.
const MAX_LENGTH: usize = 100;

/// Ranges of characters that are invisible, or that move the text beside them: bidi controls and the rest of the
/// property `Default_Ignorable_Code_Point`, blank letters, private use, noncharacters.
const HIDDEN: [(char, char); 25] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{e000}', '\u{f8ff}'),
    ('\u{fdd0}', '\u{fdef}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffc}'),
    ('\u{fffe}', '\u{ffff}'),
    ('\u{13430}', '\u{13455}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    ('\u{f0000}', '\u{fffff}'),
    ('\u{100000}', '\u{10ffff}'),
];

/// Whether a name reads as it is written: 1 to 100 bytes with a letter or digit, no hidden characters, and no white
/// space except single spaces between words.
#[must_use]
pub fn is_readable(name: &str) -> bool {
    let is_hidden = |letter: char| HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&letter));
    let bad = |letter: char| letter.is_control() || is_hidden(letter) || (letter.is_whitespace() && letter != ' ');
    (1..=MAX_LENGTH).contains(&name.len())
        && !name.contains(bad)
        && name.split(' ').all(|word| !word.is_empty())
        && name.contains(is_letter_or_digit)
}

/// Whether a stranger may give a client this name. Letters and digits are those that UTS 39 §3.1 allows in identifiers,
/// and scripts are mixed at most as §5.2 *highly restrictive* allows. Each mark is on a letter, and punctuation is
/// ASCII.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let allowed = |letter: char| {
        letter == ' '
            || letter.is_ascii_graphic()
            || ((is_letter_or_digit(letter) || is_combining_mark(letter)) && letter.identifier_allowed())
    };
    let words: String = name.nfc().filter(|letter| is_letter_or_digit(*letter) || is_combining_mark(*letter)).collect();
    is_readable(name)
        && name.nfc().all(allowed)
        && !words.starts_with(is_combining_mark)
        && words.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

/// Whether two names look alike, whatever their letter case, spaces and punctuation.
#[must_use]
pub fn look_alike(one: &str, other: &str) -> bool {
    key(one) == key(other)
}

fn key(name: &str) -> String {
    let letters: String =
        name.nfkc().filter(|letter| is_letter_or_digit(*letter) || is_combining_mark(*letter)).collect();
    skeleton(&CaseMapper::new().fold_string(&letters)).collect()
}

fn is_letter_or_digit(letter: char) -> bool {
    letter.is_alphanumeric() && !is_combining_mark(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_as_it_is_written() {
        for good in ["App", "Café – Müller & Co.", "7", "Сергей", "山田 Notes", "🚀 Rockets", "naïve"] {
            assert!(is_readable(good), "{good:?}");
        }
        for bad in [
            "",
            " ",
            "  ",
            "\u{3164}",
            "\u{200b}",
            "Go\u{200b}ogle",
            "\u{61c}abc",
            "a\u{202e}b",
            "a\u{2060}b",
            "a\u{feff}",
            "a\u{ad}b",
            "a\u{2028}b",
            "a\u{a0}b",
            "a\nb",
            " App",
            "App ",
            "A  b",
            "---",
            "a\u{2066}b",
            "a\u{e0041}",
        ] {
            assert!(!is_readable(bad), "{bad:?}");
        }
        assert!(!is_readable(&"x".repeat(101)));
    }

    #[test]
    fn a_stranger_mixes_no_scripts() {
        for good in ["Claude Code", "Café Müller & Co. (beta)", "山田 Notes", "Сергей"] {
            assert!(is_plain(good), "{good:?}");
        }
        for bad in ["G\u{43e}ogle", "\u{391}pp", "🚀", "Pay\u{2024}pal", "\u{301}App"] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_are_compared_by_how_they_look() {
        for (one, other) in
            [("Signet", "SIGNET"), ("Signet", "S i g n e t"), ("Signet", "sign.et"), ("App", "Ａpp"), ("Paul", "Pau1")]
        {
            assert!(look_alike(one, other), "{one} {other}");
        }
        assert!(!look_alike("Signet", "Signal"));
    }
}
