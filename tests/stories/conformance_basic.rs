//! Basic OP and Form Post OP: a plain login, who may send it, and parameters that change nothing.
//!
//! Each story makes the checks of one module of the OpenID conformance suite, as the suite sends it. The doc comment
//! names the module and its result, which `docs/conformance.md` lists.

use serde_json::json;

use crate::harness::{
    Ask, TestEnvBuilder,
    conformance::{Mode, Suite, modules, text},
    relying_party::{CALLBACK, CHALLENGE, RelyingParty, VERIFIER},
    stories_on,
    test_env::Client,
};

/// `oidcc-server`: pass. The code has 43 characters of base64url; the helper checks the tokens and userinfo.
async fn a_person_logs_in_and_the_client_learns_who_it_is(suite: &Suite) {
    let login = suite.logs_in(&[]).await;
    assert_eq!(login.logins, 1);
    assert!(login.code.len() >= 43, "{}", login.code);
    assert!(login.code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{}", login.code);
    // What the client did not ask for is not there.
    for claim in ["name", "preferred_username", "email", "email_verified", "roles"] {
        assert!(login.claims.get(claim).is_none() && login.user.get(claim).is_none(), "{claim}: {}", login.claims);
    }
}

/// `oidcc-response-type-missing`: pass.
async fn a_request_without_a_response_type_is_refused(suite: &Suite) {
    suite.asks(&[("response_type", "")]).await.is_refused(&["invalid_request", "unsupported_response_type"]);
}

/// `oidcc-idtoken-signature`: skipped. The suite leaves it out of a plan with a static client. A client that registered
/// itself must send a challenge, which the module does not. With one, its checks pass: RS256 where the registration names
/// no algorithm, and a `kid`.
async fn a_client_that_registers_itself_gets_rs256_with_a_kid_but_must_send_a_challenge(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder.set("client_registration", "open"), &[]).await;
    let metadata = json!({
        "client_name": "Dynamic conformance suite",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "contacts": ["certification@oidf.org"],
    });
    let answer = suite.signet.site.post("/oauth/register").json(&metadata).answer().await.is(201);
    let client = Client { id: answer.string("client_id"), secret: answer.string("client_secret") };
    suite.logs_in(&[]).await;
    let suite = suite.with_client(client);
    suite.asks(&[]).await.is_refused(&["invalid_request"]);
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let trip = suite.asks(&challenge).await;
    let app = RelyingParty::of(&suite.signet, suite.client.clone(), CALLBACK);
    let answer = app.redeems(trip.code()).await;
    suite.judges(trip, answer).await;
}

/// `oidcc-idtoken-unsigned`: skipped. `none` is not listed.
async fn an_unsigned_id_token_is_not_on_offer(suite: &Suite) {
    let metadata = suite.signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    let algorithms = metadata["id_token_signing_alg_values_supported"].as_array().expect("a list");
    assert!(algorithms.contains(&json!("RS256")) && !algorithms.contains(&json!("none")), "{algorithms:?}");
}

/// `oidcc-userinfo-get`: pass.
async fn userinfo_is_read_with_get(suite: &Suite) {
    let login = suite.logs_in(&[]).await;
    let answer = suite.signet.site.user_info(text(&login.tokens, "access_token")).await.is(200);
    assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
    assert_eq!(answer.json()["sub"], login.claims["sub"]);
}

/// `oidcc-userinfo-post-header`: pass.
async fn userinfo_is_read_with_post_and_the_token_in_the_header(suite: &Suite) {
    let login = suite.logs_in(&[]).await;
    let request = suite.signet.site.post("/oauth/userinfo").bearer_auth(text(&login.tokens, "access_token"));
    assert_eq!(request.answer().await.is(200).json()["sub"], login.claims["sub"]);
}

/// `oidcc-userinfo-post-body`: pass.
async fn userinfo_is_read_with_post_and_the_token_in_the_form(suite: &Suite) {
    let login = suite.logs_in(&[]).await;
    let form = [("access_token", text(&login.tokens, "access_token"))];
    let answer = suite.signet.site.post("/oauth/userinfo").form(&form).answer().await;
    assert_eq!(answer.is(200).json()["sub"], login.claims["sub"]);
}

/// `oidcc-ensure-request-without-nonce-succeeds-for-code-flow`: pass.
async fn a_request_without_a_nonce_succeeds_in_the_code_flow(suite: &Suite) {
    let login = suite.logs_in(&[("nonce", "")]).await;
    assert!(login.claims.get("nonce").is_none(), "{}", login.claims);
}

/// `oidcc-display-page`: pass.
async fn a_client_may_ask_for_a_page(suite: &Suite) {
    suite.logs_in(&[("display", "page")]).await;
}

/// `oidcc-display-popup`: pass.
async fn a_client_may_ask_for_a_popup(suite: &Suite) {
    suite.logs_in(&[("display", "popup")]).await;
}

/// `oidcc-ensure-request-with-unknown-parameter-succeeds`: pass.
async fn a_parameter_that_nobody_knows_changes_nothing(suite: &Suite) {
    suite.logs_in(&[("extra", "foobar")]).await;
}

/// `oidcc-login-hint`: pass.
async fn a_login_hint_stands_in_the_field_for_the_name(suite: &Suite) {
    let request = suite.request(&[("login_hint", "buffy@app.example.com")]);
    let answer = suite.browser.opens(&Suite::path(&request)).await;
    assert!(suite.browser.follows(&answer).await.is(200).text().contains("buffy@app.example.com"));
    suite.completes(suite.travels(answer, &request).await).await;
}

/// `oidcc-ui-locales`: pass.
async fn a_wish_for_a_language_changes_nothing(suite: &Suite) {
    suite.logs_in(&[("ui_locales", "se")]).await;
}

/// `oidcc-claims-locales`: pass.
async fn a_wish_for_a_language_of_claims_changes_nothing(suite: &Suite) {
    suite.logs_in(&[("claims_locales", "se")]).await;
}

/// `oidcc-ensure-post-request-succeeds`: pass.
async fn a_request_may_be_posted(suite: &Suite) {
    let request = suite.request(&[]);
    // The form stands on the suite's own site.
    let form = suite.signet.site.post("/oauth/authorize").header("sec-fetch-site", "cross-site").form(&request);
    let login = suite.completes(suite.travels(form.answer().await, &request).await).await;
    assert_eq!(login.logins, 1);
}

/// `oidcc-ensure-request-with-valid-pkce-succeeds`: pass. The same client is held to a challenge that it sends.
async fn a_challenge_is_kept(suite: &Suite) {
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let trip = suite.asks(&challenge).await;
    suite.redeems(trip.code()).await.refused("invalid_request");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", trip.code()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let answer = suite.client.posts(&suite.signet.site, "/oauth/token", &form).await;
    suite.judges(trip, answer).await;
}

/// `oidcc-server-client-secret-post`: pass.
async fn a_client_may_send_its_secret_in_the_form(builder: TestEnvBuilder) {
    let mut suite = Suite::starts(builder, &["--auth-method", "client_secret_post"]).await;
    for mode in [Mode::Default, Mode::FormPost] {
        suite.mode = mode;
        let trip = suite.asks(&[]).await;
        let form = [("grant_type", "authorization_code"), ("code", trip.code()), ("redirect_uri", CALLBACK)];
        let answer = suite.signet.site.token(&suite.client.in_form(&form)).answer().await;
        suite.judges(trip, answer).await;
    }
}

modules![
    a_person_logs_in_and_the_client_learns_who_it_is,
    a_request_without_a_response_type_is_refused,
    an_unsigned_id_token_is_not_on_offer,
    userinfo_is_read_with_get,
    userinfo_is_read_with_post_and_the_token_in_the_header,
    userinfo_is_read_with_post_and_the_token_in_the_form,
    a_request_without_a_nonce_succeeds_in_the_code_flow,
    a_client_may_ask_for_a_page,
    a_client_may_ask_for_a_popup,
    a_parameter_that_nobody_knows_changes_nothing,
    a_login_hint_stands_in_the_field_for_the_name,
    a_wish_for_a_language_changes_nothing,
    a_wish_for_a_language_of_claims_changes_nothing,
    a_request_may_be_posted,
    a_challenge_is_kept,
];

stories_on![Sqlite:
    a_client_that_registers_itself_gets_rs256_with_a_kid_but_must_send_a_challenge,
    a_client_may_send_its_secret_in_the_form,
];
