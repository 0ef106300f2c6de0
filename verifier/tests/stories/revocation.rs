//! Sessions that end while their tokens live.

use std::time::Duration;

use serde_json::{Value, json};
use verifier::{Distrust, StatusPolicy, VerifyError};

use crate::harness::{Key, Outcome, TestApp, pack};

#[tokio::test]
async fn a_revoked_token_is_refused_once_the_list_is_a_minute_old() {
    let app = TestApp::open().await;
    app.publishes_list(&[0]);
    let token = app.token(&app.claims_at(3));
    app.verifier.verify(&token).await.accepted();
    app.clock.advance(1);
    app.publishes_list(&[0b1000]);
    app.clock.advance(46);
    app.verifier.verify(&token).await.accepted();
    assert_eq!(app.issuer.list_fetches(), 1, "within its ttl, a list is not asked for again");
    app.clock.advance(13);
    assert_eq!(app.verifier.verify(&token).await, Err(VerifyError::Revoked(1)));
    assert_eq!(app.issuer.list_fetches(), 2);
    app.verifier.verify(&app.token(&app.claims_at(2))).await.accepted();
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_not_sent_again() {
    let app = TestApp::open().await;
    app.publishes_list(&[0]);
    for _ in 0..3 {
        app.verifier.verify(&app.token(&app.claims_at(0))).await.accepted();
        app.clock.advance(60);
    }
    assert_eq!((app.issuer.list_fetches(), app.issuer.unchanged()), (3, 2));
}

#[tokio::test]
async fn a_hundred_callers_fetch_a_list_once() {
    let app = TestApp::open().await;
    app.publishes_list(&[0; 100]);
    let mut set = tokio::task::JoinSet::new();
    for idx in 0..100 {
        let (verifier, token) = (app.verifier.clone(), app.token(&app.claims_at(idx)));
        set.spawn(async move { verifier.verify(&token).await });
    }
    for outcome in set.join_all().await {
        outcome.accepted();
    }
    assert_eq!((app.issuer.list_fetches(), app.issuer.jwks_fetches()), (1, 1));
}

#[tokio::test]
async fn without_the_issuer_the_old_list_holds_until_its_end_and_then_nobody_passes() {
    let app = TestApp::open().await;
    app.publishes_list(&[0b10]);
    let (good, revoked) = (|| app.token(&app.claims_at(0)), || app.token(&app.claims_at(1)));
    app.verifier.verify(&good()).await.accepted();
    app.issuer.is_down(true);
    app.clock.advance(599);
    app.verifier.verify(&good()).await.accepted();
    assert_eq!(app.verifier.verify(&revoked()).await, Err(VerifyError::Revoked(1)));
    app.clock.advance(1);
    let outcome = app.verifier.verify(&good()).await;
    assert_eq!(outcome.as_ref().map_err(VerifyError::status), Err(503));
    outcome.unavailable();
    app.issuer.is_down(false);
    app.publishes_list(&[0b10]);
    app.clock.advance(1);
    app.verifier.verify(&good()).await.accepted();
}

#[tokio::test]
async fn failing_open_is_for_those_who_ask_for_it_and_obeys_the_list_while_there_is_one() {
    let app = TestApp::with(|builder| builder.status_policy(StatusPolicy::DangerouslyFailOpen)).await;
    app.publishes_list(&[1]);
    let token = || app.token(&app.claims_at(0));
    assert_eq!(app.verifier.verify(&token()).await, Err(VerifyError::Revoked(1)));
    app.issuer.is_down(true);
    app.clock.advance(599);
    assert_eq!(app.verifier.verify(&token()).await, Err(VerifyError::Revoked(1)));
    app.clock.advance(1);
    app.verifier.verify(&token()).await.accepted();
}

#[tokio::test]
async fn a_list_that_is_ignored_is_never_asked_for() {
    let app = TestApp::with(|builder| builder.status_policy(StatusPolicy::Ignore)).await;
    app.publishes_list(&[1]);
    app.verifier.verify(&app.token(&app.claims_at(0))).await.accepted();
    assert_eq!(app.issuer.list_fetches(), 0);
}

#[tokio::test]
async fn a_token_without_a_status_asks_for_no_list() {
    let app = TestApp::open().await;
    app.verifier.verify(&app.token(&app.claims())).await.accepted();
    let mut claims = app.claims();
    for name in ["sid", "auth_time", "amr", "preferred_username", "roles"] {
        claims.as_object_mut().unwrap().remove(name);
    }
    let claims = app.verifier.verify(&app.token(&claims)).await.accepted();
    assert_eq!((claims.sid, claims.roles), (None, vec![]));
    assert_eq!(app.issuer.list_fetches(), 0);
}

#[tokio::test]
async fn a_list_elsewhere_is_never_asked_for() {
    let app = TestApp::open().await;
    app.publishes_list(&[0]);
    let own = app.list_uri();
    for uri in [
        "https://evil.example.com/oauth/status-lists/1".to_owned(),
        format!("{own}/../../x"),
        own.replace("status", "x"),
    ] {
        let mut claims = app.claims_at(0);
        claims["status"]["status_list"]["uri"] = uri.into();
        app.verifier.verify(&app.token(&claims)).await.distrusted(Distrust::ForeignStatusList);
    }
    assert_eq!(app.issuer.list_fetches(), 0);
}

#[tokio::test]
async fn a_list_that_is_not_the_issuer_s_own_counts_for_nothing() {
    let changes: [(&str, Value); 5] = [
        ("sub", json!("http://127.0.0.1:1/oauth/status-lists/1")),
        ("iss", json!("https://evil.example.com")),
        ("exp", json!(1_800_000_000)),
        ("iat", json!(1_800_000_031)),
        ("status_list", json!({"bits": 1, "lst": pack(&vec![0; 8 * 1024 * 1024 + 1])})),
    ];
    for (name, value) in changes {
        let app = TestApp::open().await;
        let mut list = app.list(&[0]);
        list[name] = value;
        app.issuer.publishes_list(&app.key.status_list(&list));
        app.verifier.verify(&app.token(&app.claims_at(0))).await.unavailable();
    }
    let app = TestApp::open().await;
    let list = app.list(&[0]);
    let (stranger, unknown) = (Key::es256("first"), Key::es256("unknown"));
    for forged in [stranger.status_list(&list), unknown.status_list(&list), app.token(&list), "rubbish".to_owned()] {
        app.issuer.publishes_list(&forged);
        app.clock.advance(1);
        app.verifier.verify(&app.token(&app.claims_at(0))).await.unavailable();
    }
    app.publishes_list(&[0]);
    app.clock.advance(1);
    app.verifier.verify(&app.token(&app.claims_at(0))).await.accepted();
}

#[tokio::test]
async fn a_list_that_has_grown_is_fetched_for_a_token_past_its_end() {
    let app = TestApp::open().await;
    app.publishes_list(&[0]);
    app.verifier.verify(&app.token(&app.claims_at(7))).await.accepted();
    app.clock.advance(1);
    app.publishes_list(&[0, 0]);
    app.verifier.verify(&app.token(&app.claims_at(8))).await.accepted();
    app.verifier.verify(&app.token(&app.claims_at(16))).await.unavailable();
    assert_eq!(app.issuer.list_fetches(), 2, "not for each token that is past its end");
}

#[tokio::test]
async fn a_replica_that_lags_behind_does_not_undo_a_revocation() {
    let app = TestApp::open().await;
    let behind = app.key.status_list(&app.list(&[0]));
    app.clock.advance(1);
    app.publishes_list(&[1]);
    let token = app.token(&app.claims_at(0));
    assert_eq!(app.verifier.verify(&token).await, Err(VerifyError::Revoked(1)));
    app.issuer.publishes_list(&behind);
    app.clock.advance(60);
    assert_eq!(app.verifier.verify(&token).await, Err(VerifyError::Revoked(1)));
    assert_eq!(app.issuer.list_fetches(), 2);
}

#[tokio::test]
async fn the_list_s_own_ttl_may_be_shorter_than_ours_and_not_longer() {
    for (ours, its, kept) in [(60, 10, 10), (60, 43_200, 60), (5, 60, 5)] {
        let app = TestApp::with(|builder| builder.status_list_ttl(Duration::from_secs(ours))).await;
        let mut list = app.list(&[0]);
        list["ttl"] = its.into();
        app.issuer.publishes_list(&app.key.status_list(&list));
        let token = app.token(&app.claims_at(0));
        app.verifier.verify(&token).await.accepted();
        app.clock.advance(kept * 4 / 5 - 1);
        app.verifier.verify(&token).await.accepted();
        assert_eq!(app.issuer.list_fetches(), 1, "{ours} {its}");
        app.clock.advance(kept - (kept * 4 / 5 - 1));
        app.verifier.verify(&token).await.accepted();
        assert_eq!(app.issuer.list_fetches(), 2, "{ours} {its}");
    }
}
