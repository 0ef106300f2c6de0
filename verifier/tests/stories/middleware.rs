//! The answers to a client of a poem service.

use std::collections::BTreeMap;

use poem::{EndpointExt, Route, Server, get, handler, listener::TcpAcceptor};
use reqwest::{Client, header::AUTHORIZATION};
use serde_json::Value;
use verifier::poem::{BearerAuth, Refusal, VerifiedToken};

use crate::harness::{Key, TestApp};

#[handler]
fn whoami(token: &VerifiedToken) -> String {
    token.preferred_username.clone().unwrap_or_default()
}

#[handler]
fn write(token: &VerifiedToken) -> Result<String, Refusal> {
    token.require_scope("orders:write")?;
    Ok("written".to_owned())
}

/// A service with its routes, on a free port.
async fn service(app: &TestApp) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let bearer = || BearerAuth::new(app.verifier.clone());
    let routes = Route::new()
        .at("/whoami", get(whoami).with(bearer()))
        .at("/orders", get(whoami).with(bearer().require_scope("openid").require_scope("orders:read")))
        .at("/reports", get(whoami).with(bearer().require_scope("openid").require_scope("reports:read")))
        .at("/write", get(write).with(bearer()))
        .at("/forgotten", get(whoami));
    tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_std(listener).unwrap()).run(routes));
    base
}

/// Status, the fields that matter, body.
async fn ask(url: &str, authorization: &[&str]) -> (u16, BTreeMap<String, String>, String) {
    let mut request = Client::builder().no_proxy().build().unwrap().get(url);
    for field in authorization {
        request = request.header(AUTHORIZATION, *field);
    }
    let response = request.send().await.unwrap();
    let fields = ["www-authenticate", "retry-after", "content-type"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), response.headers().get(name)?.to_str().unwrap().to_owned())));
    (response.status().as_u16(), fields.collect(), response.text().await.unwrap())
}

#[track_caller]
fn refused(answer: &(u16, BTreeMap<String, String>, String), status: u16, challenge: Option<&str>, code: &str) {
    let (given, fields, body) = answer;
    assert_eq!((*given, fields.get("www-authenticate").map(String::as_str)), (status, challenge), "{body}");
    assert_eq!(fields["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&problem["status"], &problem["code"], &problem["type"]),
        (&status.into(), &code.into(), &"about:blank".into())
    );
}

#[tokio::test]
async fn a_request_without_a_token_is_told_that_it_needs_one_and_no_error() {
    let app = TestApp::open().await;
    let url = format!("{}/whoami", service(&app).await);
    refused(&ask(&url, &[]).await, 401, Some("Bearer"), "missing_token");
    refused(&ask(&url, &["Basic YTpi"]).await, 401, Some("Bearer"), "missing_token");
    let query = format!("{url}?access_token={}", app.token(&app.claims()));
    refused(&ask(&query, &[]).await, 401, Some("Bearer"), "missing_token");
}

#[tokio::test]
async fn bad_tokens_all_get_the_same_answer() {
    let app = TestApp::open().await;
    app.publishes_list(&[1]);
    let url = format!("{}/whoami", service(&app).await);
    let mut expired = app.claims();
    expired["exp"] = 1_000.into();
    let tokens =
        [app.token(&expired), app.token(&app.claims_at(0)), Key::es256("first").token(&app.claims()), "x".to_owned()];
    let mut answers = Vec::new();
    for token in tokens {
        answers.push(ask(&url, &[&format!("Bearer {token}")]).await);
    }
    refused(&answers[0], 401, Some(r#"Bearer error="invalid_token""#), "invalid_token");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn a_malformed_field_is_an_invalid_request() {
    let app = TestApp::open().await;
    let url = format!("{}/whoami", service(&app).await);
    let token = format!("Bearer {}", app.token(&app.claims()));
    for fields in [&["Bearer"][..], &["Bearer  "], &["Bearer a b"], &[&token, &token]] {
        refused(&ask(&url, fields).await, 400, Some(r#"Bearer error="invalid_request""#), "invalid_request");
    }
}

#[tokio::test]
async fn a_scope_that_is_lacking_is_named() {
    let app = TestApp::open().await;
    let base = service(&app).await;
    let token = format!("bearer {}", app.token(&app.claims()));
    assert_eq!(ask(&format!("{base}/orders"), &[&token]).await.2, "ada");
    let challenge = Some(r#"Bearer error="insufficient_scope", scope="openid reports:read""#);
    refused(&ask(&format!("{base}/reports"), &[&token]).await, 403, challenge, "insufficient_scope");
    let challenge = Some(r#"Bearer error="insufficient_scope", scope="orders:write""#);
    refused(&ask(&format!("{base}/write"), &[&token]).await, 403, challenge, "insufficient_scope");
}

#[tokio::test]
async fn trouble_with_the_issuer_is_no_reason_to_throw_a_token_away() {
    let app = TestApp::open().await;
    app.issuer.is_down(true);
    let url = format!("{}/whoami", service(&app).await);
    let answer = ask(&url, &[&format!("Bearer {}", app.token(&app.claims()))]).await;
    refused(&answer, 503, None, "unavailable");
    assert_eq!(answer.1["retry-after"], "1");
}

#[tokio::test]
async fn a_route_that_was_left_unguarded_lets_nobody_pass() {
    let app = TestApp::open().await;
    let url = format!("{}/forgotten", service(&app).await);
    assert_eq!(ask(&url, &[&format!("Bearer {}", app.token(&app.claims()))]).await.0, 500);
}
