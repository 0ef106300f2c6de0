//! The original service's four routes, word for word.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, PASSWORD, Site, TestApp, jwt, raw::Line, stories, stories_on};

/// Sends JSON, in a GET request too.
async fn sends(site: &Site, method: Method, path: &str, body: &Value) -> Answer {
    site.request(method, path).json(body).answer().await
}

/// The answer has these members and no more, says that it worked, and says this.
fn succeeds(answer: Answer, message: &str, members: &[&str]) -> Value {
    let answer = answer.is(200);
    let json = answer.json();
    let found: BTreeSet<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(found, members.iter().copied().collect(), "{answer:?}");
    assert_eq!((&json["success"], &json["message"]), (&json!(true), &json!(message)), "{answer:?}");
    json
}

/// The answer has this status and says that it failed.
fn fails(answer: Answer, status: u16) -> Value {
    let answer = answer.is(status);
    let json = answer.json();
    assert_eq!(json["success"], false, "{answer:?}");
    assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer:?}");
    assert_eq!(json.get("session_id"), None, "{answer:?}");
    json
}

const SESSION: [&str; 3] = ["success", "message", "session_id"];
const PLAIN: [&str; 2] = ["success", "message"];

async fn a_client_of_the_original_moves_over_unchanged(signet: TestApp) {
    let site = &signet.site;
    let ada = json!({"username": "ada", "password": PASSWORD});
    let made = sends(site, Method::POST, "/users/create", &ada).await;
    assert!(made.header("cache-control").contains("no-store"));
    let made = succeeds(made, "Create user successful", &SESSION);

    for method in [Method::GET, Method::POST] {
        let answer = sends(site, method.clone(), "/users/auth", &ada).await;
        let here = succeeds(answer, "Authenticate user successful", &SESSION);
        for session in [&made["session_id"], &here["session_id"]] {
            let answer = sends(site, method.clone(), "/users/session_auth", &json!({"session_id": session})).await;
            succeeds(answer, "Authenticate session id successful", &PLAIN);
        }
    }

    succeeds(sends(site, Method::DELETE, "/users/delete", &ada).await, "Delete user successful", &PLAIN);
    fails(sends(site, Method::GET, "/users/session_auth", &json!({"session_id": made["session_id"]})).await, 401);
    fails(sends(site, Method::GET, "/users/auth", &ada).await, 401);
}

async fn its_session_id_is_an_access_token(signet: TestApp) {
    let ada = json!({"username": "ada", "password": PASSWORD});
    let made = sends(&signet.site, Method::POST, "/users/create", &ada).await.is(200).string("session_id");
    assert_eq!(jwt::header(&made)["typ"], "at+jwt");
    assert_eq!(jwt::claims(&made)["preferred_username"], "ada");
    signet.site.user_info(&made).await.is(200);
    signet.clock.advance(crate::harness::seconds(631));
    fails(sends(&signet.site, Method::POST, "/users/session_auth", &json!({"session_id": made})).await, 401);
}

async fn a_log_out_ends_its_sessions_too(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let body = json!({"session_id": tokens.access});
    sends(&signet.site, Method::GET, "/users/session_auth", &body).await.is(200);
    ada.logs_out(&tokens).await;
    fails(sends(&signet.site, Method::GET, "/users/session_auth", &body).await, 401);
}

async fn what_is_wrong_fails_with_the_usual_statuses(signet: TestApp) {
    let site = &signet.site;
    signet.registers("ada").await;
    let wrong = json!({"username": "ada", "password": "wrong guess 12"});
    let unknown = json!({"username": "nobody", "password": PASSWORD});
    for (method, path) in
        [(Method::GET, "/users/auth"), (Method::POST, "/users/auth"), (Method::DELETE, "/users/delete")]
    {
        let first = fails(sends(site, method.clone(), path, &wrong).await, 401);
        let second = fails(sends(site, method, path, &unknown).await, 401);
        assert_eq!(first, second);
    }
    fails(sends(site, Method::POST, "/users/create", &json!({"username": "ADA", "password": PASSWORD})).await, 409);
    fails(sends(site, Method::POST, "/users/create", &json!({"username": "bob", "password": "short"})).await, 422);
    fails(sends(site, Method::POST, "/users/create", &json!({"username": "a\u{0}b", "password": PASSWORD})).await, 422);
    for session in ["", "x", "a.b.c", "\u{0}", &"x".repeat(5000)] {
        let answer = sends(site, Method::GET, "/users/session_auth", &json!({"session_id": session})).await;
        assert!([401, 422].contains(&answer.status), "{answer:?}");
        let status = answer.status;
        fails(answer, status);
    }
    let big = json!({"username": "x".repeat(70_000), "password": PASSWORD});
    for (method, path) in [
        (Method::POST, "/users/create"),
        (Method::GET, "/users/auth"),
        (Method::GET, "/users/session_auth"),
        (Method::DELETE, "/users/delete"),
    ] {
        let request = || site.request(method.clone(), path);
        fails(request().header("content-type", "application/json").body("{").answer().await, 400);
        fails(request().header("content-type", "text/plain").body(wrong.to_string()).answer().await, 415);
        fails(request().json(&big).answer().await, 413);
        for body in [json!({}), json!([]), json!({"username": 5, "password": 5, "session_id": 5}), json!(null)] {
            let answer = request().json(&body).answer().await.blames_the_sender();
            assert_eq!(answer.json()["success"], false, "{answer:?}");
        }
        let answer = request().answer().await.blames_the_sender(); // no body at all
        assert_eq!(answer.json()["success"], false, "{answer:?}");
    }
}

async fn a_get_request_may_have_its_body_in_chunks(signet: TestApp) {
    signet.registers("ada").await;
    let body = json!({"username": "ada", "password": PASSWORD}).to_string();
    let mut line = Line::to(&signet.site).await;
    let head = "GET /users/auth HTTP/1.1\r\nHost: signet\r\nConnection: close\r\nContent-Type: application/json\r\n";
    line.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes())
        .await;
    let answer = line.answer().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Authenticate user successful"), "{answer}");
}

async fn a_method_that_was_never_there_is_refused(signet: TestApp) {
    for (method, path) in
        [(Method::GET, "/users/create"), (Method::PUT, "/users/auth"), (Method::POST, "/users/delete")]
    {
        let answer = sends(&signet.site, method, path, &json!({})).await.is(405);
        assert_ne!(answer.header("allow"), "", "{answer:?}");
    }
}

stories![a_client_of_the_original_moves_over_unchanged, a_log_out_ends_its_sessions_too];

stories_on![Sqlite:
    its_session_id_is_an_access_token,
    what_is_wrong_fails_with_the_usual_statuses,
    a_get_request_may_have_its_body_in_chunks,
    a_method_that_was_never_there_is_refused,
];
