use proptest::prelude::*;

use super::*;
use crate::domain::properties;

fn key(text: &str) -> String {
    Username::parse(text).unwrap_or_else(|error| panic!("{text:?} {error}")).key
}

/// Characters that are invisible, or that move the text beside them: controls, white space, bidi controls and the rest
/// of the property `Default_Ignorable_Code_Point`, private use, noncharacters.
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
    for (one, other) in [("paypal", "paypai"), ("ada", "adb"), ("eve1", "eve2"), ("anna", "anna2"), ("a.b", "a_b")] {
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
            // White space around a name is ignored.
            if name.trim() == "ada" {
                continue;
            }
            assert!(Username::parse(&name).is_err(), "U+{:04X} in {name:?}", u32::from(c));
        }
        // Texts of the scripts that use joiners, variation selectors and fillers.
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
        // The ellipsis and the one-dot leader are the only ones that normalize to allowed characters.
        let expected = if c == '…' { Ok("a...b") } else { Err(NotAUsername::Character) };
        let found = Username::parse(&name);
        assert_eq!(found.as_ref().map(Username::key).map_err(|e| *e), expected, "{name:?}");
    }
}

#[test]
fn a_name_of_look_alikes_from_two_scripts_is_refused() {
    for bad in ["\u{430}dmin", "adm\u{456}n", "pаypal", "αdmin", "ad\u{3bf}", "a\u{b5}", "한ひ", "ada\u{561}", "שaם"]
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
        // Letters with marks, look-alikes, ligatures, and characters that fold to longer text.
        text in "[a-zA-Zſßẞ\u{130}ıİŁłǅﬁﬀ\u{300}-\u{308}\u{323}éÉΣςσµＡａ𝐀²②\u{1e9e}\u{212a}\u{212b}K]{1,10}"
    ) {
        properties::username(text.as_bytes());
    }
}
