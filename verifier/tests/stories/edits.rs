//! No edit of one character of a genuine token is accepted: at every position, not at some.

use serde_json::json;
use verifier::{StatusPolicy, Verifier};

use crate::harness::{AUDIENCE, Key, Outcome, TestClock, claims, now, pack};

const ISSUER: &str = "https://id.example.com";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What stands around the alphabet: padding, the alphabet of plain base64, and what a lenient reader skips.
const OTHERS: &str = "=+/.~ \t\r\n\0é";

/// Every text that differs from `token` in one character: taken away; in another case, with one of its six bits turned,
/// or replaced by a stranger; doubled, or with a stranger before or behind it.
fn edits(token: &str) -> Vec<String> {
    let mut edited = Vec::new();
    for at in 0..token.len() {
        let (start, rest) = token.split_at(at);
        let (character, end) = rest.split_at(1);
        let mut by: Vec<String> = OTHERS.chars().map(String::from).collect();
        by.extend([String::new(), character.repeat(2), character.to_lowercase(), character.to_uppercase()]);
        by.extend(OTHERS.chars().flat_map(|other| [format!("{other}{character}"), format!("{character}{other}")]));
        if let Some(value) = ALPHABET.iter().position(|letter| character.as_bytes() == [*letter]) {
            by.extend((0..6).map(|bit| char::from(ALPHABET[value ^ (1 << bit)]).to_string()));
        }
        edited.extend(by.into_iter().filter(|by| by != character).map(|by| format!("{start}{by}{end}")));
    }
    // The last characters of the parts have bits to spare: the same bytes must not have another text.
    for at in token.match_indices('.').map(|(at, _)| at).chain([token.len()]) {
        let letters = ALPHABET.iter().map(|letter| char::from(*letter));
        edited.extend(letters.map(|letter| format!("{}{letter}{}", &token[..at - 1], &token[at..])));
    }
    edited.retain(|text| text != token);
    edited
}

#[tokio::test]
async fn no_access_token_survives_an_edit() {
    let clock = TestClock::new();
    for key in [Key::es256("k"), Key::eddsa("k"), Key::rs256("k")] {
        let builder = Verifier::builder(ISSUER).audience(AUDIENCE).clock(clock.clone());
        let jwks = json!({"keys": [key.jwk()]}).to_string();
        let verifier = builder.jwks(jwks).status_policy(StatusPolicy::Ignore).build().unwrap();
        let token = key.token(&claims(ISSUER, now(&clock)));
        verifier.verify(&token).await.accepted();
        for edited in edits(&token) {
            assert!(verifier.verify(&edited).await.is_err(), "{edited} for {token}");
        }
    }
}

#[tokio::test]
async fn no_status_list_survives_an_edit() {
    let (clock, key) = (TestClock::new(), Key::es256("k"));
    let jwks = json!({"keys": [key.jwk()]}).to_string();
    let builder = Verifier::builder(ISSUER).audience(AUDIENCE).clock(clock.clone()).jwks(jwks);
    let now = now(&clock);
    let list = json!({"bits": 1, "lst": pack(&[0xB9, 0xA3])});
    let claims = json!({
        "sub": format!("{ISSUER}/oauth/status-lists/1"), "iat": now, "exp": now + 600, "ttl": 60, "status_list": list
    });
    let token = key.status_list(&claims);
    assert!(builder.clone().status_list(&token).build().is_ok());
    for edited in edits(&token) {
        assert!(builder.clone().status_list(&edited).build().is_err(), "{edited} for {token}");
    }
}
