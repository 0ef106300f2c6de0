//! Basic OP and Form Post OP: when a person must log in again, and when nobody is asked.

use serde_json::Value;

use crate::harness::{
    browser_session::BrowserSession,
    conformance::{Suite, modules, text},
    seconds,
};

/// Asserts that both logins are of the same person at the same time.
#[track_caller]
fn are_the_same(first: &Value, second: &Value) {
    for same in ["sub", "auth_time"] {
        assert!(!first[same].is_null(), "{first}");
        assert_eq!(first[same], second[same], "{same}");
    }
}

/// Asserts that the same person proved later who they are.
#[track_caller]
fn is_later(first: &Value, second: &Value) {
    assert_eq!(first["sub"], second["sub"]);
    assert!(first["auth_time"].as_i64() < second["auth_time"].as_i64(), "{first} {second}");
}

/// `oidcc-prompt-login`: review. A screenshot shows the second login page.
async fn prompt_login_asks_for_the_password_again(suite: &Suite) {
    let first = suite.logs_in(&[]).await;
    suite.signet.clock.advance(seconds(2));
    let second = suite.logs_in(&[("prompt", "login")]).await;
    assert_eq!(second.logins, 1);
    is_later(&first.claims, &second.claims);
}

/// `oidcc-max-age-1`: review. A screenshot shows the second login page.
async fn a_login_that_is_too_old_for_the_client_is_made_again(suite: &Suite) {
    let first = suite.logs_in(&[]).await;
    // The suite waits a second.
    suite.signet.clock.advance(seconds(2));
    let second = suite.logs_in(&[("max_age", "1")]).await;
    assert_eq!(second.logins, 1);
    is_later(&first.claims, &second.claims);
    let now = suite.signet.clock.clone();
    assert!(signet::testing::Clock::now(&now).timestamp() - second.claims["auth_time"].as_i64().expect("a time") <= 1);
}

/// `oidcc-max-age-10000`: pass.
async fn a_login_that_is_young_enough_is_not_made_again(suite: &Suite) {
    let first = suite.logs_in(&[("max_age", "15000")]).await;
    suite.signet.clock.advance(seconds(2));
    let second = suite.logs_in(&[("max_age", "10000")]).await;
    assert_eq!(second.logins, 0);
    are_the_same(&first.claims, &second.claims);
}

/// `oidcc-prompt-none-not-logged-in`: pass.
async fn prompt_none_where_nobody_is_logged_in_is_an_error(suite: &Suite) {
    let trip = suite.asks(&[("prompt", "none")]).await;
    trip.is_refused(&["login_required"]);
}

/// `oidcc-prompt-none-logged-in`: pass.
async fn prompt_none_where_somebody_is_logged_in_succeeds_at_once(suite: &Suite) {
    let first = suite.logs_in(&[]).await;
    suite.signet.clock.advance(seconds(2));
    let second = suite.logs_in(&[("prompt", "none")]).await;
    assert_eq!(second.logins, 0);
    are_the_same(&first.claims, &second.claims);
    let elsewhere = BrowserSession::at(&suite.signet);
    let request = suite.request(&[("prompt", "none")]);
    let trip = suite.travels(elsewhere.opens(&Suite::path(&request)).await, &request).await;
    trip.is_refused(&["login_required"]);
}

/// `oidcc-id-token-hint`: pass.
async fn the_hint_of_the_person_who_is_logged_in_succeeds_at_once(suite: &Suite) {
    let first = suite.logs_in(&[]).await;
    suite.signet.clock.advance(seconds(2));
    let hint = text(&first.tokens, "id_token");
    let second = suite.logs_in(&[("prompt", "none"), ("id_token_hint", hint)]).await;
    assert_eq!(second.logins, 0);
    are_the_same(&first.claims, &second.claims);
}

modules![
    prompt_login_asks_for_the_password_again,
    a_login_that_is_too_old_for_the_client_is_made_again,
    a_login_that_is_young_enough_is_not_made_again,
    prompt_none_where_nobody_is_logged_in_is_an_error,
    prompt_none_where_somebody_is_logged_in_succeeds_at_once,
    the_hint_of_the_person_who_is_logged_in_succeeds_at_once,
];
