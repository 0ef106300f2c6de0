//! RP-Initiated Logout OP and Back-Channel Logout OP: a client has a browser logged out.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use signet::testing::Clock;
use url::form_urlencoded;

use crate::harness::{
    Answer, Ask, TestEnvBuilder,
    browser_session::location,
    conformance::{BYE, Login, Suite, text},
    jwt,
    receiver::Receiver,
    relying_party::CALLBACK,
    stories, stories_on,
};

/// Longer than usual, to see whether it comes back whole.
const STATE: &str = "lZ9wXn2Qe7RkV0bTfYc4HsUoGd1AmJpPi6xL3yNqWv8CtEzBgMhDrKaSuFjIOl5Z9wXn2Qe7RkV0bTfYc4HsUoGd1AmJpPi6xL3yNqWv8CtEzBgMhDrKaSuFjIOl50QA";

fn path(parameters: &[(&str, &str)]) -> String {
    format!("/oauth/logout?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish())
}

/// Sends the browser to the end session endpoint.
async fn logs_out(suite: &Suite, parameters: &[(&str, &str)]) -> Answer {
    suite.browser.opens(&path(parameters)).await
}

fn hint(login: &Login) -> (&str, &str) {
    ("id_token_hint", text(&login.tokens, "id_token"))
}

/// Nobody is logged in any more: the next request says that a page is needed (OIDC Core §3.1.2.6).
async fn is_logged_out(suite: &Suite) {
    suite.asks(&[("prompt", "none")]).await.is_refused(&["login_required"]);
}

async fn is_logged_in(suite: &Suite) {
    let trip = suite.asks(&[("prompt", "none")]).await;
    assert_eq!(trip.logins, 0);
    trip.code();
}

/// The person is asked, does not go back to the client, and is logged out after yes.
async fn is_asked_and_stays(suite: &Suite, answer: &Answer, words: &str) {
    let page = suite.browser.follows(answer).await.is(200);
    assert!(page.text().contains("Log out?") && page.text().contains(words), "{page:?}");
    is_logged_in(suite).await;
    let answer = suite.browser.sends(&page, "/logout", &[("answer", "log-out")]).await;
    let page = suite.browser.follows(&answer).await.is(200);
    assert!(page.text().contains("You are logged out") && page.header("refresh").is_empty(), "{page:?}");
    is_logged_out(suite).await;
}

/// An error page says that the address is not the client's. Nobody is sent there.
async fn shows_a_wrong_address(suite: &Suite, answer: &Answer) {
    assert_eq!((answer.status, answer.header("location"), answer.header("refresh")), (200, "", ""), "{answer:?}");
    assert!(answer.text().contains("<h1>This app asked for the wrong address</h1>"), "{answer:?}");
    assert!(answer.text().contains("role=\"alert\""), "{answer:?}");
    is_logged_out(suite).await;
}

/// `oidcc-rp-initiated-logout`: pass.
async fn a_client_logs_a_browser_out_and_gets_it_back_with_its_state(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    let login = suite.logs_in(&[]).await;
    let answer = logs_out(&suite, &[hint(&login), ("post_logout_redirect_uri", BYE), ("state", STATE)]).await;
    assert_eq!(location(&answer), format!("{BYE}?state={STATE}"));
    is_logged_out(&suite).await;
}

/// `oidcc-rp-initiated-logout-no-state`: pass.
async fn a_logout_without_a_state_comes_back_without_one(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    let login = suite.logs_in(&[]).await;
    assert_eq!(location(&logs_out(&suite, &[hint(&login), ("post_logout_redirect_uri", BYE)]).await), BYE);
    is_logged_out(&suite).await;
}

/// `oidcc-rp-initiated-logout-bad-post-logout-redirect-uri`: review. A screenshot shows the error page.
async fn a_logout_to_an_address_that_nobody_registered_shows_an_error(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    let login = suite.logs_in(&[]).await;
    let bad = format!("{BYE}/bad");
    shows_a_wrong_address(&suite, &logs_out(&suite, &[hint(&login), ("post_logout_redirect_uri", &bad)]).await).await;
}

/// `oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri`: review. A screenshot shows the error page.
async fn a_logout_to_an_address_with_an_added_query_shows_an_error(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    let login = suite.logs_in(&[]).await;
    let bad = format!("{BYE}?foo=bar");
    let parameters = [hint(&login), ("post_logout_redirect_uri", &bad), ("state", STATE)];
    shows_a_wrong_address(&suite, &logs_out(&suite, &parameters).await).await;
}

/// `oidcc-rp-initiated-logout-modified-id-token-hint`: review. A screenshot shows the question. The hint says `alg: none`.
async fn a_hint_without_a_signature_has_the_person_asked(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    let login = suite.logs_in(&[]).await;
    let claims = text(&login.tokens, "id_token").split('.').nth(1).expect("a JWT");
    let modified = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
    let parameters = [("id_token_hint", modified.as_str()), ("post_logout_redirect_uri", BYE), ("state", STATE)];
    is_asked_and_stays(&suite, &logs_out(&suite, &parameters).await, "not registered for it").await;
}

/// `oidcc-rp-initiated-logout-bad-id-token-hint`: review. A screenshot shows the question.
async fn a_hint_that_is_no_token_has_the_person_asked(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    let login = suite.logs_in(&[]).await;
    let bad = jwt::with_claims(text(&login.tokens, "id_token"), &json!({"sub": "somebody else"}));
    for bad in [bad.as_str(), "bad"] {
        let parameters = [("id_token_hint", bad), ("post_logout_redirect_uri", BYE), ("state", STATE)];
        let answer = logs_out(&suite, &parameters).await;
        assert!(location(&answer).starts_with("/logout"), "{answer:?}");
        is_logged_in(&suite).await;
    }
    let answer = logs_out(&suite, &[("id_token_hint", &bad), ("post_logout_redirect_uri", BYE)]).await;
    is_asked_and_stays(&suite, &answer, "not registered for it").await;
}

/// `oidcc-rp-initiated-logout-no-id-token-hint`: review. A screenshot shows the question.
async fn a_logout_without_a_hint_has_the_person_asked(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    suite.logs_in(&[]).await;
    let answer = logs_out(&suite, &[("post_logout_redirect_uri", BYE), ("state", STATE)]).await;
    is_asked_and_stays(&suite, &answer, "not registered for it").await;
}

/// `oidcc-rp-initiated-logout-no-params`: review. A screenshot shows the question.
async fn a_logout_without_parameters_has_the_person_asked(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    suite.logs_in(&[]).await;
    is_asked_and_stays(&suite, &logs_out(&suite, &[]).await, "").await;
}

/// `oidcc-rp-initiated-logout-only-state`: review. A screenshot shows the question.
async fn a_logout_with_a_state_alone_has_the_person_asked(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    suite.logs_in(&[]).await;
    is_asked_and_stays(&suite, &logs_out(&suite, &[("state", STATE)]).await, "").await;
}

/// `oidcc-rp-initiated-logout-no-post-logout-redirect-uri`: review. A screenshot shows "You are logged out".
async fn a_logout_without_an_address_stays_here(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    let login = suite.logs_in(&[]).await;
    let answer = logs_out(&suite, &[hint(&login), ("state", STATE)]).await.is(200);
    assert!(answer.text().contains("<h1>You are logged out</h1>") && answer.header("refresh").is_empty(), "{answer:?}");
    is_logged_out(&suite).await;
}

/// `oidcc-backchannel-rp-initiated-logout`: pass. The client is a static one.
async fn a_client_is_told_of_the_logout_that_it_asked_for(builder: TestEnvBuilder) {
    let receiver = Receiver::starts().await;
    let suite = Suite::starts(builder, &["--backchannel-logout-uri", &receiver.uri()]).await;
    let login = suite.logs_in(&[]).await;
    let answer = logs_out(&suite, &[hint(&login), ("post_logout_redirect_uri", BYE), ("state", STATE)]).await;
    assert_eq!(location(&answer), format!("{BYE}?state={STATE}"));
    // The receiver takes nothing but a form with `logout_token` alone.
    let [token] = &receiver.waits_for(1).await[..] else { panic!("told once") };
    assert!(receiver.requests()[0].starts_with("post "), "{:?}", receiver.requests());
    let header = jwt::header(token);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("logout+jwt")), "{header}");
    suite.is_signed(token).await;
    let claims = jwt::claims(token);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(suite.signet.issuer), &json!(suite.client.id)), "{claims}");
    assert_eq!((&claims["sub"], &claims["sid"]), (&login.claims["sub"], &login.claims["sid"]), "{claims}");
    let now = suite.signet.clock.now().timestamp();
    let time = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("no {name}: {claims}"));
    assert!(time("iat") <= now && now < time("exp") && !text(&claims, "jti").is_empty(), "{claims}");
    assert_eq!(claims["events"], json!({"http://schemas.openid.net/event/backchannel-logout": {}}));
    assert_eq!(claims.get("nonce"), None::<&Value>);
    is_logged_out(&suite).await;
}

/// Why the dynamic variant of `oidcc-backchannel-rp-initiated-logout` is not run: Signet calls no address that a stranger
/// names.
async fn a_client_that_registers_itself_is_not_told(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder.set("client_registration", "open"), &[]).await;
    let metadata = json!({
        "redirect_uris": [CALLBACK],
        "backchannel_logout_uri": "https://app.example.com/backchannel_logout",
        "backchannel_logout_session_required": true,
    });
    let answer = suite.signet.site.post("/oauth/register").json(&metadata).answer().await;
    let answer = answer.oauth_error(400, "invalid_client_metadata");
    assert!(answer.string("error_description").contains("backchannel_logout_uri"), "{answer:?}");
}

stories![a_client_is_told_of_the_logout_that_it_asked_for];

stories_on![Sqlite:
    a_client_logs_a_browser_out_and_gets_it_back_with_its_state,
    a_logout_without_a_state_comes_back_without_one,
    a_logout_to_an_address_that_nobody_registered_shows_an_error,
    a_logout_to_an_address_with_an_added_query_shows_an_error,
    a_hint_without_a_signature_has_the_person_asked,
    a_hint_that_is_no_token_has_the_person_asked,
    a_logout_without_a_hint_has_the_person_asked,
    a_logout_without_parameters_has_the_person_asked,
    a_logout_with_a_state_alone_has_the_person_asked,
    a_logout_without_an_address_stays_here,
    a_client_that_registers_itself_is_not_told,
];
