//! Keys that are fetched, kept, and fetched again.

use std::time::Duration;

use serde_json::json;
use tokio::task::{JoinSet, yield_now};
use verifier::{Claims, Distrust, VerifyError};

use crate::harness::{House, Key, Outcome};

/// Verifies all of these at the same time.
async fn all_at_once(house: &House, tokens: Vec<String>) -> Vec<Result<Claims, VerifyError>> {
    let mut set = JoinSet::new();
    for token in tokens {
        let verifier = house.verifier.clone();
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
    let house = House::open().await;
    house.verifier.verify(&house.token(&house.claims())).await.accepted();
    assert_eq!(house.issuer.jwks_fetches(), 1);
    let rubbish = |n: u32| Key::es256(&format!("rubbish-{n}")).token(&house.claims());
    for outcome in all_at_once(&house, (0..100).map(rubbish).collect()).await {
        outcome.distrusted(Distrust::UnknownKey);
    }
    assert_eq!(house.issuer.jwks_fetches(), 2);
    house.clock.advance(9);
    house.verifier.verify(&rubbish(0)).await.distrusted(Distrust::UnknownKey);
    assert_eq!(house.issuer.jwks_fetches(), 2, "the cool-down is 10 s");
    house.clock.advance(1);
    house.verifier.verify(&rubbish(0)).await.distrusted(Distrust::UnknownKey);
    assert_eq!(house.issuer.jwks_fetches(), 3);
}

#[tokio::test]
async fn a_new_key_is_trusted_at_once_by_everybody_who_waits_for_it() {
    let house = House::open().await;
    house.verifier.verify(&house.token(&house.claims())).await.accepted();
    let second = Key::eddsa("second");
    house.issuer.publishes(&[&house.key, &second]);
    let tokens = (0..100).map(|_| second.token(&house.claims())).collect();
    for outcome in all_at_once(&house, tokens).await {
        outcome.accepted();
    }
    house.verifier.verify(&house.token(&house.claims())).await.accepted();
    assert_eq!(house.issuer.jwks_fetches(), 2);
}

#[tokio::test]
async fn a_revoked_key_is_trusted_no_longer_than_the_keys_may_be_kept() {
    let house = House::open().await;
    let token = house.token(&house.claims());
    house.verifier.verify(&token).await.accepted();
    house.issuer.publishes(&[&Key::es256("second")]);
    house.clock.advance(239);
    house.verifier.verify(&token).await.accepted();
    house.clock.advance(61);
    house.verifier.verify(&token).await.distrusted(Distrust::UnknownKey);
}

#[tokio::test]
async fn keys_are_kept_as_long_as_the_issuer_says_and_asked_for_by_their_tag() {
    let house = House::open().await;
    let verifies = async || house.verifier.verify(&house.token(&house.claims())).await.accepted();
    for outcome in all_at_once(&house, (0..100).map(|_| house.token(&house.claims())).collect()).await {
        outcome.accepted();
    }
    house.clock.advance(239);
    verifies().await;
    assert_eq!((house.issuer.jwks_fetches(), house.issuer.unchanged()), (1, 0));
    house.clock.advance(61);
    verifies().await;
    assert_eq!((house.issuer.jwks_fetches(), house.issuer.unchanged()), (2, 1));
    // Nothing is said: five minutes. That they must not be kept: a second, all the same.
    house.issuer.lets_cache(None);
    house.clock.advance(300);
    verifies().await;
    house.issuer.lets_cache(Some("no-store"));
    house.clock.advance(239);
    verifies().await;
    assert_eq!(house.issuer.jwks_fetches(), 3);
    house.clock.advance(61);
    verifies().await;
    verifies().await;
    assert_eq!(house.issuer.jwks_fetches(), 4);
    house.clock.advance(1);
    verifies().await;
    assert_eq!(house.issuer.jwks_fetches(), 5);
}

#[tokio::test]
async fn keys_are_renewed_before_a_caller_would_wait_for_them() {
    let house = House::open().await;
    house.verifier.ready().await.unwrap();
    house.clock.advance(240);
    house.verifier.verify(&house.token(&house.claims())).await.accepted();
    comes_about(|| house.issuer.unchanged() == 1).await;
    house.clock.advance(239);
    house.verifier.verify(&house.token(&house.claims())).await.accepted();
    assert_eq!(house.issuer.jwks_fetches(), 2);
}

#[tokio::test]
async fn an_outage_of_the_issuer_is_not_one_of_ours_for_a_day() {
    let house = House::open().await;
    house.verifier.ready().await.unwrap();
    house.issuer.is_down(true);
    for _ in 0..23 {
        house.clock.advance(3_600);
        house.verifier.verify(&house.token(&house.claims())).await.accepted();
    }
    let stranger = Key::es256("stranger").token(&house.claims());
    house.verifier.verify(&stranger).await.unavailable();
    house.clock.advance(3_600);
    house.verifier.verify(&house.token(&house.claims())).await.unavailable();
    house.issuer.is_down(false);
    house.clock.advance(1);
    house.verifier.verify(&house.token(&house.claims())).await.accepted();
}

#[tokio::test]
async fn an_issuer_that_is_down_from_the_start_is_asked_once_a_second_by_all() {
    let house = House::open().await;
    house.issuer.is_down(true);
    let tokens = || (0..100).map(|_| house.token(&house.claims())).collect();
    for outcome in all_at_once(&house, tokens()).await {
        outcome.unavailable();
    }
    assert_eq!(house.issuer.jwks_fetches(), 1);
    house.issuer.is_down(false);
    house.clock.advance(1);
    for outcome in all_at_once(&house, tokens()).await {
        outcome.accepted();
    }
    assert_eq!(house.issuer.jwks_fetches(), 2);
}

#[tokio::test]
async fn a_redirect_is_followed_to_no_keys() {
    let house = House::open().await;
    house.issuer.redirects();
    house.verifier.verify(&house.token(&house.claims())).await.unavailable();
    assert_eq!(house.issuer.jwks_fetches(), 1);
}

#[tokio::test]
async fn a_document_that_is_no_key_set_takes_no_key_away() {
    let house = House::open().await;
    house.verifier.ready().await.unwrap();
    let other = json!({"keys": [Key::es256("second").jwk()]}).to_string();
    let too_long = format!("{other}{}", " ".repeat(256 * 1024));
    for text in ["<html>", r#"{"keys":[]}"#, &too_long] {
        house.issuer.publishes_text(text.to_owned());
        house.clock.advance(3_600);
        house.verifier.verify(&house.token(&house.claims())).await.accepted();
    }
    assert_eq!(house.issuer.jwks_fetches(), 4);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_undo_the_fetch() {
    let house = House::open().await;
    let verifier = house.verifier.clone();
    let caller = tokio::spawn(async move { verifier.ready().await });
    comes_about(|| house.issuer.jwks_fetches() == 1).await;
    caller.abort();
    house.verifier.verify(&house.token(&house.claims())).await.accepted();
    assert_eq!(house.issuer.jwks_fetches(), 1);
}
