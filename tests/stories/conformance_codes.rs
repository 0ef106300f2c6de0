//! Basic OP and Form Post OP: codes that are used twice, refresh tokens, redirect URIs, and requests as objects.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{
    Ask, TestEnvBuilder,
    browser_session::{BrowserSession, parameter},
    conformance::{Mode, Suite, is_token_error, is_token_response, modules, text},
    jwt,
    relying_party::{CALLBACK, CHALLENGE},
    seconds, stories_on,
    test_env::Client,
};

/// `oidcc-codereuse`: pass.
async fn a_code_that_is_used_again_at_once_is_refused(suite: &Suite) {
    let login = suite.logs_in(&[]).await;
    is_token_error(suite.redeems(&login.code).await, "invalid_grant");
}

/// `oidcc-codereuse-30seconds`: pass. The tokens of the first use are revoked (RFC 6749 §4.1.2).
async fn a_code_that_is_used_again_later_is_refused_and_its_tokens_are_revoked(suite: &Suite) {
    let login = suite.logs_in(&[]).await;
    suite.signet.clock.advance(seconds(30));
    is_token_error(suite.redeems(&login.code).await, "invalid_grant");
    suite.signet.site.user_info(text(&login.tokens, "access_token")).await.challenges(401, "invalid_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", text(&login.tokens, "refresh_token"))];
    is_token_error(suite.client.posts(&suite.signet.site, "/oauth/token", &form).await, "invalid_grant");
}

/// `oidcc-refresh-token`: pass. The suite has two clients, and asks with `offline_access` and `prompt=consent`.
async fn a_refresh_token_is_good_for_its_own_client(suite: &Suite) {
    let metadata = suite.signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    assert!(metadata["grant_types_supported"].as_array().expect("a list").contains(&json!("refresh_token")));
    let login = suite.logs_in(&[("scope", "openid offline_access"), ("prompt", "consent")]).await;
    let refresh = text(&login.tokens, "refresh_token");
    assert!(refresh.bytes().all(|byte| byte.is_ascii_graphic()), "{refresh}");

    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let other = Suite::registers(&suite.signet, &[]).await;
    is_token_error(other.posts(&suite.signet.site, "/oauth/token", &form).await, "invalid_grant");

    suite.signet.clock.advance(seconds(1));
    let form = [form[0], form[1], ("scope", "openid offline_access")];
    let answer = suite.client.posts(&suite.signet.site, "/oauth/token", &form).await;
    let tokens = is_token_response(answer);
    assert_ne!(tokens["access_token"], login.tokens["access_token"]);
    assert!(text(&tokens, "refresh_token").len() >= 22, "128 bits");
    let claims = suite.is_id_token(&tokens).await;
    for same in ["iss", "sub", "aud", "auth_time", "azp"] {
        assert_eq!(claims[same], login.claims[same], "{same}");
    }
    assert!(login.claims["iat"].as_i64() < claims["iat"].as_i64(), "{claims}");
    assert!(claims.get("nonce").is_none(), "{claims}");
    let user = suite.signet.site.user_info(text(&tokens, "access_token")).await.is(200).json();
    assert_eq!(user["sub"], login.claims["sub"]);
}

/// `oidcc-ensure-registered-redirect-uri`: review. A screenshot shows the error page.
async fn a_redirect_uri_that_nobody_registered_gets_an_error_page(suite: &Suite) {
    let request = suite.request(&[("redirect_uri", "https://app.example.com/callback/bad")]);
    shows_a_wrong_address(suite, &request).await;
}

async fn shows_a_wrong_address(suite: &Suite, request: &[(String, String)]) {
    let page = suite.browser.opens(&Suite::path(request)).await.is(400);
    assert_eq!((page.header("location"), page.header("refresh")), ("", ""), "{page:?}");
    assert!(page.text().contains("This app asked for the wrong address"), "{page:?}");
}

/// A request object without a signature, with the request's parameters.
fn unsigned(suite: &Suite, request: &[(String, String)]) -> String {
    let mut claims: Value = request.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    claims["iss"] = json!(suite.client.id);
    claims["aud"] = json!(suite.signet.issuer);
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), jwt::encode(&claims))
}

/// What OAuth 2 itself requires stands beside a request object as well (OIDC Core §6.1).
fn beside(request: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let doubled = ["response_type", "client_id", "scope", "redirect_uri", "response_mode"];
    let mut beside: Vec<_> = request.iter().filter(|(name, _)| doubled.contains(&name.as_str())).cloned().collect();
    beside.push((name.to_owned(), value.to_owned()));
    beside
}

/// `oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported`: skipped. The error says that request
/// objects are not supported.
async fn a_request_object_is_refused_as_unsupported(suite: &Suite) {
    let request = suite.request(&[]);
    let request = beside(&request, "request", &unsigned(suite, &request));
    let answer = suite.browser.opens(&Suite::path(&request)).await;
    suite.travels(answer, &request).await.is_refused(&["request_not_supported"]);
}

/// `oidcc-ensure-request-object-with-redirect-uri`: review. The address in the query is not registered, so that nobody is
/// sent there. A screenshot shows the error page.
async fn a_wrong_redirect_uri_beside_a_request_object_gets_an_error_page(suite: &Suite) {
    let request = suite.request(&[]);
    let object = unsigned(suite, &request);
    let request = suite.request(&[("redirect_uri", "https://app.example.com/callback/bad")]);
    shows_a_wrong_address(suite, &beside(&request, "request", &object)).await;
}

/// `oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported`: skipped. The module registers its client
/// with `request_uris`, which change nothing. The error says that a `request_uri` is not supported; while nobody is
/// logged in, it is shown with a link to the client.
async fn a_client_that_registers_request_uris_is_told_that_they_are_not_supported(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder.set("client_registration", "open"), &[]).await;
    let object = "https://app.example.com/request-object.jwt";
    let metadata = json!({"client_name": "Suite", "redirect_uris": [CALLBACK], "request_uris": [object]});
    let answer = suite.signet.site.post("/oauth/register").json(&metadata).answer().await.is(201);
    assert!(answer.json().get("request_uris").is_none(), "the answer says what was made: {answer:?}");
    let client = Client { id: answer.string("client_id"), secret: answer.string("client_secret") };
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    suite.logs_in(&[]).await;
    let mut suite = suite.with_client(client);
    suite.mode = Mode::FormPost;
    let request = beside(&suite.request(&challenge), "request_uri", object);
    let answer = suite.browser.opens(&Suite::path(&request)).await;
    suite.travels(answer, &request).await.is_refused(&["request_uri_not_supported"]);
    suite.mode = Mode::Default;
    let request = beside(&suite.request(&challenge), "request_uri", object);
    let answer = suite.browser.opens(&Suite::path(&request)).await;
    suite.travels(answer, &request).await.is_refused(&["request_uri_not_supported"]);
    let page = BrowserSession::at(&suite.signet).opens(&Suite::path(&request)).await.is(400).text();
    let link = page.split("href=\"").find(|link| link.starts_with(CALLBACK)).expect("a link to the client");
    let link = link.split('"').next().expect("it ends").replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(parameter(&link, "error"), "request_uri_not_supported");
}

modules![
    a_code_that_is_used_again_at_once_is_refused,
    a_code_that_is_used_again_later_is_refused_and_its_tokens_are_revoked,
    a_refresh_token_is_good_for_its_own_client,
    a_redirect_uri_that_nobody_registered_gets_an_error_page,
    a_request_object_is_refused_as_unsupported,
    a_wrong_redirect_uri_beside_a_request_object_gets_an_error_page,
];

stories_on![Sqlite: a_client_that_registers_request_uris_is_told_that_they_are_not_supported];
