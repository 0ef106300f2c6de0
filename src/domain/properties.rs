//! Properties of the rules that hold for any bytes. Property tests, the saved corpus and the fuzzers share them.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

use super::{
    email::EmailAddress,
    password_policy::{Password, PasswordPolicy, WeakPassword},
    scope::Scope,
    username::Username,
};

/// A text is not a username, or its key is its own key and the key of every other spelling of the name.
pub fn username(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(name) = Username::parse(text) else { return };
    assert_eq!(name.as_written(), text.trim());
    let key = name.key();
    assert!((1..=Username::MAX_LENGTH).contains(&key.chars().count()), "{text:?}: {key:?}");
    assert!(!key.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control()), "{text:?}: {key:?}");
    assert!(!key.contains(|c: char| c.is_ascii_uppercase()), "{text:?}: {key:?}");
    let again = Username::parse(key);
    assert_eq!(again.as_ref().map(Username::key), Ok(key), "the key of {text:?} is not its own");
    // A decomposed spelling may be too long to be a name; one that is a name is the same name.
    let spellings: [String; 6] = [
        text.nfc().collect(),
        text.nfd().collect(),
        text.nfkc().collect(),
        text.nfkd().collect(),
        text.to_lowercase(),
        text.to_ascii_uppercase(),
    ];
    for spelling in spellings {
        if let Ok(other) = Username::parse(&spelling) {
            assert_eq!(other.key(), key, "{text:?} and {spelling:?}");
        }
    }
}

/// A text is not an email address, or mail can be sent to the address, and its written form parses as the same address.
pub fn email(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(email) = EmailAddress::parse(text) else { return };
    let address = email.as_str();
    assert!(address.bytes().all(|b| b.is_ascii_graphic()), "{text:?}: {address:?}");
    // Characters that would end, part or group addresses in a header field (RFC 5322 §3.4).
    assert!(!address.contains([',', ';', ':', '<', '>', '(', ')', '[', ']', '"', '\\']), "{text:?}: {address:?}");
    assert_eq!(address.matches('@').count(), 1, "{text:?}: {address:?}");
    assert!(address.len() <= EmailAddress::MAX_LENGTH, "{text:?}: {address:?}");
    assert_eq!(EmailAddress::parse(address).as_ref(), Ok(&email), "{text:?}");
    assert_eq!(email.key(), address.to_ascii_lowercase(), "{text:?}");
    for spelling in [email.key().to_owned(), text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
        let other = EmailAddress::parse(&spelling);
        assert_eq!(other.as_ref().map(EmailAddress::key), Ok(email.key()), "{text:?} and {spelling:?}");
    }
    // The local part identifies the person: no byte of it may become another one.
    assert_eq!(address.split('@').next(), text.trim().split('@').next(), "{text:?}");
}

/// A text is not a scope, or the scope has each word once, in order, and its written form parses as the same scope.
pub fn scope(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(scope) = Scope::parse(text) else { return };
    let mut seen = BTreeSet::new();
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty() && seen.insert(*word)).collect();
    assert_eq!(scope.to_string(), words.join(" "), "{text:?}");
    assert_eq!(Scope::parse(&scope.to_string()).as_ref(), Ok(&scope), "{text:?}");
    assert!(words.iter().all(|word| scope.contains(word)) && scope.is_within(&scope), "{text:?}");
    assert_eq!(scope.is_empty(), words.is_empty(), "{text:?}");
    assert!(scope.clone().without(&words).is_empty(), "{text:?}");
}

/// A text is not a password, or it parses again as the same password, and the policy decides alike in every letter
/// case.
///
/// `data` has the password, the username and the email address, one per line; the last two may be missing.
pub fn password(data: &[u8]) {
    let policy = PasswordPolicy::new(8, &["Signet", "127.0.0.1:8080"]);
    let Ok(text) = str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (text, name, email) = (line(), line(), line());
    let Ok(password) = Password::parse(&text.to_owned().into()) else { return };
    let bytes = password.as_bytes();
    assert!((1..=Password::MAX_BYTES).contains(&bytes.len()), "{text:?}");
    assert!(!bytes.iter().any(u8::is_ascii_control), "{text:?}");
    let normalized = str::from_utf8(bytes).expect("a password is UTF-8");
    let again = Password::parse(&normalized.to_owned().into()).expect("a password is one again");
    assert_eq!(again.as_bytes(), bytes, "{text:?}");

    let name = Username::parse(name).or_else(|_| Username::parse("grace")).expect("a username");
    let email = EmailAddress::parse(email).ok();
    let judged = |text: &str| {
        let password = Password::parse(&text.to_owned().into()).expect("still a password");
        policy.judge(&password, &name, email.as_ref())
    };
    let judgement = judged(normalized);
    assert_eq!(judged(&normalized.to_ascii_uppercase()), judgement, "{text:?} in capitals");
    let short = normalized.chars().count() < policy.min_length;
    assert_eq!(judgement == Err(WeakPassword::TooShort(policy.min_length)), short, "{text:?}");
    for own in [name.key(), name.as_written()].into_iter().chain(email.as_ref().map(EmailAddress::as_str)) {
        if Password::parse(&own.to_owned().into()).is_ok() && own.nfc().count() >= policy.min_length {
            assert_eq!(judged(own), Err(WeakPassword::TooCommon), "the account's own name {own:?}");
        }
    }
}
