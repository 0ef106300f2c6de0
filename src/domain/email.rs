//! Email addresses.

use unicode_normalization::UnicodeNormalization;
use url::Host;

/// An email address that mail can be sent to: a dot-atom, `@` and a domain (RFC 5321 §4.1.2). It is all ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress {
    address: String,
    key: String,
}

/// The reason why a text is not an email address. The messages are predicates of the field and never repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEmailAddress {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// More than [`EmailAddress::MAX_LENGTH`] bytes, or [`EmailAddress::MAX_LOCAL_LENGTH`] before the `@`.
    #[error(
        "must have at most {} characters, and at most {} before the '@'",
        EmailAddress::MAX_LENGTH,
        EmailAddress::MAX_LOCAL_LENGTH
    )]
    TooLong,
    /// The part before the `@` needs a mail system that accepts more than ASCII (RFC 6531).
    #[error("must have only unaccented Latin letters, digits and common signs before the '@'")]
    NotAscii,
    /// The text does not have the form of an email address.
    #[error("must be an address such as name@example.org")]
    Malformed,
    /// The part after the `@` is not a domain that can receive mail from everywhere.
    #[error("must have a full domain name such as example.org after the '@'")]
    Domain,
}

impl EmailAddress {
    /// The longest address, in bytes (RFC 5321 §4.5.3.1.3, without the angle brackets).
    pub const MAX_LENGTH: usize = 254;

    /// The longest local part, in bytes (RFC 5321 §4.5.3.1.1).
    pub const MAX_LOCAL_LENGTH: usize = 64;

    /// Reads an email address as a person typed it. White space around it is ignored.
    ///
    /// The local part is a dot-atom of ASCII (RFC 5322 §3.2.3), without quoted strings, comments and other forms that
    /// only old mail systems know. The domain has two labels or more, and is not an IP address; an internationalized
    /// domain is turned into its ASCII form (RFC 5890 §2.3.2.1).
    ///
    /// # Errors
    /// [`NotAnEmailAddress`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NotAnEmailAddress> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NotAnEmailAddress::Empty);
        }
        // Every code point takes at least one byte in the ASCII form, so a longer text cannot be an address.
        if text.chars().nth(Self::MAX_LENGTH).is_some() {
            return Err(NotAnEmailAddress::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(NotAnEmailAddress::Malformed)?;
        if !local.is_ascii() {
            return Err(NotAnEmailAddress::NotAscii);
        }
        if !is_dot_atom(local) {
            return Err(NotAnEmailAddress::Malformed);
        }
        if local.len() > Self::MAX_LOCAL_LENGTH {
            return Err(NotAnEmailAddress::TooLong);
        }
        let domain = ascii_domain(domain).ok_or(NotAnEmailAddress::Domain)?;
        let address = format!("{local}@{domain}");
        if address.len() > Self::MAX_LENGTH {
            return Err(NotAnEmailAddress::TooLong);
        }
        let key = address.to_ascii_lowercase();
        Ok(Self { address, key })
    }

    /// Restores an address from the database, whose rows hold only results of [`parse`](Self::parse). Nothing is
    /// checked.
    #[must_use]
    pub fn from_stored(address: String, key: String) -> Self {
        Self { address, key }
    }

    /// The address that receives mail: the local part as it was written, since its case may matter to its host (RFC
    /// 5321 §2.4), and the domain in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The address in lower case, only for lookups: mail never goes to this form.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The mailbox that limits count: the address in lower case, without a tag (`ada+news@`, RFC 5233), because one
    /// mailbox has any number of tags. An address that begins with `+` is counted whole.
    #[must_use]
    pub fn mailbox(&self) -> String {
        let (local, domain) = self.key.rsplit_once('@').unwrap_or((&self.key, ""));
        let name = local.split_once('+').map_or(local, |(name, _)| name);
        format!("{}@{domain}", if name.is_empty() { local } else { name })
    }
}

/// RFC 5322 §3.2.3 `dot-atom-text`.
fn is_dot_atom(text: &str) -> bool {
    let atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(atext))
}

/// The domain in ASCII and lower case; `None` if the text is not a full domain name.
fn ascii_domain(text: &str) -> Option<String> {
    let Ok(Host::Domain(ascii)) = Host::parse(text) else { return None };
    // The URL parser decodes percent signs, drops invisible characters and maps look-alikes (UTS 46 §4). They
    // serve to deceive readers, so a domain that the parser changed beyond letter case and NFC is refused.
    let folded: String = text.chars().flat_map(char::to_lowercase).nfc().collect();
    if ascii != folded && url::quirks::domain_to_unicode(&ascii) != folded {
        return None;
    }
    let is_label = |label: &str| {
        let characters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && characters && !label.starts_with('-') && !label.ends_with('-')
    };
    (ascii.contains('.') && ascii.split('.').all(is_label)).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::properties;

    fn refused(text: &str) -> Option<NotAnEmailAddress> {
        EmailAddress::parse(text).err()
    }

    #[test]
    fn a_mailbox_has_no_tag() {
        for (address, mailbox) in [
            ("Ada@Example.org", "ada@example.org"),
            ("ada+news@example.org", "ada@example.org"),
            ("ada+a+b@example.org", "ada@example.org"),
            ("+ada@example.org", "+ada@example.org"),
            ("ada+@example.org", "ada@example.org"),
        ] {
            assert_eq!(EmailAddress::parse(address).unwrap().mailbox(), mailbox);
        }
    }

    #[test]
    fn nothing_that_could_end_a_mail_header_passes() {
        for c in "\r\n\0\t \u{b}\u{7f}\u{85}\u{a0}\u{2028},;:<>()[]\\\"@\u{200b}\u{200d}\u{ad}\u{202e}\u{feff}".chars()
        {
            // White space around an address is ignored.
            for text in [
                format!("x{c}a@example.org"),
                format!("a{c}b@example.org"),
                format!("a@exam{c}ple.org"),
                format!("a@example.org{c}x"),
                format!("a@example.org{c}Bcc: b@example.org"),
            ] {
                assert!(refused(&text).is_some(), "{text:?}");
            }
        }
    }

    #[test]
    fn look_alikes_are_refused() {
        for text in [
            "a\u{ff20}example.org",
            "a\u{fe6b}example.org",
            "a@example\u{3002}org",
            "a@example\u{ff0e}org",
            "a@ｅxample.org",
            "a@example.o\u{2024}rg",
            "a@%65xample.org",
            "a@ⓔxample.org",
        ] {
            assert!(
                matches!(refused(text), Some(NotAnEmailAddress::Malformed | NotAnEmailAddress::Domain)),
                "{text:?}"
            );
        }
        for text in ["аda@example.org", "jörg@example.org", "ａda@example.org", "a@b＠c@example.org"] {
            assert_eq!(refused(text), Some(NotAnEmailAddress::NotAscii), "{text:?}");
        }
    }

    #[test]
    fn only_full_domain_names_are_domains() {
        for text in [
            "a@",
            "a@localhost",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a@::1",
            "a@2130706433",
            "a@0x7f.1",
            "a@example.1",
            "a@example.org.",
            "a@.example.org",
            "a@example..org",
            "a@-example.org",
            "a@example-.org",
            "a@exa_mple.org",
            "a@example.org:25",
            "a@example.org/x",
            "a@xn--a.org",
            "a@*.org",
        ] {
            assert_eq!(refused(text), Some(NotAnEmailAddress::Domain), "{text:?}");
        }
        assert_eq!(refused(&format!("a@{}.org", "b".repeat(64))), Some(NotAnEmailAddress::Domain));
        assert_eq!(refused(&format!("a@{}.org", "b".repeat(63))), None);
    }

    #[test]
    fn only_dot_atoms_are_local_parts() {
        for text in [
            "ada",
            "@example.org",
            ".a@example.org",
            "a.@example.org",
            "a..b@example.org",
            "a@b@example.org",
            "\"a b\"@example.org",
            "a(b)@example.org",
            "Ada <ada@example.org>",
            "mailto:a@example.org",
        ] {
            assert_eq!(refused(text), Some(NotAnEmailAddress::Malformed), "{text:?}");
        }
        for text in ["o'neil+tag@example.org", "a.b-c_d@mail.example.org", "1@example.org"] {
            assert_eq!(EmailAddress::parse(text).as_ref().map(EmailAddress::as_str), Ok(text));
        }
    }

    #[test]
    fn lengths_are_those_of_smtp() {
        assert_eq!(refused(""), Some(NotAnEmailAddress::Empty));
        assert_eq!(refused(&format!("{}@example.org", "a".repeat(64))), None);
        assert_eq!(refused(&format!("{}@example.org", "a".repeat(65))), Some(NotAnEmailAddress::TooLong));
        let address = |last| {
            let (local, long) = ("a".repeat(64), "b".repeat(63));
            format!("{local}@{long}.{long}.{}.org", "c".repeat(last))
        };
        assert_eq!(refused(&address(57)), None, "254 bytes");
        assert_eq!(refused(&address(58)), Some(NotAnEmailAddress::TooLong));
        let short_until_ascii = format!("a@{}org", "ü.".repeat(60));
        assert_eq!(refused(&short_until_ascii), Some(NotAnEmailAddress::TooLong));
    }

    #[test]
    fn the_local_part_keeps_its_case_and_the_domain_loses_it() {
        let address = EmailAddress::parse("Ada.L@Mail.EXAMPLE.org").unwrap();
        assert_eq!(address.as_str(), "Ada.L@mail.example.org");
        assert_eq!(address.key(), "ada.l@mail.example.org");
        let stored = EmailAddress::from_stored(address.as_str().to_owned(), address.key().to_owned());
        assert_eq!(stored, address);
    }

    #[test]
    fn an_internationalized_domain_is_kept_in_ascii() {
        for text in
            ["a@münchen.de", "a@MÜNCHEN.de", "a@mu\u{308}nchen.de", "a@xn--mnchen-3ya.de", "a@XN--mnchen-3ya.de"]
        {
            assert_eq!(EmailAddress::parse(text).as_ref().map(EmailAddress::as_str), Ok("a@xn--mnchen-3ya.de"));
        }
        assert!(EmailAddress::parse("a@例え.テスト").is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_is_a_plain_address(
            text in prop_oneof![
                ".{0,60}", "\\PC{1,8}@\\PC{1,20}", "[!-~]{1,10}@[!-~]{1,20}", "[a-zA-Z.+]{1,9}@[\\PC.]{1,8}\\.[a-z]{2,3}",
                "[a-z]{1,3}@([\\p{L}\\p{M}]{1,5}\\.){1,3}[a-zA-Z]{2}", "a@xn--[a-z0-9-]{1,10}\\.org",
            ]
        ) {
            properties::email(text.as_bytes());
        }
    }
}
