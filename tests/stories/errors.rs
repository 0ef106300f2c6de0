//! Malformed requests and their error responses.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use proptest::{
    prelude::{Strategy, any, prop},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Ask, PASSWORD, Site, TestApp, raw::Line, stories, stories_on};

const JSON_ROUTES: [(Method, &str); 3] =
    [(Method::POST, "/v1/users"), (Method::POST, "/v1/sessions"), (Method::POST, "/v1/sessions/refresh")];

async fn malformed_json_is_refused(signet: TestApp) {
    let deep = "[".repeat(30_000);
    for (method, path) in JSON_ROUTES {
        for body in
            ["", "{", "nonsense", "{\"username\": }", "{\"username\": \"\\ud8\"}", "\u{feff}\u{feff}{}", "{} {}", &deep]
        {
            let request = signet.site.request(method.clone(), path).header("content-type", "application/json");
            request.body(body.to_owned()).answer().await.some_problem(400);
        }
        // Not UTF-8, where it is read and where it is ignored (RFC 8259 §8.1).
        for body in [&b"{\"username\": \"\xff\"}"[..], b"{\"x\": \"\xff\"}", b"{\"\xff\": 1}"] {
            let request = signet.site.request(method.clone(), path).header("content-type", "application/json");
            request.body(body.to_vec()).answer().await.some_problem(400);
        }
        for body in ["[]", "null", "5", "\"x\"", "{}"] {
            let request = signet.site.request(method.clone(), path).header("content-type", "application/json");
            let answer = request.body(body).answer().await;
            assert!([400, 422].contains(&answer.status), "{answer:?}");
            let status = answer.status;
            answer.some_problem(status);
        }
    }
}

async fn only_json_is_read(signet: TestApp) {
    let body = format!(r#"{{"username": "ada", "password": "{PASSWORD}"}}"#);
    for (method, path) in JSON_ROUTES {
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json+xml", "nonsense"]
        {
            let request = signet.site.request(method.clone(), path).header("content-type", kind);
            request.body(body.clone()).answer().await.some_problem(415);
        }
        signet.site.request(method, path).body(body.clone()).answer().await.some_problem(415);
    }
    let request = signet.site.post("/v1/users").header("content-type", "application/json; charset=utf-8");
    request.body(body).answer().await.is(201);
}

/// A list of the right values in the right order is no object.
async fn a_list_is_no_object(signet: TestApp) {
    signet.registers("ada").await;
    let credentials = json!(["ada", PASSWORD]);
    for (path, list) in [
        ("/v1/users", json!(["bob", PASSWORD])),
        ("/v1/users", json!(["bob", PASSWORD, "bob@example.org"])),
        ("/v1/sessions", credentials.clone()),
        ("/v1/sessions/refresh", json!(["token"])),
    ] {
        signet.site.post(path).json(&list).answer().await.some_problem(400);
    }
    for (path, list) in [("/users/create", json!(["bob", PASSWORD])), ("/users/auth", credentials)] {
        let answer = signet.site.post(path).json(&list).answer().await.is(400);
        assert_eq!(answer.json()["success"], false, "{answer:?}");
    }
    let query = [("username", "bob")];
    assert_eq!(signet.site.get_with("/v1/users/availability", &query).answer().await.json()["available"], true);
}

/// A body that stops half way gets an answer, in the shape of its route.
async fn a_body_that_stops_half_way_is_given_up(signet: TestApp) {
    let stops = async |path: &str, kind: &str, half: &str| {
        let mut line = Line::to(&signet.site).await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: signet\r\nConnection: close\r\nContent-Type: {kind}\r\n");
        let begin = Instant::now();
        line.send(format!("{head}Content-Length: 500\r\n\r\n{half}").as_bytes()).await;
        let answer = line.answer().await;
        assert!(begin.elapsed() < Duration::from_secs(20), "{path} took {:?}", begin.elapsed());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: no answer: {answer:?}"));
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1.1 408"), "{answer}");
        assert!(head.contains("\r\nx-request-id: "), "{answer}");
        (head, serde_json::from_str::<Value>(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    };
    let (users, token, original) = tokio::join!(
        stops("/v1/users", "application/json", r#"{"username": "ada","#),
        stops("/oauth/token", "application/x-www-form-urlencoded", "grant_type=password&username=a"),
        stops("/users/create", "application/json", r#"{"username": "ada","#),
    );
    assert!(users.0.contains("content-type: application/problem+json"), "{users:?}");
    assert!(users.1["code"].is_string(), "{users:?}");
    assert!(token.0.contains("content-type: application/json"), "{token:?}");
    assert!(token.1["error"].is_string(), "{token:?}");
    assert!(original.0.contains("content-type: application/json"), "{original:?}");
    assert_eq!(original.1["success"], false, "{original:?}");
}

async fn a_body_over_64_kib_is_not_read(signet: TestApp) {
    for (method, path) in JSON_ROUTES {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: signet\r\nConnection: close\r\nContent-Type: application/json\r\n"
        );
        let mut said = Line::to(&signet.site).await;
        said.send(format!("{head}Content-Length: 70000\r\n\r\n").as_bytes()).await.send(&vec![b' '; 70_000]).await;
        assert_eq!(said.status().await, 413);
        let mut unsaid = Line::to(&signet.site).await;
        unsaid.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
        for _ in 0..7 {
            unsaid.send(b"2710\r\n").await.send(&[b' '; 10_000]).await.send(b"\r\n").await;
        }
        unsaid.send(b"0\r\n\r\n").await;
        assert_eq!(unsaid.status().await, 413);
    }
    let body = format!("{}{{}}", " ".repeat(70_000));
    let request = signet.site.post("/v1/users").header("content-type", "application/json").body(body);
    request.answer().await.some_problem(413);
}

async fn a_route_that_is_not_there_is_a_problem(signet: TestApp) {
    for path in ["/nowhere", "/v1", "/v1/", "/v1/nowhere", "/v2/users", "/v1/users/", "//", "/v1/users/%00", "/%ff"] {
        signet.site.get(path).answer().await.some_problem(404);
    }
    signet.site.post("/v1/nowhere").json(&()).answer().await.some_problem(404);
    let answer = signet.site.get("/oauth/nowhere").answer().await.is(404);
    assert!(answer.json()["error"].is_string(), "{answer:?}");
}

async fn a_method_that_is_not_there_names_those_that_are(signet: TestApp) {
    let methods = |allow: &str| allow.split(',').map(|method| method.trim().to_owned()).collect::<BTreeSet<_>>();
    for (method, path, allowed) in [
        (Method::GET, "/v1/users", "POST"),
        (Method::DELETE, "/v1/users", "POST"),
        (Method::PUT, "/v1/users/me", "GET"),
        (Method::PUT, "/v1/users/me", "PATCH"),
        (Method::GET, "/v1/users/me/password", "PUT"),
        (Method::PUT, "/v1/sessions", "DELETE"),
        (Method::POST, "/livez", "GET"),
        (Method::POST, "/.well-known/jwks.json", "GET"),
    ] {
        let answer = signet.site.request(method, path).answer().await.some_problem(405);
        assert!(methods(answer.header("allow")).contains(allowed), "{answer:?}");
    }
    let answer = signet.site.get("/oauth/token").answer().await.is(405);
    assert!(answer.json()["error"].is_string(), "{answer:?}");
    assert!(methods(answer.header("allow")).contains("POST"), "{answer:?}");
}

async fn every_answer_has_an_id_of_its_own(signet: TestApp) {
    let mut ids = BTreeSet::new();
    for path in ["/livez", "/livez", "/nowhere", "/v1/users", "/oauth/token", "/docs", "/.well-known/jwks.json"] {
        let answer = signet.site.get(path).answer().await;
        assert!(ids.insert(answer.header("x-request-id").to_owned()), "twice: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer:?}");
    }
}

/// An error response never contains text of the request.
async fn no_answer_echoes_what_was_sent(signet: TestApp) {
    let mark = "<script>mark</script>";
    let site: &Site = &signet.site;
    let body = serde_json::json!({"username": format!("{mark}@"), "password": mark, "email": mark, mark: mark});
    for answer in [
        site.post("/v1/users").json(&body).answer().await,
        site.post("/v1/sessions").json(&body).answer().await,
        site.token(&[("grant_type", mark)]).answer().await,
        site.token(&[("grant_type", "refresh_token"), ("refresh_token", mark)]).answer().await,
        site.token(&[("grant_type", "client_credentials"), ("client_id", mark), ("client_secret", mark)])
            .answer()
            .await,
        site.get("/%3Cscript%3Emark%3C%2Fscript%3E").answer().await,
        site.get("/v1/users/me").bearer_auth(mark).answer().await,
    ] {
        assert!(!format!("{answer:?}").contains(mark), "{answer:?}");
    }
}

/// Whatever comes, it is not our fault that it is nonsense.
async fn nonsense_never_breaks_anything(signet: TestApp) {
    let mut runner = TestRunner::deterministic();
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    let text = prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter);
    for _ in 0..100 {
        let body = bytes.new_tree(&mut runner).expect("bytes").current();
        for (path, kind) in [
            ("/v1/users", "application/json"),
            ("/v1/sessions", "application/json"),
            ("/users/create", "application/json"),
            ("/oauth/token", "application/x-www-form-urlencoded"),
        ] {
            let request = signet.site.post(path).header("content-type", kind).body(body.clone());
            request.answer().await.blames_the_sender();
        }
        let mut next = || text.new_tree(&mut runner).expect("text").current();
        let (username, password) = (next(), next());
        let credentials = serde_json::json!({"username": username, "password": password, "email": next()});
        let answer = signet.site.post("/v1/users").json(&credentials).answer().await;
        assert!(answer.status < 500, "{credentials}: {answer:?}");
        signet
            .site
            .post("/v1/sessions")
            .json(&serde_json::json!({"username": username, "password": next()}))
            .answer()
            .await
            .blames_the_sender();
        let query = [("username", username.as_str())];
        let answer = signet.site.get_with("/v1/users/availability", &query).answer().await;
        assert!(answer.status < 500, "{credentials}: {answer:?}");
    }
    signet.site.get("/readyz").answer().await.is(200);
}

stories![nonsense_never_breaks_anything];

stories_on![Sqlite:
    malformed_json_is_refused,
    only_json_is_read,
    a_list_is_no_object,
    a_body_over_64_kib_is_not_read,
    a_route_that_is_not_there_is_a_problem,
    a_method_that_is_not_there_names_those_that_are,
    every_answer_has_an_id_of_its_own,
    no_answer_echoes_what_was_sent,
    a_body_that_stops_half_way_is_given_up,
];
