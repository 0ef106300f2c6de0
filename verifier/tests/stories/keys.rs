//! Keys that are fetched, kept, and fetched again.

use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinSet, yield_now};
use verifier::{Claims, Distrust, VerifyError};

use crate::harness::{Key, Outcome, TestApp};

/// Verifies all of these at the same time.
async fn all_at_once(app: &TestApp, tokens: Vec<String>) -> Vec<Result<Claims, VerifyError>> {
    let mut set = JoinSet::new();
    for token in tokens {
        let verifier = app.verifier.clone();
        set.spawn(async move { verifier.verify(&token).await });
    }
    set.join_all().await
}

/// Waits until something that goes on behind the caller's back has come about.
async fn comes_about(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it never came about");
}

#[tokio::test]
async fn a_hundred_unknown_kids_at_once_cause_one_fetch() {
    let app = TestApp::open().await;
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    assert_eq!(app.issuer.jwks_fetches(), 1);
    let rubbish = |n: u32| Key::es256(&format!("rubbish-{n}")).token(&app.claims());
    for outcome in all_at_once(&app, (0..100).map(rubbish).collect()).await {
        outcome.distrusted(Distrust::UnknownKey);
    }
    assert_eq!(app.issuer.jwks_fetches(), 2);
    app.clock.advance(9);
    app.verifier.verify(&rubbish(0)).await.unavailable(); // whether there is such a key by now, nobody has asked
    assert_eq!(app.issuer.jwks_fetches(), 2, "the cool-down is 10 s");
    app.clock.advance(1);
    app.verifier.verify(&rubbish(0)).await.distrusted(Distrust::UnknownKey);
    assert_eq!(app.issuer.jwks_fetches(), 3);
}

#[tokio::test]
async fn a_new_key_is_trusted_at_once_by_everybody_who_waits_for_it() {
    let app = TestApp::open().await;
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    let second = Key::eddsa("second");
    app.issuer.publishes(&[&app.key, &second]);
    let tokens = (0..100).map(|_| second.token(&app.claims())).collect();
    for outcome in all_at_once(&app, tokens).await {
        outcome.accepted();
    }
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    assert_eq!(app.issuer.jwks_fetches(), 2);
}

/// A thief times junk tokens so that the verifier has just asked when a key takes the place of a revoked one. The tokens
/// under the new key must not be answered 401, on which clients throw them away.
#[tokio::test]
async fn junk_makes_no_token_under_a_new_key_look_false() {
    let app = TestApp::open().await;
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    app.verifier.verify(&Key::es256("junk").token(&app.claims())).await.distrusted(Distrust::UnknownKey);
    let second = Key::eddsa("second");
    app.issuer.publishes(&[&second]);
    let token = second.token(&app.claims());
    app.clock.advance(1);
    app.verifier.verify(&token).await.unavailable();
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    app.clock.advance(9);
    app.verifier.verify(&token).await.accepted();
    assert_eq!(app.issuer.jwks_fetches(), 3);
}

#[tokio::test]
async fn a_revoked_key_is_trusted_no_longer_than_the_keys_may_be_kept() {
    let app = TestApp::open().await;
    let token = app.token(&app.claims());
    app.verifier.verify(&token).await.accepted();
    app.issuer.publishes(&[&Key::es256("second")]);
    app.clock.advance(239);
    app.verifier.verify(&token).await.accepted();
    app.clock.advance(61);
    app.verifier.verify(&token).await.distrusted(Distrust::UnknownKey);
}

#[tokio::test]
async fn keys_are_kept_as_long_as_the_issuer_says_and_asked_for_by_their_tag() {
    let app = TestApp::open().await;
    let verifies = async || app.verifier.verify(&app.token(&app.claims())).await.accepted();
    for outcome in all_at_once(&app, (0..100).map(|_| app.token(&app.claims())).collect()).await {
        outcome.accepted();
    }
    app.clock.advance(239);
    verifies().await;
    assert_eq!((app.issuer.jwks_fetches(), app.issuer.unchanged()), (1, 0));
    app.clock.advance(61);
    verifies().await;
    assert_eq!((app.issuer.jwks_fetches(), app.issuer.unchanged()), (2, 1));
    // Nothing is said: five minutes. That they must not be kept: a second, all the same.
    app.issuer.lets_cache(None);
    app.clock.advance(300);
    verifies().await;
    app.issuer.lets_cache(Some("no-store"));
    app.clock.advance(239);
    verifies().await;
    assert_eq!(app.issuer.jwks_fetches(), 3);
    app.clock.advance(61);
    verifies().await;
    verifies().await;
    assert_eq!(app.issuer.jwks_fetches(), 4);
    app.clock.advance(1);
    verifies().await;
    assert_eq!(app.issuer.jwks_fetches(), 5);
}

#[tokio::test]
async fn keys_are_renewed_before_a_caller_would_wait_for_them() {
    let app = TestApp::open().await;
    app.verifier.ready().await.unwrap();
    app.clock.advance(240);
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    comes_about(|| app.issuer.unchanged() == 1).await;
    app.clock.advance(239);
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    assert_eq!(app.issuer.jwks_fetches(), 2);
}

#[tokio::test]
async fn an_outage_of_the_issuer_is_not_one_of_ours_for_a_day() {
    let app = TestApp::open().await;
    app.verifier.ready().await.unwrap();
    app.issuer.is_down(true);
    for _ in 0..23 {
        app.clock.advance(3_600);
        app.verifier.verify(&app.token(&app.claims())).await.accepted();
    }
    let stranger = Key::es256("stranger").token(&app.claims());
    app.verifier.verify(&stranger).await.unavailable();
    app.clock.advance(3_600);
    app.verifier.verify(&app.token(&app.claims())).await.unavailable();
    app.issuer.is_down(false);
    app.clock.advance(1);
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
}

#[tokio::test]
async fn an_issuer_that_is_down_from_the_start_is_asked_once_a_second_by_all() {
    let app = TestApp::open().await;
    app.issuer.is_down(true);
    let tokens = || (0..100).map(|_| app.token(&app.claims())).collect();
    for outcome in all_at_once(&app, tokens()).await {
        outcome.unavailable();
    }
    assert_eq!(app.issuer.jwks_fetches(), 1);
    app.issuer.is_down(false);
    app.clock.advance(1);
    for outcome in all_at_once(&app, tokens()).await {
        outcome.accepted();
    }
    assert_eq!(app.issuer.jwks_fetches(), 2);
}

#[tokio::test]
async fn a_redirect_is_followed_to_no_keys() {
    let app = TestApp::open().await;
    app.issuer.redirects();
    app.verifier.verify(&app.token(&app.claims())).await.unavailable();
    assert_eq!(app.issuer.jwks_fetches(), 1);
}

#[tokio::test]
async fn a_document_that_is_no_key_set_takes_no_key_away() {
    let app = TestApp::open().await;
    app.verifier.ready().await.unwrap();
    let other = json!({"keys": [Key::es256("second").jwk()]}).to_string();
    let too_long = format!("{other}{}", " ".repeat(256 * 1024));
    for text in ["<html>", r#"{"keys":[]}"#, &too_long] {
        app.issuer.publishes_text(text.to_owned());
        app.clock.advance(3_600);
        app.verifier.verify(&app.token(&app.claims())).await.accepted();
    }
    assert_eq!(app.issuer.jwks_fetches(), 4);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_undo_the_fetch() {
    let app = TestApp::open().await;
    let verifier = app.verifier.clone();
    let caller = tokio::spawn(async move { verifier.ready().await });
    comes_about(|| app.issuer.jwks_fetches() == 1).await;
    caller.abort();
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    assert_eq!(app.issuer.jwks_fetches(), 1);
}
