//! Headers of every answer for browsers and caches.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, Durability, PASSWORD, Person, TestApp, TestEnvBuilder, days, stories_on};

/// What caches may keep: it is the same for all who ask. A trailing slash stands for what is below. The first three are
/// for every site.
const PUBLIC: [&str; 11] = [
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/oauth/status-lists/",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    "/docs/swagger-ui.js",
    "/docs/swagger-ui.css",
    "/favicon.ico",
    "/robots.txt",
];

fn is_public(path: &str) -> bool {
    PUBLIC.iter().any(|entry| *entry == path || (entry.ends_with('/') && path.starts_with(entry)))
}

/// Has the fields that each answer has, with these words or better ones.
#[track_caller]
fn is_sealed(path: &str, answer: &Answer, https: bool) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer:?}");
    assert_eq!(answer.header("referrer-policy"), "same-origin", "{answer:?}");
    let hsts = answer.header("strict-transport-security");
    assert_eq!(hsts, if https { "max-age=31536000" } else { "" }, "{answer:?}");

    let document = answer.header("content-type").starts_with("text/html");
    // A page has forms, and sets the browser cookie.
    let page = document && !path.starts_with("/docs");
    let forms = if page { "form-action 'self'" } else { "form-action 'none'" };
    let policy: Vec<&str> = answer.header("content-security-policy").split(';').map(str::trim).collect();
    for rule in ["default-src 'none'", "base-uri 'none'", forms, "frame-ancestors 'none'"] {
        assert!(policy.contains(&rule), "{rule}: {answer:?}");
    }
    let scripts = policy.iter().find(|rule| rule.starts_with("script-src"));
    assert!(scripts.is_none_or(|rule| *rule == "script-src 'self'"), "{answer:?}");

    // A popup in which somebody logs in needs its opener.
    let alone = document && ["/account", "/docs"].iter().any(|area| path.starts_with(area));
    assert_eq!(answer.header("cross-origin-opener-policy"), if alone { "same-origin" } else { "" }, "{answer:?}");
    let embeds = if PUBLIC[..3].contains(&path) { "cross-origin" } else { "same-origin" };
    assert_eq!(answer.header("cross-origin-resource-policy"), embeds, "{answer:?}");

    let kept = is_public(path) && [200, 304].contains(&answer.status);
    let caches = answer.header("cache-control");
    assert!(if kept { caches.starts_with("public, max-age=") } else { caches == "no-store" }, "{path}: {answer:?}");

    let kind = answer.header("content-type");
    assert!(answer.text().is_empty() || !kind.is_empty(), "{answer:?}");
    assert!(!kind.starts_with("text/") || kind.ends_with("; charset=utf-8"), "{answer:?}");
    for field in ["server", "x-powered-by", "via", "access-control-allow-credentials"] {
        assert_eq!(answer.header(field), "", "{answer:?}");
    }
    assert!(page || answer.header("set-cookie").is_empty(), "{answer:?}");
}

/// Every route of the OpenAPI document, and the document's own routes, with path parameters filled in.
async fn routes(signet: &TestApp) -> Vec<(Method, String)> {
    let document = signet.site.get("/openapi.json").answer().await.is(200).json();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let path = path
            .replace("{list}", "0")
            .replace("{id}", "01990b5e-6c00-7d3a-9f41-0c2d5e6f7a8b")
            .replace("{client_id}", "app");
        assert!(!path.contains('{'), "{path}: how is it filled?");
        for method in operations.as_object().expect("operations").keys() {
            routes.push((method.to_uppercase().parse().expect("a method"), path.clone()));
        }
    }
    assert!(routes.len() >= 25, "{routes:?}");
    let own = PUBLIC.iter().filter(|path| path.starts_with("/docs") || **path == "/openapi.json");
    let pages = ["/login", "/register", "/consent", "/logout", "/account", "/forgot-password"];
    routes.extend(own.chain(&pages).map(|path| (Method::GET, (*path).to_owned())));
    routes
}

/// Requests every route with every method. Returns the statuses.
async fn walks_every_route(signet: &TestApp, https: bool) -> BTreeSet<u16> {
    let ada = signet.registers("ada").await;
    let mut met = BTreeSet::new();
    let mut looks = async |path: &str, request: RequestBuilder| {
        let answer = request.answer().await;
        is_sealed(path, &answer, https);
        assert!(answer.status < 500, "{answer:?}");
        met.insert(answer.status);
        answer
    };
    let credentials = json!({"username": "ada", "password": PASSWORD});
    for (method, path) in routes(signet).await {
        let request = || signet.site.request(method.clone(), &path);
        let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("token", "x")];
        let token = ada.logs_in().await.access;
        looks(&path, request()).await;
        looks(&path, request().bearer_auth("nonsense").json(&json!({"username": "x"}))).await;
        looks(&path, request().header("authorization", "Basic nonsense").form(&form)).await;
        looks(&path, request().header("content-type", "application/json").body("{")).await;
        looks(&path, request().header("content-type", "text/plain").body("nonsense")).await;
        looks(&path, request().header("if-none-match", "*")).await;
        looks(&format!("{path}/nowhere"), signet.site.get(&format!("{path}/nowhere"))).await.blames_the_sender();
        for method in [Method::PUT, Method::OPTIONS, Method::TRACE] {
            looks(&path, signet.site.request(method, &path)).await;
        }
        let twice = signet.site.request(method.clone(), &format!("{path}?a=1&a=2"));
        let twice = looks(&path, twice).await;
        // A page reads its own parameters alone, and OAuth endpoints read a form's.
        let page = twice.status == 303 || twice.header("content-type").starts_with("text/html");
        let unread = page || path.starts_with("/oauth/");
        assert!(is_public(&path) || unread || twice.status == 400, "{twice:?}");
        // Last, since it may well succeed: an account is deleted here, and comes back.
        looks(&path, request().bearer_auth(&token).json(&credentials)).await;
        let back = signet.site.post("/v1/users").json(&credentials);
        looks("/v1/users", back).await;
    }
    looks("/", signet.site.get("/")).await.is(303);
    let long = signet.site.post("/v1/users").header("content-type", "application/json").body(" ".repeat(70_000));
    looks("/v1/users", long).await.is(413);
    met
}

async fn every_answer_of_every_route_is_sealed(signet: TestApp) {
    let met = walks_every_route(&signet, false).await;
    let expected = BTreeSet::from([200, 201, 204, 304, 400, 401, 404, 405, 409, 413, 415, 422]);
    assert!(met.is_superset(&expected), "the walk met only {met:?}");
}

async fn over_https_every_answer_insists_on_https(builder: TestEnvBuilder) {
    let signet = builder.set("issuer", "https://id.example.org").open().await;
    walks_every_route(&signet, true).await;
}

/// No cache keeps answers with tokens or personal data (RFC 6749 §5.1, RFC 9111 §5.2.2.5).
async fn tokens_and_people_are_kept_by_no_cache(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let client = signet.registers_service(&[]).await;
    let credentials = json!({"username": "ada", "password": PASSWORD});
    let site = &signet.site;
    let bearer = |path: &str| site.get(path).bearer_auth(&tokens.access);
    let refresh = site.post("/v1/sessions/refresh").json(&json!({"refresh_token": tokens.refresh}));
    for (answer, member) in [
        (bearer("/v1/users/me").answer().await, "username"),
        (bearer("/oauth/userinfo").answer().await, "sub"),
        (site.post("/v1/sessions").json(&credentials).answer().await, "access_token"),
        (refresh.answer().await, "refresh_token"),
        (ada.tries(PASSWORD).await, "access_token"),
        (client.posts(site, "/oauth/token", &[("grant_type", "client_credentials")]).await, "access_token"),
        (client.introspects(site, &tokens.access).await, "active"),
        (site.post("/users/auth").json(&credentials).answer().await, "session_id"),
    ] {
        let answer = answer.is(200);
        assert_ne!(answer.json()[member], Value::Null, "{answer:?}");
        is_sealed("", &answer, false);
    }
    is_sealed("", &bearer("/v1/sessions").answer().await.is(200), false);
}

async fn a_refusal_for_too_many_requests_is_sealed(builder: TestEnvBuilder) {
    let signet = builder.set("rate_limits.enabled", "true").set("rate_limits.token", "1/1h").open().await;
    signet.site.post("/v1/sessions").json(&json!({})).answer().await.is(422);
    for path in ["/v1/sessions", "/oauth/token", "/users/auth"] {
        is_sealed(path, &signet.site.post(path).json(&json!({})).answer().await.is(429), false);
    }
}

async fn trouble_on_our_side_is_sealed(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    signet.cluster().stop();
    let credentials = json!({"username": "ada", "password": PASSWORD});
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    for (path, request) in [
        ("/v1/sessions", signet.site.post("/v1/sessions").json(&credentials)),
        ("/users/auth", signet.site.post("/users/auth").json(&credentials)),
        ("/oauth/token", signet.site.token(&form)),
        ("/oauth/status-lists/9", signet.site.get("/oauth/status-lists/9")),
        ("/readyz", signet.site.get("/readyz")),
    ] {
        is_sealed(path, &request.answer().await.unavailable(), false);
    }
}

/// The parts of an answer that are the same for equal requests.
fn lasting(answer: &Answer) -> (u16, Vec<(String, HeaderValue)>, String) {
    let mut headers = answer.headers().clone();
    for name in ["date", "x-request-id"] {
        assert!(headers.remove(name).is_some(), "{name}: {answer:?}");
    }
    let mut fields: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    (answer.status, fields, answer.text())
}

/// A token that was seen before is answered before the middleware, and so is a list that was just built. A field with a
/// length has the route answer by itself.
async fn what_is_answered_at_once_is_what_the_route_answers(signet: TestApp) {
    let ada = Person::registers(&signet.site, "ada").await;
    let tokens = ada.logs_in().await;
    let bearer = format!("Bearer {}", tokens.access);
    for path in ["/oauth/check", "/oauth/check?scope=openid", "/oauth/userinfo", "/oauth/status-lists/0"] {
        let get = async |routed: bool| {
            let request = signet.site.get(path).header("authorization", &bearer);
            if routed { request.header("content-length", "0") } else { request }.answer().await
        };
        let first = get(true).await;
        assert_eq!(lasting(&get(false).await), lasting(&first), "{path}");
        assert_ne!(get(false).await.header("x-request-id"), get(false).await.header("x-request-id"), "{path}");
    }
    let list = signet.site.get("/oauth/status-lists/0").answer().await.is(200);
    let again = signet.site.get("/oauth/status-lists/0").header("if-none-match", list.header("etag"));
    again.answer().await.is(304);
    // What is refused is answered by the route, with its fields and its line in the log.
    let refused = signet.site.get("/oauth/check?role=admin").header("authorization", &bearer).answer().await.is(403);
    assert!(refused.header("www-authenticate").contains("insufficient_scope"), "{refused:?}");
    signet.clock.advance(days(1));
    for path in ["/oauth/check", "/oauth/userinfo"] {
        signet.site.get(path).header("authorization", &bearer).answer().await.is(401);
    }
}

/// Documents that are read all the time are answered from memory; a query has the route answer by itself.
async fn what_is_answered_from_memory_is_what_the_route_answers(signet: TestApp) {
    for path in [&PUBLIC[..3], &["/livez"]].concat() {
        let get = |query: &str, tag: &str| {
            let request = signet.site.get(&format!("{path}{query}"));
            let request = if tag.is_empty() { request } else { request.header("if-none-match", tag) };
            request.header("origin", "https://app.example").answer()
        };
        let quick = get("", "").await.is(200);
        assert_eq!(lasting(&quick), lasting(&get("?x=1", "").await), "{path}");
        assert_ne!(quick.header("x-request-id"), get("", "").await.header("x-request-id"), "{path}");
        let tag = quick.header("etag").to_owned();
        assert_eq!(tag.is_empty(), path == "/livez");
        for tag in [tag.as_str(), "*", "\"another\"", &format!("\"another\", W/{tag}")] {
            assert_eq!(lasting(&get("", tag).await), lasting(&get("?x=1", tag).await), "{path} {tag}");
        }
        let head = signet.site.request(Method::HEAD, path).answer().await;
        assert_eq!((head.status, head.header("etag"), head.text().as_str()), (200, quick.header("etag"), ""), "{path}");
        signet.site.post(path).answer().await.is(405);
    }
}

stories_on![Postgres: trouble_on_our_side_is_sealed];

stories_on![Sqlite:
    every_answer_of_every_route_is_sealed,
    over_https_every_answer_insists_on_https,
    what_is_answered_at_once_is_what_the_route_answers,
    what_is_answered_from_memory_is_what_the_route_answers,
    tokens_and_people_are_kept_by_no_cache,
    a_refusal_for_too_many_requests_is_sealed,
];
