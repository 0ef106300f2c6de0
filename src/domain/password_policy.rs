//! Passwords: how one is parsed (RFC 8265 §4) and which may be chosen (NIST SP 800-63B-4 §3.1.1.2).

use std::fmt;

use precis_profiles::{OpaqueString, precis_core::profile::PrecisFastInvocation};
use secrecy::{ExposeSecret, SecretString};

use super::{email::EmailAddress, username::Username};

/// A password in the form that is hashed, for storage and for verification: the RFC 8265 `OpaqueString` of the typed
/// text.
#[derive(Clone)]
pub struct Password(SecretString);

/// The reason why a text cannot be a password. The messages are predicates of the field and never repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPassword {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more than [`Password::MAX_BYTES`], as given or normalized.
    #[error("must have at most {} bytes", Password::MAX_BYTES)]
    TooLong,
    /// It holds a control or invisible character, or one that RFC 8264 does not know.
    #[error("must not contain control characters, invisible characters or very new symbols")]
    Character,
}

/// The reason why a password may not be chosen. The messages are predicates of the field and never repeat the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It has fewer code points than this.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// Attackers try this password among the first.
    #[error("must not be a common password, a simple pattern, or close to the username or the email address")]
    TooCommon,
}

impl Password {
    /// The longest password in bytes: far beyond any passphrase, and it bounds what is normalized and hashed.
    pub const MAX_BYTES: usize = 1024;

    /// Parses a password as typed, in the same way for registration, change, reset and login.
    ///
    /// Its characters are put into NFC and every kind of space becomes U+0020, so that two keyboards that write it
    /// differently write the same password (RFC 8265 §4.2.2). Nothing is trimmed, cut off or folded.
    ///
    /// # Errors
    /// [`NotAPassword`] for the empty text, and for characters outside the `FreeformClass` (RFC 8264 §4.3), NUL among
    /// them. It is also returned for more than [`MAX_BYTES`](Self::MAX_BYTES), which is checked before anything else.
    pub fn parse(text: &SecretString) -> Result<Self, NotAPassword> {
        let text = text.expose_secret();
        if text.is_empty() {
            return Err(NotAPassword::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NotAPassword::TooLong);
        }
        let normalized = OpaqueString::enforce(text).map_err(|_| NotAPassword::Character)?;
        // NFC makes some texts longer.
        if normalized.len() > Self::MAX_BYTES {
            return Err(NotAPassword::TooLong);
        }
        Ok(Self(normalized.into_owned().into()))
    }

    /// The bytes to be hashed: at most [`MAX_BYTES`](Self::MAX_BYTES) of UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The rules for new passwords, the same for registration, change, reset and the operator.
#[derive(Debug, Clone)]
pub struct PasswordPolicy {
    /// The fewest code points, counted after normalization.
    pub min_length: usize,
    /// The names of the service, in lower case (NIST SP 800-63B-4 §3.1.1.2: context-specific words).
    names: Vec<String>,
}

impl PasswordPolicy {
    /// The number of guesses up to which a password counts as common.
    ///
    /// zxcvbn's list has 30,000 passwords, and its estimate for one of them in lower case is at most its rank plus
    /// one: every entry is refused. So are single words, names, dates, keyboard rows, repetitions, and two of those
    /// put together where both are easy.
    const COMMON_GUESSES: u64 = 30_001;

    /// The number of code points that zxcvbn examines. Its longest entry has 20.
    const JUDGED_LENGTH: usize = 24;

    /// The signs that zxcvbn reads as letters (`p@ssw0rd`), digits aside.
    const LETTER_SIGNS: &'static str = "@({[<!|$+%";

    /// The most kinds of [`LETTER_SIGNS`](Self::LETTER_SIGNS) in a password that zxcvbn examines.
    ///
    /// In a text with more kinds, the signs are removed first.
    ///
    /// zxcvbn tries every combination of substitutions: text of nothing but such signs costs 190 ms for 24 code points
    /// and 940 ms for 100, measured on one core. With at most six kinds that is 40 ms, and usual passwords cost below 1
    /// ms; the first use takes 20 ms more and 9 MB that stay, for building the lists. No entry of the list has two
    /// kinds, and the number row with shift, from `!` to `+`, has six.
    const MAX_LETTER_SIGNS: usize = 6;

    /// The most digits around a word that do not make it a password: a year, or less.
    const DECORATION: usize = 4;

    /// The shortest part of a service's name that counts as a name.
    const SHORTEST_NAME: usize = 4;

    /// A policy for a service with these names: its name on the pages, and its host.
    #[must_use]
    pub fn new(min_length: usize, service: &[&str]) -> Self {
        let mut names = vec!["signet".to_owned()];
        for name in service.iter().map(|name| name.to_lowercase()) {
            // A host may have a port.
            let name = name.split(':').next().unwrap_or_default();
            let parts = name.split(|c: char| !c.is_alphanumeric()).map(str::to_owned);
            names.extend(parts.filter(|part| part.chars().count() >= Self::SHORTEST_NAME));
            names.extend([name.to_owned(), letters_and_digits(name)].into_iter().filter(|name| !name.is_empty()));
        }
        Self { min_length, names }
    }

    /// Checks `password` for the account of `username` and `email`. There are no rules of composition, and long
    /// passphrases are welcome.
    ///
    /// # Errors
    /// [`WeakPassword::TooShort`] below `min_length`. [`WeakPassword::TooCommon`] for passwords that an attacker tries
    /// among the first 30,000, in any letter case, and for passwords made of the names of the account and the service.
    ///
    /// A year, a few digits and signs around such a word change nothing: people choose `Summer2026!` where digits and
    /// signs are required.
    pub fn judge(
        &self,
        password: &Password,
        username: &Username,
        email: Option<&EmailAddress>,
    ) -> Result<(), WeakPassword> {
        let text = password.0.expose_secret();
        if text.chars().nth(self.min_length.saturating_sub(1)).is_none() {
            return Err(WeakPassword::TooShort(self.min_length));
        }
        let mut names = vec![username.key().to_owned(), username.as_written().to_lowercase()];
        if let Some(email) = email {
            let local = email.key().split('@').next().unwrap_or_default();
            names.extend([email.key().to_owned(), local.to_owned()]);
        }
        // zxcvbn counts unusual capitals as extra guesses; letter case must not hide an entry of the list.
        let lowered: SecretString = text.to_lowercase().into();
        let lowered = lowered.expose_secret();
        let is_username = Username::parse(text).is_ok_and(|spelt| spelt.key() == username.key());
        if is_username || names.iter().any(|name| name == lowered) {
            return Err(WeakPassword::TooCommon);
        }
        names.extend_from_slice(&self.names);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if is_common(lowered, &names) || undecorated(lowered).is_some_and(|word| is_common(word, &names)) {
            return Err(WeakPassword::TooCommon);
        }
        Ok(())
    }
}

/// Whether an attacker who knows these names tries `text` early. Both are in lower case.
fn is_common(text: &str, names: &[&str]) -> bool {
    let joined: SecretString = letters_and_digits(text).into();
    if names.contains(&text) || names.contains(&joined.expose_secret()) {
        return true;
    }
    let judged: SecretString = text.chars().take(PasswordPolicy::JUDGED_LENGTH).collect::<String>().into();
    let signs = |text: &str| PasswordPolicy::LETTER_SIGNS.chars().filter(|sign| text.contains(*sign)).count();
    let without: SecretString = if signs(judged.expose_secret()) > PasswordPolicy::MAX_LETTER_SIGNS {
        let other = |c: &char| !PasswordPolicy::LETTER_SIGNS.contains(*c);
        judged.expose_secret().chars().filter(other).collect::<String>().into()
    } else {
        judged
    };
    zxcvbn::zxcvbn(without.expose_secret(), names).guesses() <= PasswordPolicy::COMMON_GUESSES
}

fn letters_and_digits(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The word in a password that consists of one word, signs around it and up to four digits.
fn undecorated(text: &str) -> Option<&str> {
    let word = text.trim_matches(|c: char| !c.is_alphabetic());
    let digits = |text: &str| text.chars().filter(|c| c.is_numeric()).count();
    let decoration = digits(text) - digits(word);
    (!word.is_empty() && word != text && decoration <= PasswordPolicy::DECORATION).then_some(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::properties;

    fn policy(min_length: usize) -> PasswordPolicy {
        PasswordPolicy::new(min_length, &["Acme Cloud", "login.lighthouse.example:8443"])
    }

    fn read(text: &str) -> Result<Password, NotAPassword> {
        Password::parse(&text.to_owned().into())
    }

    fn judge_for(text: &str, username: &str, email: Option<&str>) -> Result<(), WeakPassword> {
        let email = email.map(|text| EmailAddress::parse(text).unwrap());
        policy(8).judge(&read(text).unwrap(), &Username::parse(username).unwrap(), email.as_ref())
    }

    fn judge(text: &str) -> Result<(), WeakPassword> {
        judge_for(text, "grace", None)
    }

    #[test]
    fn a_password_is_never_printed() {
        let password = read("correct horse battery staple").unwrap();
        assert_eq!(format!("{password:?}"), "[redacted]");
        assert_eq!(format!("{:?}", Some(password)), "Some([redacted])");
    }

    #[test]
    fn more_than_1024_bytes_are_refused_before_anything_else_looks_at_them() {
        assert!(read(&"a".repeat(1024)).is_ok());
        assert_eq!(read(&"a".repeat(1025)).err(), Some(NotAPassword::TooLong));
        assert_eq!(read(&"\0".repeat(1025)).err(), Some(NotAPassword::TooLong), "length comes first");
        assert_eq!(read(&"é".repeat(513)).err(), Some(NotAPassword::TooLong), "bytes, not characters");
        // U+0958 is excluded from composition: three bytes become six.
        assert_eq!(read(&"\u{958}".repeat(300)).err(), Some(NotAPassword::TooLong), "normalized too");
    }

    #[test]
    fn control_and_invisible_characters_are_refused() {
        assert_eq!(read("").err(), Some(NotAPassword::Empty));
        for c in
            "\0\t\r\n\u{1b}\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{202e}\u{2028}\u{feff}\u{fffe}\u{e000}\u{e0001}".chars()
        {
            let refused = read(&format!("correct horse{c}battery")).err();
            assert_eq!(refused, Some(NotAPassword::Character), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn two_keyboards_write_the_same_password() {
        let bytes = |text| read(text).unwrap().as_bytes().to_vec();
        assert_eq!(bytes("cafe\u{301} au lait"), "café au lait".as_bytes());
        assert_eq!(bytes("café\u{a0}au\u{3000}lait"), "café au lait".as_bytes());
        assert_eq!(bytes("  Mind the Gap  "), b"  Mind the Gap  ", "neither trimmed nor folded");
        assert_ne!(bytes("ﬁnale 2"), bytes("finale 2"), "compatibility forms are kept apart");
        assert!(read("π ≈ 3.14159 ☠ 🐵").is_ok());
    }

    #[test]
    fn length_is_counted_in_code_points() {
        assert_eq!(judge("k7Q!zmw"), Err(WeakPassword::TooShort(8)));
        assert_eq!(judge("яéж山шщ水"), Err(WeakPassword::TooShort(8)), "seven, though 16 bytes");
        assert_eq!(judge("яéж山шщ水火"), Ok(()));
        assert_eq!(judge("яe\u{301}ж山шщ水"), Err(WeakPassword::TooShort(8)), "counted after composition");
        let long = policy(15);
        let username = Username::parse("grace").unwrap();
        assert_eq!(long.judge(&read("k7Q!zmwk7Q-zmw").unwrap(), &username, None), Err(WeakPassword::TooShort(15)));
        let none = policy(0);
        assert_eq!(none.judge(&read("ж7").unwrap(), &username, None), Err(WeakPassword::TooCommon));
    }

    #[test]
    fn common_passwords_are_refused_in_any_letter_case() {
        let first = "password 12345678 123456789 baseball football qwertyuiop 1234567890 superman 1qaz2wsx trustno1 \
                     jennifer sunshine iloveyou starwars computer michelle 11111111 princess 987654321 corvette 1234qwer \
                     88888888 q1w2e3r4t5 internet samantha whatever maverick steelers mercedes 123123123 qwer1234 \
                     password1 qwerty123 letmein1 p@ssw0rd passw0rd abcd1234 asdfghjkl 1q2w3e4r changeme welcome1";
        // The end of the list, where the estimates come closest to the bound.
        let last = "mercede1 11234567 mopar440 falcon01 1winston fktif6115 wonderwoman anna12345 bongtoke jenna123 aspirant \
                    drstrang twentyon chief123 99strenght denis2011 stokecit aotearoa stalker2 1bigfish mossyoak \
                    1stunner getinnow jessejames zxc123456 cantstop 1peaches nemvxyheqdd5oqxyxyzi polniypizdec110211";
        let patterns = "dragon12 football99 aaaaaaaa abcabcabc abcdefgh asdfghjk qwertyui !@#$%^&*()_+ 19900101 drowssap admin123 mountain";
        for entry in [first, last, patterns].iter().flat_map(|list| list.split_whitespace()) {
            let alternating = |offset: usize| -> String {
                let turn =
                    |(n, c): (usize, char)| if (n + offset).is_multiple_of(2) { c.to_ascii_uppercase() } else { c };
                entry.chars().enumerate().map(turn).collect()
            };
            for text in [entry.to_owned(), entry.to_uppercase(), alternating(0), alternating(1)] {
                assert_eq!(judge(&text), Err(WeakPassword::TooCommon), "{text}");
            }
        }
    }

    #[test]
    fn a_word_with_a_year_digits_or_signs_around_it_is_still_a_word() {
        for text in [
            "signet2026",
            "Signet123!",
            "signetsignet",
            "Summer2026!",
            "Admin123!",
            "admin@123",
            "password$$@({[<!|+",
            "!!Winter24",
            "2025welcome",
            "_football_7_",
            "@({[<!|$",
            "@({[<!|$@({[<!|$",
            "#Autumn#1999#",
            "grace2026!",
        ] {
            assert_eq!(judge(text), Err(WeakPassword::TooCommon), "{text}");
        }
        for text in
            ["umbrella-fox-42!", "84726195", "correct horse battery staple 7", "q7summer-vex9", "4@8({[<369!1|70$5+%2"]
        {
            assert_eq!(judge(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn the_names_of_the_service_are_no_passwords() {
        for text in [
            "AcmeCloud",
            "acme cloud",
            "Cloud2026!",
            "acme-cloud",
            "lighthouse",
            "Lighthouse123",
            "login.lighthouse.example",
        ] {
            assert_eq!(judge(text), Err(WeakPassword::TooCommon), "{text}");
        }
    }

    #[test]
    fn a_password_made_of_the_accounts_names_is_refused() {
        let email = Some("Countess.of.L@analytical-engine.example");
        for text in [
            "zuleika_q",
            "ZULEIKA_Q",
            "zuleika_q1",
            "q_akieluz",
            "ｚuleika_q",
            "zuleika_qzuleika_q",
            "countess.of.l",
            "Countess.Of.L",
            "countess.of.l@analytical-engine.example",
        ] {
            assert_eq!(judge_for(text, "Zuleika_Q", email), Err(WeakPassword::TooCommon), "{text}");
        }
        assert_eq!(judge_for("zuleika_q", "grace", None), Ok(()), "to others it is a word like any other");
        let name = "wq7mz0kx".repeat(8);
        assert_eq!(judge_for(&name, &name, None), Err(WeakPassword::TooCommon), "also where it is long");
        assert_eq!(judge_for("STRASSENBAHN-ÖPNV", "Straßenbahn-öpnv", None), Err(WeakPassword::TooCommon));
    }

    #[test]
    fn passphrases_are_welcome_at_any_length_and_of_any_composition() {
        for text in
            ["correct horse battery staple", "vex-gnat-plumb", "ульяна ест зелёный суп", "k7qzmwpx", "8305172946"]
        {
            assert_eq!(judge(text), Ok(()), "{text}");
        }
        let long = "every cloud engenders not a storm, and so on to the end of the verse; ";
        assert_eq!(judge(long), Ok(()));
        assert_eq!(judge(&long.repeat(14)), Ok(()), "{} bytes", long.len() * 14);
    }

    #[test]
    fn text_of_nothing_but_signs_costs_no_search() {
        let signs = "4@8({[<369!1|70$5+%2";
        assert_eq!(judge(signs), Ok(()));
        assert_eq!(judge(&signs.repeat(5)), Ok(()));
        // Texts on which zxcvbn's regular expressions backtrack, and letters whose case changes their number.
        for base in ["a", "ab", "aab", "İ", "Σς"] {
            assert_eq!(judge(&base.repeat(200)), Err(WeakPassword::TooCommon), "{base}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_can_be_read_again_and_judged(text in prop_oneof![".{0,40}", "\\PC{1,300}", "[ -~]{8,100}"]) {
            properties::password(text.as_bytes());
        }

        #[test]
        fn an_accounts_own_names_are_refused_in_every_letter_case(
            name in "[a-zA-Z0-9._é-]{1,20}", email in "[a-zA-Z0-9.+]{1,20}@[a-zA-Z]{1,9}\\.(org|EXAMPLE)",
        ) {
            for password in [&name, &email] {
                properties::password(format!("{password}\n{name}\n{email}").as_bytes());
            }
        }
    }
}
