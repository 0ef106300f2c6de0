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

/// Ranges of symbols, which decorate a name: those of Latin-1, currencies, letterlike signs, arrows to miscellaneous
/// symbols, and emoji. Letters among them are no symbols.
const SYMBOLS: [(char, char); 12] = [
    ('\u{a1}', '\u{a9}'),
    ('\u{ac}', '\u{ac}'),
    ('\u{ae}', '\u{b1}'),
    ('\u{b4}', '\u{b4}'),
    ('\u{b6}', '\u{b6}'),
    ('\u{b8}', '\u{b8}'),
    ('\u{bf}', '\u{bf}'),
    ('\u{d7}', '\u{d7}'),
    ('\u{f7}', '\u{f7}'),
    ('\u{20a0}', '\u{20cf}'),
    ('\u{2100}', '\u{2bff}'),
    ('\u{1f000}', '\u{1fbff}'),
];

/// Signs that stand at the end of a word.
const TRADE_MARKS: [char; 4] = ['\u{a9}', '\u{ae}', '\u{2120}', '\u{2122}'];

/// A name as people write it, as it is registered: typographic punctuation becomes ASCII; white space is trimmed and
/// joined; control characters go; the length is cut to 100 bytes. `None` if nothing is left.
///
/// Hidden characters and letters stay as they are: they change what a name seems to be, so [`is_readable`] and
/// [`is_plain`] refuse them.
#[must_use]
pub fn tidied(name: &str) -> Option<String> {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            // Separators of lines and paragraphs are hidden characters.
            '\u{2028}' | '\u{2029}' => plain.push(letter),
            _ if letter.is_whitespace() => plain.push(' '),
            _ if letter.is_control() => {}
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{2022}' | '\u{b7}' => plain.push('-'),
            '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{2035}' | '\u{2039}' | '\u{203a}' => plain.push('\''),
            '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ab}' | '\u{bb}' => plain.push('"'),
            '\u{2026}' => plain.push_str("..."),
            // The punctuation of ASCII in the width of CJK.
            '\u{ff01}'..='\u{ff5e}' if !letter.is_alphanumeric() => {
                plain.extend(char::from_u32(u32::from(letter) - 0xfee0));
            }
            _ => plain.push(letter),
        }
    }
    let mut joined = String::with_capacity(MAX_LENGTH);
    for word in plain.split(' ').filter(|word| !word.is_empty()) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined.truncate(joined.floor_char_boundary(MAX_LENGTH));
    joined.truncate(joined.trim_end_matches(' ').len());
    (!joined.is_empty()).then_some(joined)
}

/// As [`tidied`], without symbols: the name that a stranger's client gets. `None` if nothing is left.
#[must_use]
pub fn undecorated(name: &str) -> Option<String> {
    let is_symbol = |letter: char| {
        SYMBOLS.iter().any(|(first, last)| (*first..=*last).contains(&letter))
            && !letter.is_alphanumeric()
            && letter != '\u{2212}'
    };
    let mut plain = String::with_capacity(name.len());
    let mut after_symbol = false;
    for letter in name.chars() {
        match letter {
            // How the symbol before is shown, and what joins emoji to one.
            '\u{fe0e}' | '\u{fe0f}' | '\u{20e3}' => {}
            '\u{200d}' | '\u{e0020}'..='\u{e007f}' if after_symbol => {}
            _ if TRADE_MARKS.contains(&letter) => after_symbol = true,
            _ if is_symbol(letter) => {
                plain.push(' ');
                after_symbol = true;
            }
            _ => {
                plain.push(letter);
                after_symbol = false;
            }
        }
    }
    tidied(&plain)
}

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

/// Whether a stranger's name looks like a known one, whatever its letter case, accents, spaces and punctuation.
///
/// In capitals other letters look alike than in small ones (`SlGNET`), so both are compared. Digits and signs that people
/// read as letters (`5ignet`, `$ignet`) count as these.
#[must_use]
pub fn look_alike(known: &str, strange: &str) -> bool {
    let known = letters(known);
    let known = [shape(&known), shape(&folded(&known)), shape(&known.to_uppercase())];
    let spelled: String = strange.chars().map(read_as).collect();
    let (plain, spelled) = (letters(strange), letters(&spelled));
    [&plain, &folded(&plain), &spelled, &folded(&spelled)].into_iter().any(|text| known.contains(&shape(text)))
}

/// The letters and digits of a name, without the accents of European scripts.
fn letters(name: &str) -> String {
    let is_accent = |letter: char| ('\u{300}'..='\u{36f}').contains(&letter);
    let kept = |letter: &char| is_letter_or_digit(*letter) || (is_combining_mark(*letter) && !is_accent(*letter));
    name.nfkd().filter(kept).collect()
}

/// How a text looks (UTS 39 §4), in small letters.
fn shape(text: &str) -> String {
    folded(&skeleton(text).collect::<String>())
}

fn folded(text: &str) -> String {
    CaseMapper::new().fold_string(text).into_owned()
}

/// The letter that people read in a digit or sign. `skeleton` knows 0 and 1.
fn read_as(letter: char) -> char {
    match letter {
        '$' | '5' => 's',
        '@' | '4' => 'a',
        '3' => 'e',
        '7' => 't',
        '8' => 'b',
        '!' | '|' => 'l',
        _ => letter,
    }
}

fn is_letter_or_digit(letter: char) -> bool {
    letter.is_alphanumeric() && !is_combining_mark(letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn decoration_goes_and_the_name_stays() {
        for (given, name) in [
            ("My App (dev)", "My App (dev)"),
            ("  My \t App\r\n(dev) ", "My App (dev)"),
            ("My\u{a0}App\u{3000}", "My App"),
            ("App\0\u{7}\u{9f}", "App"),
            ("Foo™", "Foo"),
            ("Foo®, Inc. © 2026", "Foo, Inc. 2026"),
            ("🚀 App", "App"),
            ("🚀App✨Pro⭐️", "App Pro"),
            ("👩\u{200d}💻 Dev", "Dev"),
            ("🏴\u{e0067}\u{e0062}\u{e007f} App", "App"),
            ("🇩🇪 App", "App"),
            ("App 1\u{fe0f}\u{20e3}", "App 1"),
            ("Ann’s “App” – beta…", "Ann's \"App\" - beta..."),
            ("Foo · Bar • Baz — qux", "Foo - Bar - Baz - qux"),
            ("A → B", "A B"),
            ("山田（開発）", "山田(開発)"),
            ("Café", "Café"),
            ("C++ & <Co>", "C++ & <Co>"),
        ] {
            let read = undecorated(given);
            assert_eq!(read.as_deref(), Some(name), "{given:?}");
            assert!(is_plain(name), "{name:?}");
        }
        for nothing in ["", " ", "\n\t", "🚀", "🚀 ✨", "™"] {
            assert_eq!(undecorated(nothing), None, "{nothing:?}");
        }
        assert_eq!(tidied(" 🚀  Rockets ").as_deref(), Some("🚀 Rockets"), "an operator's symbols stay");
        assert_eq!(tidied(&"é".repeat(60)).map(|name| name.len()), Some(100));
        assert_eq!(tidied(&format!("{}é", "x".repeat(99))).map(|name| name.len()), Some(99));
        assert_eq!(tidied(&format!("{} y", "x".repeat(99))), Some("x".repeat(99)));
    }

    #[test]
    fn what_deceives_is_not_mended() {
        for bad in [
            "G\u{43e}ogle",
            "\u{391}pp",
            "bank\u{202e}knab",
            "Go\u{200b}ogle",
            "Go\u{200d}ogle",
            "a\u{2066}b",
            "🚀\u{202e}App",
            "\u{feff}App",
            "🚀\u{feff}App",
            "a\u{2028}b",
            "\u{2029}App",
            "---",
            "🚀 …",
            "a\u{ad}b",
            "a\u{e0041}",
            "Pay\u{2024}pal",
            "\u{301}App",
            "\u{3164}App",
            "Ａpp",
        ] {
            assert!(!undecorated(bad).is_some_and(|name| is_plain(&name)), "{bad:?}");
        }
        // What is left is compared with other names.
        assert!(undecorated("Sig™net").is_some_and(|name| look_alike(&name, "Signet")));
    }

    proptest! {
        #[test]
        fn any_name_is_tidied_once(name in any::<String>(), padding in "[ a-zé🚀\t]{0,140}") {
            for text in [&name, &padding, &format!("{padding}{name}")] {
                for read in [tidied, undecorated] {
                    let Some(once) = read(text) else { continue };
                    prop_assert!(once.len() <= MAX_LENGTH && once.trim_matches(' ') == once && !once.contains("  "), "{:?}", text);
                    prop_assert_eq!(read(&once), Some(once.clone()), "{:?}", text);
                }
            }
        }
    }

    #[test]
    fn names_are_compared_by_how_they_look() {
        for (one, other) in
            [("Signet", "SIGNET"), ("Signet", "S i g n e t"), ("Signet", "sign.et"), ("App", "Ａpp"), ("Paul", "Pau1")]
        {
            assert!(look_alike(one, other), "{one} {other}");
        }
        for strange in [
            "SlGNET",
            "S1gnet",
            "5ignet",
            "$ignet",
            "S!gnet",
            "Sign3t",
            "Signe7",
            "Signét",
            "Siġnet",
            "Sig\u{307}net",
            "SÍGNÉT",
            "S|GN37",
        ] {
            assert!(look_alike("Signet", strange), "{strange}");
        }
        for strange in ["Signal", "Signets", "Sign", "Cygnet", "Signature 7", "5", "$"] {
            assert!(!look_alike("Signet", strange), "{strange}");
        }
        assert!(look_alike("Café 5", "Cafe 5") && look_alike("IBM", "lBM") && !look_alike("App 4", "App 5"));
        assert!(!look_alike("कि", "का"), "vowel signs are no accents");
    }
}
