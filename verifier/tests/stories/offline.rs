//! A service without any network.

use std::time::Duration;

use serde_json::json;
use tokio::runtime;
use verifier::{BuildError, StatusPolicy, Verifier, VerifyError};

use crate::harness::{AUDIENCE, Key, Outcome, TestClock, claims, now, pack};

const ISSUER: &str = "https://id.example.com";

fn list(key: &Key, clock: &TestClock, uri: &str) -> String {
    let now = now(clock);
    let packed = json!({"bits": 1, "lst": pack(&[0b10])});
    key.status_list(&json!({"sub": uri, "iat": now, "exp": now + 60, "status_list": packed}))
}

#[test]
fn given_keys_and_lists_are_enough_and_no_socket_is_opened() {
    let (key, clock) = (Key::eddsa("first"), TestClock::new());
    let uri = format!("{ISSUER}/oauth/status-lists/1");
    let verifier = Verifier::builder(ISSUER)
        .audience(AUDIENCE)
        .jwks(json!({"keys": [key.jwk()]}).to_string())
        .status_list(list(&key, &clock, &uri))
        .clock(clock.clone())
        .build()
        .unwrap();
    let token = |idx: u64, uri: &str| {
        let mut claims = claims(ISSUER, now(&clock));
        claims["status"] = json!({"status_list": {"idx": idx, "uri": uri}});
        key.token(&claims)
    };
    // A runtime that has no I/O and no timer: whatever opened a socket in it would panic.
    runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        verifier.ready().await.unwrap();
        verifier.verify(&token(0, &uri)).await.accepted();
        assert_eq!(verifier.verify(&token(1, &uri)).await, Err(VerifyError::Revoked(1)));
        verifier.verify(&token(0, &format!("{ISSUER}/oauth/status-lists/2"))).await.unavailable();
        let stranger = Key::eddsa("another");
        assert!(verifier.verify(&stranger.token(&claims(ISSUER, now(&clock)))).await.is_err());
        clock.advance(60);
        verifier.verify(&token(0, &uri)).await.unavailable();
    });
}

#[test]
fn a_given_list_must_be_the_issuer_s() {
    let (key, stranger, clock) = (Key::es256("first"), Key::es256("first"), TestClock::new());
    let own = format!("{ISSUER}/oauth/status-lists/1");
    let build = |list: String| {
        let builder = Verifier::builder(ISSUER).audience(AUDIENCE).clock(clock.clone());
        builder.jwks(json!({"keys": [key.jwk()]}).to_string()).status_list(list).build().err()
    };
    assert_eq!(build(list(&key, &clock, &own)), None);
    let forgeries = [
        list(&stranger, &clock, &own),
        list(&key, &clock, "https://evil.example/oauth/status-lists/1"),
        key.token(&json!({})),
    ];
    for forged in forgeries {
        assert!(matches!(build(forged), Some(BuildError::StatusList(_))));
    }
}

#[tokio::test]
async fn leeway_is_what_was_set_and_no_more() {
    let (key, clock) = (Key::es256("first"), TestClock::new());
    let verifier = Verifier::builder(ISSUER)
        .audience(AUDIENCE)
        .leeway(Duration::from_secs(30))
        .jwks(json!({"keys": [key.jwk()]}).to_string())
        .status_policy(StatusPolicy::Ignore)
        .clock(clock.clone())
        .build()
        .unwrap();
    let token = key.token(&claims(ISSUER, now(&clock)));
    clock.advance(629);
    verifier.verify(&token).await.accepted();
    clock.advance(1);
    assert!(verifier.verify(&token).await.is_err());
}
