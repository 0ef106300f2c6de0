//! Rate limits of a client network, and their headers.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::harness::{
    Answer, Ask, PASSWORD, Site, TestApp, TestEnvBuilder, eventually, raw::Line, register, seconds, stories_on,
};

/// Every limit on, the ones of the story so small that they are soon met and so slow that none comes back by itself.
fn limited(builder: TestEnvBuilder) -> TestEnvBuilder {
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.token", "5/1h");
    builder.set("rate_limits.registration", "3/1h").set("rate_limits.availability", "4/1h")
}

/// The same behind a proxy of ours.
fn behind_a_proxy(builder: TestEnvBuilder) -> TestEnvBuilder {
    limited(builder).set("trusted_proxies", "127.0.0.0/8")
}

async fn looks_up(site: &Site, client: &str) -> Answer {
    let request = site.get_with("/v1/users/availability", &[("username", "ada")]);
    request.header("x-forwarded-for", client).answer().await
}

/// Repeats a request until it is refused. Returns the number of accepted requests.
async fn times(mut ask: impl AsyncFnMut() -> Answer) -> usize {
    for count in 0..200 {
        let answer = ask().await;
        if answer.status == 429 {
            return count;
        }
    }
    panic!("never refused");
}

/// Says when to come again, and how things stand with the quota.
#[track_caller]
fn states_limit(answer: &Answer, policy: &str, left: &str) {
    let limits = (answer.header("ratelimit-policy"), answer.header("ratelimit"));
    assert_eq!(limits, (policy, left), "{answer:?}");
    let waits = (answer.status == 429).then(|| left.split("t=").last().unwrap_or_default());
    assert_eq!(answer.header("retry-after"), waits.unwrap_or_default(), "{answer:?}");
}

async fn a_network_gets_its_quota_and_is_told_what_is_left(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    let ask = async || signet.site.get_with("/v1/users/availability", &[("username", "ada")]).answer().await;
    for left in (0..4).rev() {
        let answer = ask().await.is(200);
        states_limit(&answer, r#""availability";q=4;w=3600"#, &format!(r#""availability";r={left};t=900"#));
    }
    let answer = ask().await.problem(429, "too_many_requests");
    states_limit(&answer, r#""availability";q=4;w=3600"#, r#""availability";r=0;t=900"#);
    assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
}

/// Requests that fail for another reason count and carry the headers too: all guesses are failures.
async fn failures_count(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    let body = json!({"username": "nobody", "password": PASSWORD});
    for left in (0..5).rev() {
        let answer = signet.site.post("/v1/sessions").json(&body).answer().await.problem(401, "invalid_credentials");
        states_limit(&answer, r#""token";q=5;w=3600"#, &format!(r#""token";r={left};t=720"#));
    }
    signet.site.post("/v1/sessions").json(&body).answer().await.problem(429, "too_many_requests");
}

/// One quota for all of them: a guesser does not get one more for each way in.
async fn every_route_that_tests_a_password_or_a_token_shares_one_quota(builder: TestEnvBuilder) {
    let mut signet = limited(builder).open().await;
    let ways = |site: &Site| -> Vec<RequestBuilder> {
        let request = |method: &str, path: &str| site.request(method.parse().expect("a method"), path);
        vec![
            site.token(&[("grant_type", "password")]),
            site.token(&[("grant_type", "refresh_token")]),
            site.token(&[("grant_type", "client_credentials")]),
            site.post("/oauth/revoke").form(&[("token", "x")]),
            site.post("/v1/sessions").json(&json!({})),
            site.post("/v1/sessions/refresh").json(&json!({})),
            request("PATCH", "/v1/users/me").json(&json!({})),
            request("DELETE", "/v1/users/me").json(&json!({})),
            request("PUT", "/v1/users/me/password").json(&json!({})),
            request("GET", "/users/auth").json(&json!({})),
            request("HEAD", "/users/auth").json(&json!({})),
            site.post("/users/auth").json(&json!({})),
            request("GET", "/users/session_auth").json(&json!({})),
            site.post("/users/session_auth").json(&json!({})),
            request("DELETE", "/users/delete").json(&json!({})),
        ]
    };
    let count = ways(&signet.site).len();
    for first in 0..count {
        // Each in turn is the one that finds the quota used up by the others.
        signet.restart().await;
        let mut ways = ways(&signet.site);
        let last = ways.remove(first);
        for way in ways.into_iter().take(5) {
            assert_ne!(way.answer().await.status, 429);
        }
        assert_eq!(last.answer().await.status, 429, "way {first}");
    }
}

async fn registrations_share_one_quota(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    register(&signet.site, "ada", PASSWORD).await.is(201);
    register(&signet.site, "ada", PASSWORD).await.problem(409, "username_taken");
    let body = json!({"username": "bob", "password": PASSWORD});
    signet.site.post("/users/create").json(&body).answer().await.is(200);
    register(&signet.site, "carol", PASSWORD).await.problem(429, "too_many_requests");
    let body = json!({"username": "carol", "password": PASSWORD});
    signet.site.post("/users/create").json(&body).answer().await.is(429);
    // The other quotas are whole.
    let body = json!({"username": "ada", "password": PASSWORD});
    signet.site.post("/v1/sessions").json(&body).answer().await.is(200);
}

async fn a_refusal_has_the_shape_of_its_route(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    let post = async |path: &str| signet.site.post(path).json(&json!({})).answer().await;
    assert_eq!(times(async || post("/v1/sessions").await).await, 5);
    for path in ["/v1/sessions", "/v1/sessions/refresh"] {
        let answer = post(path).await.problem(429, "too_many_requests");
        assert_eq!(answer.header("retry-after"), "720");
    }
    for path in ["/oauth/token", "/oauth/revoke"] {
        let answer = signet.site.post(path).form(&[("a", "b")]).answer().await;
        // Any other error would have a client throw its tokens away.
        assert_eq!(answer.oauth_error(429, "temporarily_unavailable").header("retry-after"), "720");
    }
    for path in ["/users/auth", "/users/session_auth"] {
        let answer = post(path).await.is(429);
        assert_eq!((answer.json()["success"].clone(), answer.header("retry-after")), (json!(false), "720"));
        assert!(answer.json()["message"].is_string(), "{answer:?}");
    }
}

/// An endless body is refused by its header: no 100 Continue (RFC 9110 §10.1.1), and the connection is closed.
async fn a_refusal_does_not_wait_for_the_body(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    assert_eq!(times(async || signet.site.post("/v1/sessions").json(&json!({})).answer().await).await, 5);
    let mut line = Line::to(&signet.site).await;
    let head = "POST /v1/sessions HTTP/1.1\r\nHost: signet\r\nContent-Type: application/json\r\n";
    line.send(format!("{head}Expect: 100-continue\r\nContent-Length: 60000\r\n\r\n").as_bytes()).await;
    let answer = line.answer().await.to_lowercase();
    assert!(answer.starts_with("http/1.1 429"), "no 100 before it: {answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

async fn what_everybody_must_read_is_never_limited(builder: TestEnvBuilder) {
    let signet = limited(builder).set("rate_limits.token", "1/1h").set("rate_limits.availability", "1/1h").open().await;
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let client = signet.registers_service(&[]).await;
    register(&signet.site, "", "").await;
    register(&signet.site, "", "").await;
    looks_up(&signet.site, "").await.is(200);
    // The network is over every limit.
    register(&signet.site, "bob", PASSWORD).await.is(429);
    looks_up(&signet.site, "").await.is(429);
    ada.tries(PASSWORD).await.is(429);
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/oauth/status-lists/0",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/docs",
    ] {
        for _ in 0..20 {
            let answer = signet.site.get(path).answer().await.is(200);
            assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""), "{answer:?}");
        }
    }
    for _ in 0..20 {
        ada.is_let_in(&tokens).await;
        client.introspects(&signet.site, &tokens.access).await.inactive();
        let preflight = signet.site.request(Method::OPTIONS, "/v1/sessions").header("origin", "https://app.example");
        assert_ne!(preflight.answer().await.status, 429);
    }
}

/// No other spelling of a route is the route.
async fn no_spelling_of_a_path_gets_round_the_limit(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    let body = json!({"username": "nobody", "password": PASSWORD});
    assert_eq!(times(async || signet.site.post("/v1/sessions").json(&body).answer().await).await, 5);
    for path in ["/v1/sessions/", "//v1/sessions", "/v1//sessions", "/v1/%73essions", "/V1/sessions", "/v1/sessions;a"]
    {
        let answer = signet.site.post(path).json(&body).answer().await;
        assert!([404, 405].contains(&answer.status), "{answer:?}");
    }
    for path in ["/v1/sessions?a=b", "/v1/sessions#a", "/v1/./sessions"] {
        signet.site.post(path).json(&body).answer().await.is(429);
    }
    let mut line = Line::to(&signet.site).await;
    let head = "POST http://other.example/v1/sessions HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n";
    line.send(format!("{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes()).await;
    assert_eq!(line.status().await, 429, "the absolute form");
}

async fn who_waits_gets_in_again(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    let ask = async || signet.site.post("/v1/sessions").json(&json!({})).answer().await;
    assert_eq!(times(ask).await, 5);
    signet.clock.advance(seconds(719));
    states_limit(&ask().await.is(429), r#""token";q=5;w=3600"#, r#""token";r=0;t=1"#);
    signet.clock.advance(seconds(1));
    states_limit(&ask().await.is(422), r#""token";q=5;w=3600"#, r#""token";r=0;t=720"#);
    ask().await.is(429);
    signet.clock.advance(seconds(3600));
    assert_eq!(times(ask).await, 5, "the whole quota, and no more");
}

/// A clock that an operator or NTP sets back shuts nobody out for as long.
async fn a_clock_that_is_set_back_shuts_nobody_out(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    let ask = async || signet.site.post("/v1/sessions").json(&json!({})).answer().await;
    ask().await.is(422);
    signet.clock.is_set_back(seconds(86_400));
    states_limit(&ask().await.is(422), r#""token";q=5;w=3600"#, r#""token";r=3;t=720"#);
    assert_eq!(times(ask).await, 3);
    signet.clock.advance(seconds(720));
    ask().await.is(422);
}

async fn behind_a_trusted_proxy_each_client_has_its_own_quota(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    assert_eq!(times(async || looks_up(&signet.site, "203.0.113.9").await).await, 4);
    assert_eq!(times(async || looks_up(&signet.site, "203.0.113.10").await).await, 4, "the next address");
    // What stands left of it the client wrote itself.
    for forged in ["198.51.100.1, 203.0.113.9", "203.0.113.9, 203.0.113.9", "::1,203.0.113.9", "::ffff:203.0.113.9"] {
        looks_up(&signet.site, forged).await.is(429);
    }
}

async fn ipv6_clients_are_told_apart_by_64_bits(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    let mut host = 0;
    let another_host = async || {
        host += 1;
        looks_up(&signet.site, &format!("2001:db8:0:1:{host:x}::{host:x}")).await
    };
    assert_eq!(times(another_host).await, 4, "all the addresses of one network");
    looks_up(&signet.site, "2001:db8:0:2::1").await.is(200);
}

async fn forged_headers_change_nothing_without_a_trusted_proxy(builder: TestEnvBuilder) {
    let signet = limited(builder).open().await;
    let mut number = 0;
    let forges = async || {
        number += 1;
        let request = signet.site.get_with("/v1/users/availability", &[("username", "ada")]);
        let names = ["x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip", "true-client-ip", "x-client-ip"];
        let address = format!("203.0.113.{number}");
        let value = |name| if name == "forwarded" { format!("for={address}") } else { address.clone() };
        names.into_iter().fold(request, |request, name| request.header(name, value(name))).answer().await
    };
    assert_eq!(times(forges).await, 4);
}

/// Distinct networks, as many as come by: who was refused stays refused, and a quiet newcomer gets in.
async fn a_flood_of_networks_frees_nobody_and_shuts_nobody_out(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).open().await;
    assert_eq!(times(async || looks_up(&signet.site, "2001:db8::1").await).await, 4);
    for group in 1..40 {
        let asks = (0..25).map(|member| {
            let site = signet.site.clone();
            tokio::spawn(async move { looks_up(&site, &format!("2001:db8:{group:x}:{member:x}::1")).await.status })
        });
        for ask in asks.collect::<Vec<_>>() {
            assert_eq!(ask.await.expect("it does not fail"), 200);
        }
    }
    looks_up(&signet.site, "2001:db8::1").await.is(429);
    assert_eq!(times(async || looks_up(&signet.site, "2001:db8:ffff::1").await).await, 4);
}

async fn limits_that_are_off_are_off(signet: TestApp) {
    for _ in 0..100 {
        let answer = signet.site.post("/v1/sessions").json(&json!({})).answer().await.is(422);
        assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""), "{answer:?}");
    }
}

/// The limits of networks alone can be left to a proxy; failed passwords are still counted.
async fn the_limits_of_networks_are_turned_off_alone(builder: TestEnvBuilder) {
    let mut env = builder.env().await;
    for (key, value) in
        [("rate_limits.enabled", "true"), ("rate_limits.network", "false"), ("rate_limits.token", "1/1h")]
    {
        env.set(key, value);
    }
    env.set("rate_limits.account", "5/5m");
    env.runs(&["config"]).await.with(0, &["rate_limits.network is false"]);
    let signet = env.open().await;
    signet.registers("ada").await;
    let ask = async || {
        signet.site.post("/v1/sessions").json(&json!({"username": "ada", "password": "wrong guess"})).answer().await
    };
    for _ in 0..5 {
        let answer = ask().await.is(401);
        assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""), "{answer:?}");
    }
    ask().await.is(429);
}

/// The default limits are announced, and enforced.
async fn the_limits_are_on_by_default(builder: TestEnvBuilder) {
    let signet = builder.unset("rate_limits.enabled").open().await;
    let limits = |answer: Answer| answer.header("ratelimit-policy").to_owned();
    assert_eq!(limits(looks_up(&signet.site, "").await), r#""availability";q=60;w=60"#);
    assert_eq!(limits(signet.site.post("/v1/sessions").json(&json!({})).answer().await), r#""token";q=60;w=60"#);
    let ask = async || signet.site.post("/v1/users").json(&json!({})).answer().await;
    assert_eq!(limits(ask().await), r#""registration";q=10;w=60"#);
    // The story's clock stands still, so nothing comes back meanwhile.
    eventually(std::time::Duration::from_secs(30), "it is refused", async || ask().await.status == 429).await;
}

async fn the_document_tells_of_limits_where_there_are_some(signet: TestApp) {
    let document = signet.site.get("/openapi.json").answer().await.json();
    let mut limited = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let responses = operation["responses"].as_object().expect("responses");
            let refused = responses.get("429");
            let good = responses.iter().filter(|(status, _)| status.starts_with('2'));
            let limits = good.filter(|(_, answer)| answer["headers"].get("RateLimit").is_some()).count();
            assert_eq!(refused.is_some(), limits > 0, "{method} {path}");
            let Some(refused) = refused else { continue };
            limited += 1;
            for field in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
                assert!(refused["headers"].get(field).is_some(), "{method} {path}: {refused}");
            }
            assert_eq!(refused["content"], responses["503"]["content"], "{method} {path}");
        }
    }
    assert!(limited >= 15, "{limited} operations of limited routes");
    assert!(document["paths"]["/.well-known/jwks.json"]["get"]["responses"].get("429").is_none());
}

stories_on![Sqlite:
    a_network_gets_its_quota_and_is_told_what_is_left,
    failures_count,
    registrations_share_one_quota,
    every_route_that_tests_a_password_or_a_token_shares_one_quota,
    a_refusal_has_the_shape_of_its_route,
    a_refusal_does_not_wait_for_the_body,
    what_everybody_must_read_is_never_limited,
    no_spelling_of_a_path_gets_round_the_limit,
    who_waits_gets_in_again,
    a_clock_that_is_set_back_shuts_nobody_out,
    behind_a_trusted_proxy_each_client_has_its_own_quota,
    ipv6_clients_are_told_apart_by_64_bits,
    forged_headers_change_nothing_without_a_trusted_proxy,
    a_flood_of_networks_frees_nobody_and_shuts_nobody_out,
    limits_that_are_off_are_off,
    the_limits_of_networks_are_turned_off_alone,
    the_limits_are_on_by_default,
    the_document_tells_of_limits_where_there_are_some,
];
