//! No edit of one character of a genuine token verifies, as whatever kind: at every position, not at some.

use crate::{crypto::jose::jwt::tests::*, domain::status_list::StatusListClaims};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What stands around the alphabet: padding, the alphabet of plain base64, and what a lenient reader skips.
const OTHERS: &str = "=+/.~ \t\r\n\0é";

/// Every text that differs from `token` in the character at `at`: taken away; in another case, with one of its six bits
/// turned, or replaced by a stranger; doubled, or with a stranger before it.
fn edits(token: &str, at: usize) -> Vec<String> {
    let (start, rest) = token.split_at(at);
    let (character, end) = rest.split_at(1);
    let mut by: Vec<String> = OTHERS.chars().map(String::from).collect();
    by.extend([String::new(), character.repeat(2), character.to_lowercase(), character.to_uppercase()]);
    by.extend(OTHERS.chars().map(|other| format!("{other}{character}")));
    if let Some(value) = ALPHABET.iter().position(|letter| character.as_bytes() == [*letter]) {
        by.extend((0..6).map(|bit| char::from(ALPHABET[value ^ (1 << bit)]).to_string()));
    }
    by.into_iter().filter(|by| by != character).map(|by| format!("{start}{by}{end}")).collect()
}

fn is_refused(jwt: &Jwt, token: &str) -> bool {
    jwt.verify(ANY, token, now()).is_err()
        && jwt.verify(RefreshToken, token, now()).is_err()
        && jwt.verify(RefreshTokenOfAnyAge, token, now()).is_err()
}

fn is_refused_after_every_edit(jwt: &Jwt, token: &str) {
    for at in 0..token.len() {
        for edited in edits(token, at) {
            assert!(is_refused(jwt, &edited), "{edited} for {token}");
        }
    }
    for other in OTHERS.chars().chain(ALPHABET.iter().map(|letter| char::from(*letter))) {
        assert!(is_refused(jwt, &format!("{token}{other}")), "{other:?} behind {token}");
    }
    // The last characters of the parts have bits to spare: the same bytes must not have another text.
    let ends = token.match_indices('.').map(|(at, _)| at).chain([token.len()]);
    for at in ends {
        for letter in ALPHABET.iter().map(|letter| char::from(*letter)) {
            let edited = format!("{}{letter}{}", &token[..at - 1], &token[at..]);
            assert!(edited == token || is_refused(jwt, &edited), "{edited} for {token}");
        }
    }
}

#[test]
fn no_access_token_survives_an_edit() {
    for algorithm in SigningAlgorithm::ALL {
        let jwt = opened(folder(), algorithm);
        let token = jwt.sign_access(&access(), now()).unwrap();
        assert!(jwt.verify(ANY, &token, now()).is_ok());
        is_refused_after_every_edit(&jwt, &token);
    }
}

#[test]
fn no_token_of_a_client_survives_an_edit() {
    let jwt = jwt();
    let token = jwt.sign_access(&AccessClaims { user: None, sub: "orders".into(), ..access() }, now()).unwrap();
    assert!(jwt.verify(ANY, &token, now()).is_ok());
    is_refused_after_every_edit(&jwt, &token);
}

#[test]
fn no_refresh_token_survives_an_edit() {
    let jwt = jwt();
    let token = jwt.sign_refresh(&refresh(), now()).unwrap();
    assert!(jwt.verify(RefreshToken, &token, now()).is_ok());
    is_refused_after_every_edit(&jwt, &token);
    let expired = RefreshClaims { exp: numeric_date(now()) - 1, ..refresh() };
    let token = jwt.sign_refresh(&expired, now()).unwrap();
    assert!(jwt.verify(RefreshTokenOfAnyAge, &token, now()).is_ok());
    is_refused_after_every_edit(&jwt, &token);
}

#[test]
fn no_status_list_becomes_a_token_by_an_edit() {
    let claims =
        StatusListClaims::of(ISSUER, 0, "eNrbuRgAAhcBXQ".into(), numeric_date(now()), numeric_date(now()) + 300);
    let jwt = jwt();
    is_refused_after_every_edit(&jwt, &jwt.sign_status_list(&claims, now()).unwrap());
}
