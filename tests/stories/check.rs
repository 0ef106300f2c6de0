//! Forward authentication: what a proxy is told before it passes a request on.

use std::time::Duration;

use reqwest::Method;

use crate::harness::{
    Answer, Ask, Durability, PASSWORD, TestApp, TestEnvBuilder, Tokens, eventually, jwt, seconds, stories, stories_on,
};

const API: &str = "https://api.example";
const FIELDS: [&str; 6] = ["subject", "client", "scope", "roles", "session", "username"];

async fn checks(signet: &TestApp, token: &str, query: &str) -> Answer {
    signet.site.get(&format!("/oauth/check{query}")).bearer_auth(token).answer().await
}

/// No answer but a 200 says anything of the user.
fn is_silent(answer: &Answer) {
    for field in FIELDS {
        assert_eq!(answer.header(&format!("x-auth-{field}")), "", "{answer:?}");
    }
}

async fn only_a_good_token_passes(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let none = signet.site.get("/oauth/check").answer().await.is(401);
    assert_eq!(none.header("www-authenticate"), "Bearer");
    is_silent(&none);
    let id_token_like = format!("{}x", tokens.access);
    for token in ["x", "a.b.c", &id_token_like, &tokens.refresh] {
        let answer = checks(&signet, token, "").await.is(401);
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#, "{answer:?}");
        is_silent(&answer);
    }
    // nginx takes any other status for its own failure, so a malformed field is a 401 as well.
    for field in ["Bearer", "Bearer a b", "Basic YTpi", "nonsense"] {
        let answer = signet.site.get("/oauth/check").header("authorization", field).answer().await.is(401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
    }
    signet.clock.advance(seconds(11 * 60));
    checks(&signet, &tokens.access, "").await.is(401);
}

/// A header field of the client's is not repeated: what the proxy copies comes from the token alone.
async fn what_the_token_says_is_told(signet: TestApp) {
    let ada = signet.registers("ada").await;
    signet.runs(&["user", "grant-role", "ada", "admin"]).await.well();
    signet.runs(&["user", "grant-role", "ada", "clerk"]).await.well();
    let tokens = ada.logs_in().await;
    let claims = jwt::claims(&tokens.access);
    let request = signet.site.get("/oauth/check").bearer_auth(&tokens.access).header("x-auth-subject", "root");
    let answer = request.header("x-auth-roles", "root").answer().await.is(200);
    for (field, value) in [
        ("subject", claims["sub"].as_str().expect("text")),
        ("client", "first-party"),
        ("scope", claims["scope"].as_str().expect("text")),
        ("session", claims["sid"].as_str().expect("text")),
        ("username", "ada"),
        ("roles", "admin,clerk"),
    ] {
        assert_eq!(answer.header(&format!("x-auth-{field}")), value, "{field}: {answer:?}");
    }
    let bob = signet.registers("bob").await.logs_in().await;
    let request = signet.site.get("/oauth/check").bearer_auth(&bob.access).header("x-auth-roles", "root");
    assert_eq!(request.answer().await.is(200).header("x-auth-roles"), "");
    let service = signet.registers_service(&[]).await;
    let own = service.gets_a_token(&signet.site).await;
    let answer = checks(&signet, &own.access, &format!("?audience={}", signet.issuer)).await.is(200);
    assert_eq!((answer.header("x-auth-subject"), answer.header("x-auth-client")), (&*service.id, &*service.id));
    assert_eq!((answer.header("x-auth-session"), answer.header("x-auth-username")), ("", ""));
}

async fn every_condition_must_hold(builder: TestEnvBuilder) {
    let signet = builder.set("audience", API).open().await;
    let ada = signet.registers("ada").await;
    signet.runs(&["user", "grant-role", "ada", "clerk"]).await.well();
    let tokens = ada.logs_in().await;
    let service = signet.registers_service(&["--resource", "https://orders.example", "--scope", "write"]).await;
    let form = [("grant_type", "client_credentials"), ("resource", "https://orders.example")];
    let orders = service.posts(&signet.site, "/oauth/token", &form).await.granted();
    let asks = async |tokens: &Tokens, query: &str| checks(&signet, &tokens.access, query).await;
    for query in [
        "",
        "?audience=https%3A%2F%2Fapi.example",
        "?scope=openid&scope=profile&role=clerk",
        "?scope=openid%20profile",
        "?scope=openid+profile",
        // Spellings of one audience (RFC 3986 §6.2.3), as `resource` has them.
        "?audience=https://api.example/",
        "?audience=https%3A%2F%2Fapi.example%2F",
        "?audience=https://API.example",
        "?audience=HTTPS://api.example:443/",
        "?",
    ] {
        asks(&tokens, query).await.is(200);
    }
    for query in [
        "?audience=https://other.example",
        "?audience=https://api.example/x",
        "?audience=https://api.example//",
        "?audience=http://api.example",
        "?audience=https://api.example:8443",
        "?audience=https://ada@api.example",
        "?audience=api.example",
    ] {
        let answer = asks(&tokens, query).await.is(401);
        assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#, "{answer:?}");
        is_silent(&answer);
    }
    asks(&orders, "").await.is(401);
    asks(&orders, "?audience=https://orders.example&scope=read&scope=write").await.is(200);
    for (query, scope) in [
        ("?role=admin", ""),
        ("?role=clerk&role=admin", ""),
        ("?role=Clerk&scope=openid", ""),
        ("?scope=admin", ", scope=\"admin\""),
        ("?scope=openid&scope=admin", ", scope=\"openid admin\""),
        ("?scope=openid+admin&scope=x:y&role=admin", ", scope=\"openid admin x:y\""),
        // Nothing that no scope can be stands in the field.
        ("?scope=a%22,b", ""),
        ("?scope=a%0d%0ab%5c", ""),
        ("?scope=%C3%A9", ""),
    ] {
        let answer = asks(&tokens, query).await.some_problem(403);
        let challenge = format!("Bearer error=\"insufficient_scope\"{scope}");
        assert_eq!(answer.header("www-authenticate"), challenge, "{answer:?}");
        is_silent(&answer);
    }
    // A mistyped condition lets nobody pass.
    for query in ["?roles=admin", "?role=", "?audience", "?scope=%FF", "?audience=a&audience=a", "?admin"] {
        asks(&tokens, query).await.oauth_error(400, "invalid_request");
    }
}

async fn a_revoked_token_does_not_pass(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    checks(&signet, &tokens.access, "").await.is(200);
    ada.revokes(&tokens.refresh).await.is(200);
    is_silent(&checks(&signet, &tokens.access, "").await.is(401));
    let service = signet.registers_service(&[]).await;
    let own = service.gets_a_token(&signet.site).await;
    let issuer = format!("?audience={}", signet.issuer);
    checks(&signet, &own.access, &issuer).await.is(200);
    service.revokes(&signet.site, &own.access).await.is(200);
    checks(&signet, &own.access, &issuer).await.is(401);
}

/// Proxies send the client's method and header fields; a preflight to the API is no preflight to us.
async fn any_method_is_taken(builder: TestEnvBuilder) {
    let signet = builder.set("cors_origins", "https://app.example.org").open().await;
    let tokens = signet.registers("ada").await.logs_in().await;
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = |token: &str| {
            let request = signet.site.request(method.clone(), "/oauth/check").bearer_auth(token);
            let request = request.header("origin", "https://app.example.org").header("cookie", "a=b");
            request.header("access-control-request-method", "PUT").header("content-type", "nonsense")
        };
        let answer = request(&tokens.access).answer().await.is(200);
        assert_eq!(answer.header("x-auth-username"), "ada", "{method}");
        assert_eq!(answer.text(), "", "{method}");
        request("x").answer().await.is(401);
    }
}

async fn it_asks_the_database_nothing(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let tokens = signet.registers("ada").await.logs_in().await;
    checks(&signet, &tokens.access, "?scope=openid").await.is(200);
    signet.cluster().stop();
    // Revocations are known for some seconds more; then the service refuses to guess.
    let answer = checks(&signet, &tokens.access, "?scope=openid").await;
    assert_eq!(answer.header("x-auth-username"), "ada", "{answer:?}");
    eventually(Duration::from_secs(20), "it refuses to guess", async || {
        checks(&signet, &tokens.access, "").await.status == 503
    })
    .await;
    let late = checks(&signet, &tokens.access, "").await;
    assert!(!late.header("retry-after").is_empty(), "{late:?}");
    is_silent(&late);
}

/// RFC 6750 §2.2, which OpenID Connect's userinfo needs (OIDC Core §5.3.1).
async fn userinfo_takes_a_posted_token(signet: TestApp) {
    let tokens = signet.registers("ada").await.logs_in().await;
    let form = [("access_token", tokens.access.as_str())];
    let posted = signet.site.post("/oauth/userinfo").form(&form).answer().await.is(200);
    assert_eq!(posted.json(), signet.site.user_info(&tokens.access).await.json());
    signet.site.post("/oauth/userinfo").form(&[("access_token", "x")]).answer().await.is(401);
    signet.site.post("/oauth/userinfo").form(&[("password", PASSWORD)]).answer().await.is(401);
    let twice = signet.site.post("/oauth/userinfo").bearer_auth(&tokens.access).form(&form).answer().await.is(400);
    assert!(twice.header("www-authenticate").contains("invalid_request"), "{twice:?}");
    // Neither a GET's query nor another route takes it.
    signet.site.get_with("/oauth/userinfo", &form).answer().await.is(401);
    signet.site.get_with("/oauth/check", &form).answer().await.is(400);
    signet.site.post("/oauth/check").form(&form).answer().await.is(401);
}

stories![a_revoked_token_does_not_pass];

stories_on![Postgres: it_asks_the_database_nothing];

stories_on![Sqlite:
    only_a_good_token_passes,
    what_the_token_says_is_told,
    every_condition_must_hold,
    any_method_is_taken,
    userinfo_takes_a_posted_token,
];
