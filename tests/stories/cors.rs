//! Which scripts of other sites a browser lets read our answers.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{
    Answer, Ask, Durability, PASSWORD, Site, TestApp, TestEnvBuilder, raw::Line, register, stories_on,
};

const APP: &str = "https://app.example.org";
const LOCAL: &str = "http://localhost:5173";

/// Discovery and key set.
const PUBLIC: [&str; 3] =
    ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

fn listed(builder: TestEnvBuilder) -> TestEnvBuilder {
    builder.set("cors_origins", &format!("{APP},{LOCAL}"))
}

/// Sends a CORS preflight.
async fn asks_for_leave(site: &Site, origin: &str, method: &str, path: &str) -> Answer {
    let request = site.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    request.header("access-control-request-headers", "authorization,content-type").answer().await
}

/// The words of a list in a header field, in small letters.
fn words(answer: &Answer, field: &str) -> BTreeSet<String> {
    answer.header(field).split(',').map(|word| word.trim().to_lowercase()).filter(|word| !word.is_empty()).collect()
}

/// No browser gives this answer to a script of another site.
#[track_caller]
fn is_closed(answer: &Answer) {
    assert!(!format!("{answer:?}").contains("access-control-"), "{answer:?}");
}

/// A browser gives this answer to a script of `origin`, and no cache gives it to another's.
#[track_caller]
fn is_open_to(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), origin, "{answer:?}");
    assert!(words(answer, "vary").contains("origin"), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), "", "{answer:?}");
}

async fn a_listed_app_does_all_that_a_person_does(builder: TestEnvBuilder) {
    let signet = listed(builder).open().await;
    for (origin, name) in [(APP, "ada"), (LOCAL, "bob")] {
        let sends = async |method: Method, path: &str, token: &str, body: Value| {
            let leave = asks_for_leave(&signet.site, origin, method.as_str(), path).await.is(204);
            is_open_to(&leave, origin);
            assert!(words(&leave, "access-control-allow-methods").contains(&method.as_str().to_lowercase()));
            let fields = words(&leave, "access-control-allow-headers");
            assert!(fields.contains("authorization") && fields.contains("content-type"), "{leave:?}");
            let request = signet.site.request(method, path).header("origin", origin);
            let request = if token.is_empty() { request } else { request.bearer_auth(token) };
            let request = if body.is_null() { request } else { request.json(&body) };
            let answer = request.answer().await;
            is_open_to(&answer, origin);
            answer
        };
        let credentials = json!({"username": name, "password": PASSWORD});
        sends(Method::POST, "/v1/users", "", credentials.clone()).await.is(201);
        let tokens = sends(Method::POST, "/v1/sessions", "", credentials).await.is(200);
        let body = json!({"refresh_token": tokens.string("refresh_token")});
        let tokens = sends(Method::POST, "/v1/sessions/refresh", "", body).await.is(200);
        let token = tokens.string("access_token");
        for path in ["/v1/users/me", "/v1/sessions", "/oauth/userinfo"] {
            sends(Method::GET, path, &token, Value::Null).await.is(200);
        }
        sends(Method::DELETE, "/v1/sessions/current", &token, Value::Null).await.is(204);
    }
}

/// An unlisted origin gets the usual answer, without CORS headers.
async fn no_other_origin_gets_leave(builder: TestEnvBuilder) {
    let signet = listed(builder).open().await;
    signet.registers("ada").await;
    for origin in [
        "https://evil.example",
        "null",
        "*",
        "",
        "http://app.example.org",
        "https://app.example.org/",
        "https://app.example.org:443",
        "https://APP.example.org",
        "https://app.example.org.evil.example",
        "https://evilapp.example.org",
        "https://app.example.org,https://evil.example",
        "https://app.example.org https://evil.example",
        "https://app.example",
        "http://localhost",
        "http://localhost:51730",
        "nonsense",
    ] {
        let sends = async |request: RequestBuilder| {
            let answer = request.header("origin", origin).answer().await;
            is_closed(&answer);
            assert!(words(&answer, "vary").contains("origin"), "{origin}: {answer:?}");
            answer
        };
        let credentials = json!({"username": "ada", "password": PASSWORD});
        sends(signet.site.post("/v1/sessions").json(&credentials)).await.is(200);
        sends(signet.site.get("/v1/users/me")).await.is(401);
        sends(signet.site.get("/v1/nowhere")).await.is(404);
        let leave = asks_for_leave(&signet.site, origin, "POST", "/v1/sessions").await.is(405);
        is_closed(&leave);
    }
    // Bytes that are no text, and two origins at once.
    for field in ["Origin: \u{fc}\u{fc}".to_owned(), format!("Origin: {APP}\r\nOrigin: https://evil.example")] {
        let mut line = Line::to(&signet.site).await;
        let head = "GET /v1/users/me HTTP/1.1\r\nHost: signet\r\nConnection: close\r\n";
        line.send(format!("{head}{field}\r\n\r\n").as_bytes()).await;
        let answer = line.answer().await.to_lowercase();
        assert!(answer.starts_with("http/1.1 401") && !answer.contains("access-control-"), "{answer}");
    }
    let unasked = signet.site.get("/v1/users/me").answer().await.is(401);
    is_closed(&unasked);
    assert!(words(&unasked, "vary").contains("origin"), "a cache keeps this one apart too: {unasked:?}");
}

/// A browser hides an error without these fields from the app, which then sees a broken connection.
async fn an_app_sees_why_it_is_refused(builder: TestEnvBuilder) {
    let builder = listed(builder).set("rate_limits.enabled", "true").set("rate_limits.availability", "1/1h");
    let signet = builder.open().await;
    let sends = async |status: u16, request: RequestBuilder| {
        let answer = request.header("origin", APP).answer().await.is(status);
        is_open_to(&answer, APP);
        let readable = words(&answer, "access-control-expose-headers");
        for field in ["retry-after", "ratelimit", "ratelimit-policy", "www-authenticate", "x-request-id", "etag"] {
            assert!(readable.contains(field), "{field}: {answer:?}");
        }
        answer
    };
    let site = &signet.site;
    sends(400, site.get("/v1/users/me?a=1&a=2")).await;
    sends(400, site.token(&[("grant_type", "nonsense")])).await;
    sends(401, site.get("/v1/users/me")).await;
    sends(401, site.get("/oauth/userinfo").bearer_auth("nonsense")).await;
    sends(404, site.get("/v1/nowhere")).await;
    sends(404, site.get("/oauth/status-lists/9")).await;
    sends(405, site.request(Method::PUT, "/v1/sessions")).await;
    sends(413, site.post("/v1/users").header("content-type", "application/json").body(" ".repeat(70_000))).await;
    sends(415, site.post("/v1/sessions").body("{}")).await;
    sends(422, site.post("/v1/sessions").json(&json!({}))).await;
    let looks_up = || site.get_with("/v1/users/availability", &[("username", "ada")]);
    sends(200, looks_up()).await;
    assert_eq!(sends(429, looks_up()).await.header("retry-after"), "3600");
    // Leave to ask is not counted: the browser takes it before each request.
    asks_for_leave(site, APP, "GET", "/v1/users/availability").await.is(204);
}

async fn an_app_sees_that_the_trouble_is_ours(builder: TestEnvBuilder) {
    let signet = listed(builder).on_its_own_cluster(Durability::None).open().await;
    signet.cluster().stop();
    let request = signet.site.post("/v1/sessions").json(&json!({"username": "ada", "password": PASSWORD}));
    let answer = request.header("origin", APP).answer().await.unavailable();
    is_open_to(&answer, APP);
    assert!(words(&answer, "access-control-expose-headers").contains("retry-after"), "{answer:?}");
    is_open_to(&asks_for_leave(&signet.site, APP, "POST", "/v1/sessions").await.is(204), APP);
}

async fn leave_names_the_methods_of_the_route(builder: TestEnvBuilder) {
    let signet = listed(builder).open().await;
    for (path, methods) in [
        ("/v1/users", "post"),
        ("/v1/users/me", "get patch delete"),
        ("/v1/users/me/password", "put"),
        ("/v1/sessions", "post get delete"),
        ("/v1/sessions/current", "delete"),
        ("/v1/sessions/01990b5e-6c00-7d3a-9f41-0c2d5e6f7a8b", "delete"),
        ("/oauth/token", "post"),
        ("/users/delete", "delete"),
    ] {
        // The route's own, whichever was asked for: that the asked one is not among them, the browser sees itself.
        let leave = asks_for_leave(&signet.site, APP, "PUT", path).await.is(204);
        is_open_to(&leave, APP);
        let methods: BTreeSet<String> = methods.split(' ').map(str::to_owned).collect();
        assert_eq!(words(&leave, "access-control-allow-methods"), methods, "{leave:?}");
        assert!(leave.header("access-control-max-age").parse::<u32>().is_ok_and(|age| age <= 86_400), "{leave:?}");
        assert_eq!(leave.text(), "");
    }
    // The app learns by the request itself that there is nothing.
    let nowhere = asks_for_leave(&signet.site, APP, "GET", "/v1/nowhere").await.is(204);
    is_open_to(&nowhere, APP);
    assert_eq!(nowhere.header("access-control-allow-methods"), "GET");
}

/// Every route is either readable by apps or on this list, new routes included.
async fn what_is_not_for_apps_is_open_to_no_script(builder: TestEnvBuilder) {
    let signet = listed(builder).open().await;
    let document = signet.site.get("/openapi.json").answer().await.json();
    let described = document["paths"].as_object().expect("paths").keys().map(String::as_str);
    let own = ["/docs", "/openapi.json", "/docs/start.js", "/docs/swagger-ui.js", "/docs/swagger-ui.css"];
    let (mut closed, mut public) = (BTreeSet::new(), BTreeSet::new());
    for route in described.chain(own).chain(["/", "/login", "/consent"]) {
        let path = route.replace("{list}", "0").replace("{id}", "current");
        let answer = signet.site.get(&path).header("origin", APP).answer().await;
        let leave = asks_for_leave(&signet.site, APP, "POST", &path).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(leave.header("access-control-allow-origin"), allowed, "{path}");
        match allowed {
            "" => {
                is_closed(&answer);
                is_closed(&leave);
                assert_eq!(answer.header("vary"), "", "{answer:?}");
                assert!(closed.insert(route));
            }
            "*" => assert!(public.insert(route)),
            _ => is_open_to(&answer, APP),
        }
    }
    assert_eq!(public, BTreeSet::from(PUBLIC));
    let ours = [
        "/",
        "/oauth/authorize",
        "/oauth/check",
        "/oauth/introspect",
        "/oauth/logout",
        "/login",
        "/consent",
        "/livez",
        "/readyz",
    ];
    assert_eq!(closed, own.into_iter().chain(ours).collect());
}

async fn discovery_and_keys_are_open_to_everybody(signet: TestApp) {
    for path in PUBLIC {
        for origin in ["https://anybody.example", "null", APP] {
            let answer = signet.site.get(path).header("origin", origin).answer().await.is(200);
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{answer:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), "", "{answer:?}");
            assert_eq!(answer.header("vary"), "", "one answer for all, which caches keep: {answer:?}");
            let leave = asks_for_leave(&signet.site, origin, "GET", path).await.is(204);
            assert_eq!(leave.header("access-control-allow-origin"), "*", "{leave:?}");
            assert_eq!(words(&leave, "access-control-allow-methods"), BTreeSet::from(["get".to_owned()]));
            assert!(words(&leave, "access-control-allow-headers").contains("content-type"), "{leave:?}");
        }
    }
}

/// OpenTelemetry, Sentry and others add fields of their own to every request. An app in a shell has a scheme of its own.
async fn an_app_may_send_the_fields_that_it_asks_for(builder: TestEnvBuilder) {
    let signet = builder.set("cors_origins", "capacitor://localhost, tauri://localhost").open().await;
    let fields = "authorization,traceparent,baggage,sentry-trace,x-requested-with,x-client-info";
    let asks = async |origin: &str, path: &str, fields: Option<&str>| {
        let request = signet.site.request(Method::OPTIONS, path).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        fields
            .into_iter()
            .fold(request, |request, fields| request.header("access-control-request-headers", fields))
            .answer()
            .await
    };
    let app = "capacitor://localhost";
    for path in ["/v1/sessions", "/oauth/token", "/v1/nowhere"] {
        let leave = asks(app, path, Some(fields)).await.is(204);
        is_open_to(&leave, app);
        assert_eq!(leave.header("access-control-allow-headers"), fields);
    }
    let public = asks("https://anybody.example", "/.well-known/jwks.json", Some("cache-control,pragma")).await.is(204);
    assert_eq!(public.header("access-control-allow-headers"), "cache-control,pragma");
    assert!(words(&asks(app, "/v1/sessions", None).await, "access-control-allow-headers").contains("authorization"));
    is_closed(&asks("capacitor://evil", "/v1/sessions", Some(fields)).await);
    is_closed(&asks(app, "/oauth/authorize", Some(fields)).await);
    let answer = signet.site.get("/v1/users/me").header("origin", app).answer().await.is(401);
    is_open_to(&answer, app);
}

async fn with_nothing_configured_no_origin_is_listed(signet: TestApp) {
    register(&signet.site, "ada", PASSWORD).await.is(201);
    for origin in [APP, LOCAL, "null", signet.issuer.as_str()] {
        let request = signet.site.post("/v1/sessions").json(&json!({"username": "ada", "password": PASSWORD}));
        let answer = request.header("origin", origin).answer().await.is(200);
        is_closed(&answer);
        assert_eq!(answer.header("vary"), "", "{answer:?}");
        is_closed(&asks_for_leave(&signet.site, origin, "POST", "/v1/sessions").await.is(405));
    }
}

async fn options_without_a_preflight_is_a_method_as_any_other(builder: TestEnvBuilder) {
    let signet = listed(builder).open().await;
    let asks = async |path: &str, origin: Option<&str>| {
        let request = signet.site.request(Method::OPTIONS, path);
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        request.answer().await
    };
    for origin in [None, Some(APP)] {
        let answer = asks("/v1/sessions", origin).await.problem(405, "method_not_allowed");
        assert!(words(&answer, "allow").contains("post"), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-methods"), "", "{answer:?}");
        asks("/v1/nowhere", origin).await.problem(404, "not_found");
        asks("/.well-known/jwks.json", origin).await.is(405);
    }
    let unsigned = signet.site.request(Method::OPTIONS, "/v1/sessions").header("access-control-request-method", "POST");
    is_closed(&unsigned.answer().await.is(405));
}

stories_on![Postgres: an_app_sees_that_the_trouble_is_ours];

stories_on![Sqlite:
    a_listed_app_does_all_that_a_person_does,
    no_other_origin_gets_leave,
    an_app_sees_why_it_is_refused,
    leave_names_the_methods_of_the_route,
    what_is_not_for_apps_is_open_to_no_script,
    discovery_and_keys_are_open_to_everybody,
    an_app_may_send_the_fields_that_it_asks_for,
    with_nothing_configured_no_origin_is_listed,
    options_without_a_preflight_is_a_method_as_any_other,
];
