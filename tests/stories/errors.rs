//! What nobody should send, and what everybody gets for it.

use std::collections::BTreeSet;

use proptest::{
    prelude::{Strategy, any, prop},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use reqwest::Method;

use crate::harness::{Ask, House, PASSWORD, Site, raw::Line, stories};

const JSON_ROUTES: [(Method, &str); 3] =
    [(Method::POST, "/v1/users"), (Method::POST, "/v1/sessions"), (Method::POST, "/v1/sessions/refresh")];

async fn malformed_json_is_refused(house: House) {
    let deep = "[".repeat(30_000);
    for (method, path) in JSON_ROUTES {
        for body in ["", "{", "nonsense", "{\"username\": }", "{\"username\": \"\\ud8\"}", "\u{feff}{}", "{} {}", &deep]
        {
            let request = house.site.request(method.clone(), path).header("content-type", "application/json");
            request.body(body.to_owned()).answer().await.some_problem(400);
        }
        for body in ["[]", "null", "5", "\"x\"", "{}"] {
            let request = house.site.request(method.clone(), path).header("content-type", "application/json");
            let answer = request.body(body).answer().await;
            assert!([400, 422].contains(&answer.status), "{answer:?}");
            let status = answer.status;
            answer.some_problem(status);
        }
    }
}

async fn only_json_is_read(house: House) {
    let body = format!(r#"{{"username": "ada", "password": "{PASSWORD}"}}"#);
    for (method, path) in JSON_ROUTES {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "nonsense"] {
            let request = house.site.request(method.clone(), path).header("content-type", kind);
            request.body(body.clone()).answer().await.some_problem(415);
        }
        house.site.request(method, path).body(body.clone()).answer().await.some_problem(415);
    }
    let request = house.site.post("/v1/users").header("content-type", "application/json; charset=utf-8");
    request.body(body).answer().await.is(201);
}

async fn a_body_over_64_kib_is_not_read(house: House) {
    for (method, path) in JSON_ROUTES {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: signet\r\nConnection: close\r\nContent-Type: application/json\r\n"
        );
        let mut said = Line::to(&house.site).await;
        said.send(format!("{head}Content-Length: 70000\r\n\r\n").as_bytes()).await.send(&vec![b' '; 70_000]).await;
        assert_eq!(said.status().await, 413);
        let mut unsaid = Line::to(&house.site).await;
        unsaid.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
        for _ in 0..7 {
            unsaid.send(b"2710\r\n").await.send(&[b' '; 10_000]).await.send(b"\r\n").await;
        }
        unsaid.send(b"0\r\n\r\n").await;
        assert_eq!(unsaid.status().await, 413);
    }
    let body = format!("{}{{}}", " ".repeat(70_000));
    let request = house.site.post("/v1/users").header("content-type", "application/json").body(body);
    request.answer().await.some_problem(413);
}

async fn a_route_that_is_not_there_is_a_problem(house: House) {
    for path in
        ["/", "/nowhere", "/v1", "/v1/", "/v1/nowhere", "/v2/users", "/v1/users/", "//", "/v1/users/%00", "/%ff", "/."]
    {
        house.site.get(path).answer().await.some_problem(404);
    }
    house.site.post("/v1/nowhere").json(&()).answer().await.some_problem(404);
    let answer = house.site.get("/oauth/nowhere").answer().await.is(404);
    assert!(answer.json()["error"].is_string(), "{answer:?}");
}

async fn a_method_that_is_not_there_names_those_that_are(house: House) {
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
        let answer = house.site.request(method, path).answer().await.some_problem(405);
        assert!(methods(answer.header("allow")).contains(allowed), "{answer:?}");
    }
    let answer = house.site.get("/oauth/token").answer().await.is(405);
    assert!(answer.json()["error"].is_string(), "{answer:?}");
    assert!(methods(answer.header("allow")).contains("POST"), "{answer:?}");
}

async fn every_answer_has_an_id_of_its_own(house: House) {
    let mut ids = BTreeSet::new();
    for path in ["/livez", "/livez", "/nowhere", "/v1/users", "/oauth/token", "/docs", "/.well-known/jwks.json"] {
        let answer = house.site.get(path).answer().await;
        assert!(ids.insert(answer.header("x-request-id").to_owned()), "twice: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer:?}");
    }
}

/// An error says what was wrong in our words, never in the sender's.
async fn no_answer_echoes_what_was_sent(house: House) {
    let mark = "<script>mark</script>";
    let site: &Site = &house.site;
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
async fn nonsense_never_breaks_anything(house: House) {
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
            let request = house.site.post(path).header("content-type", kind).body(body.clone());
            request.answer().await.blames_the_sender();
        }
        let mut next = || text.new_tree(&mut runner).expect("text").current();
        let (username, password) = (next(), next());
        let credentials = serde_json::json!({"username": username, "password": password, "email": next()});
        let answer = house.site.post("/v1/users").json(&credentials).answer().await;
        assert!(answer.status < 500, "{credentials}: {answer:?}");
        house
            .site
            .post("/v1/sessions")
            .json(&serde_json::json!({"username": username, "password": next()}))
            .answer()
            .await
            .blames_the_sender();
        let query = [("username", username.as_str())];
        let answer = house.site.get_with("/v1/users/availability", &query).answer().await;
        assert!(answer.status < 500, "{credentials}: {answer:?}");
    }
    house.site.get("/readyz").answer().await.is(200);
}

stories![
    malformed_json_is_refused,
    only_json_is_read,
    a_body_over_64_kib_is_not_read,
    a_route_that_is_not_there_is_a_problem,
    a_method_that_is_not_there_names_those_that_are,
    every_answer_has_an_id_of_its_own,
    no_answer_echoes_what_was_sent,
    nonsense_never_breaks_anything,
];
