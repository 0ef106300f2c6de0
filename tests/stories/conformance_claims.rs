//! Basic OP and Form Post OP: scopes, and the claims that they bring.

use serde_json::Value;

use crate::harness::{
    Ask,
    conformance::{Suite, modules},
};

/// Whether discovery lists a scope. The suite skips a module whose scope is not listed.
async fn lists(suite: &Suite, scope: &str) -> bool {
    let metadata = suite.signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    metadata["scopes_supported"].as_array().expect("a list").iter().any(|listed| listed == scope)
}

/// Asserts that an object has these members, and lacks those.
#[track_caller]
fn has(said: &Value, members: &[&str], others: &[&str]) {
    assert!(members.iter().all(|name| !said[name].is_null()), "{members:?}: {said}");
    assert!(others.iter().all(|name| said.get(name).is_none()), "not {others:?}: {said}");
}

/// The claims of scope `profile` that Signet has no value for.
const UNKNOWN: [&str; 12] = [
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
];

/// `oidcc-scope-profile`: warning.
async fn the_profile_is_a_name(suite: &Suite) {
    assert!(lists(suite, "profile").await);
    let login = suite.logs_in(&[("scope", "openid profile")]).await;
    has(&login.user, &["sub", "name", "preferred_username"], &UNKNOWN);
}

/// `oidcc-scope-email`: warning.
async fn the_email_address_is_in_userinfo_and_in_the_id_token(suite: &Suite) {
    assert!(lists(suite, "email").await);
    let login = suite.logs_in(&[("scope", "openid email")]).await;
    has(&login.user, &["sub", "email", "email_verified"], &["name"]);
    assert!(login.user["email_verified"].is_boolean(), "{}", login.user);
    has(&login.claims, &["email", "email_verified"], &["name"]);
}

/// `oidcc-scope-address`: skipped.
async fn an_address_is_not_on_offer(suite: &Suite) {
    assert!(!lists(suite, "address").await);
    let login = suite.logs_in(&[("scope", "openid address")]).await;
    has(&login.user, &["sub"], &["address"]);
}

/// `oidcc-scope-phone`: skipped.
async fn a_phone_number_is_not_on_offer(suite: &Suite) {
    assert!(!lists(suite, "phone").await);
    let login = suite.logs_in(&[("scope", "openid phone")]).await;
    has(&login.user, &["sub"], &["phone_number", "phone_number_verified"]);
}

/// `oidcc-scope-all`: skipped. Sent all the same, it brings what there is, and the token response says which.
async fn of_all_scopes_a_client_gets_those_that_there_are(suite: &Suite) {
    let login = suite.logs_in(&[("scope", "openid profile email address phone")]).await;
    assert_eq!(login.tokens["scope"], "openid profile email");
    has(&login.user, &["sub", "name", "preferred_username", "email", "email_verified"], &["address", "phone_number"]);
}

/// `oidcc-alternate-happy-flow`: warning. The order of scopes and of parameters means nothing.
async fn another_order_of_scopes_and_parameters_means_the_same(suite: &Suite) {
    let mut request = suite.request(&[("scope", "email openid")]);
    request.reverse();
    let answer = suite.browser.opens(&Suite::path(&request)).await;
    let login = suite.completes(suite.travels(answer, &request).await).await;
    has(&login.user, &["sub", "email", "email_verified"], &[]);
    has(&login.claims, &["email"], &[]);
}

/// `oidcc-claims-essential`: warning. The request succeeds, and `name` comes with scope `profile` alone.
async fn a_request_for_single_claims_succeeds_without_them(suite: &Suite) {
    let claims = r#"{"userinfo":{"name":{"essential":true}}}"#;
    let login = suite.logs_in(&[("claims", claims)]).await;
    has(&login.user, &["sub"], &["name"]);
    has(&login.claims, &["sub"], &["name"]);
}

/// `oidcc-ensure-request-with-acr-values-succeeds`: pass. The suite asks for the values that discovery lists.
async fn the_login_says_how_much_it_proves(suite: &Suite) {
    let metadata = suite.signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    let values: Vec<&str> =
        metadata["acr_values_supported"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let login = suite.logs_in(&[("acr_values", &values.join(" "))]).await;
    assert!(login.claims["acr"].as_str().is_some_and(|acr| values.contains(&acr)), "{}", login.claims);
}

modules![
    the_profile_is_a_name,
    the_email_address_is_in_userinfo_and_in_the_id_token,
    an_address_is_not_on_offer,
    a_phone_number_is_not_on_offer,
    of_all_scopes_a_client_gets_those_that_there_are,
    another_order_of_scopes_and_parameters_means_the_same,
    a_request_for_single_claims_succeeds_without_them,
    the_login_says_how_much_it_proves,
];
