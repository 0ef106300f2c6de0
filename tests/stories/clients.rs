//! Client authentication, and the `client_credentials` grant.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::harness::{
    Answer, Ask, PASSWORD, Site, TestApp, Tokens, jwt, stories, stories_on,
    test_env::{Client, TestEnv, list},
};

const FORM: [(&str, &str); 1] = [("grant_type", "client_credentials")];

/// A client of the grant with scopes `read` and `write`, which authenticates by this method.
async fn billing(env: &TestEnv, method: &str) -> Client {
    let options = ["--name", "Billing", "--grant", "client_credentials", "--scope", "read", "--scope", "write"];
    env.registers_client(&[&options[..], &["--auth-method", method]].concat()).await
}

/// Asks for a token of its own, with `Authorization: Basic`.
async fn asks_with_basic(site: &Site, client: &Client, form: &[(&str, &str)]) -> Answer {
    site.token(form).basic_auth(&client.id, Some(&client.secret)).answer().await
}

/// The token endpoint does not know the client, and says how to say who one is (RFC 6749 §5.2).
fn is_a_stranger(answer: Answer) {
    let answer = answer.oauth_error(401, "invalid_client");
    assert!(answer.header("www-authenticate").starts_with("Basic"), "{answer:?}");
}

async fn a_wrong_secret_is_refused_like_an_unknown_client(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    let wrong = Client { secret: "guess".into(), ..client.clone() };
    let unknown = Client { id: "nobody".into(), ..client.clone() };
    let empty = Client { secret: String::new(), ..client.clone() };
    let first = asks_with_basic(&signet.site, &wrong, &FORM).await;
    let second = asks_with_basic(&signet.site, &unknown, &FORM).await;
    assert_eq!(first.json(), second.json());
    is_a_stranger(first);
    is_a_stranger(second);
    is_a_stranger(asks_with_basic(&signet.site, &empty, &FORM).await);
    let form = [("grant_type", "client_credentials"), ("client_id", client.id.as_str())];
    let answer = signet.site.token(&form).answer().await;
    answer.oauth_error(401, "invalid_client"); // a confidential client that names itself only
}

async fn malformed_credentials_are_refused(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    let basic = |text: &[u8]| format!("Basic {}", STANDARD.encode(text));
    for header in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic !!!".to_owned(),
        "Digest x".to_owned(),
        basic(client.id.as_bytes()), // no colon
        basic(b":"),
        basic(b"\xff:\xff"),
        basic(b"%zz:x"),
        basic(b"%ff:x"),
        basic(b"a%00b:x"),
        basic(&[b'x'; 10_000]),
    ] {
        let answer = signet.site.token(&FORM).header("authorization", header).answer().await.blames_the_sender();
        assert!(["invalid_client", "invalid_request"].contains(&answer.string("error").as_str()), "{answer:?}");
    }
}

async fn one_method_at_a_time(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    let guess = Client { secret: "guess".to_owned(), ..client.clone() };
    asks_with_basic(&signet.site, &client, &guess.in_form(&FORM)).await.refused("invalid_request");
    asks_with_basic(&signet.site, &guess, &client.in_form(&FORM)).await.refused("invalid_request");
    let other = [("grant_type", "client_credentials"), ("client_id", "somebody-else")];
    asks_with_basic(&signet.site, &client, &other).await.blames_the_sender();
}

async fn a_client_gets_a_token_of_its_own(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    let tokens = asks_with_basic(&signet.site, &client, &FORM).await.granted();
    assert_eq!(tokens.refresh, "", "a client needs no refresh token (RFC 6749 §4.4.3)");
    assert_eq!(tokens.scopes(), ["read", "write"]);
    let claims = jwt::claims(&tokens.access);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(client.id), &json!(client.id)));
    assert_eq!(claims["aud"], signet.issuer.as_str());
    let mut members: Vec<&String> = claims.as_object().expect("an object").keys().collect();
    members.sort();
    assert_eq!(members, ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]);
    assert_eq!(jwt::header(&tokens.access)["typ"], "at+jwt");
}

async fn its_token_opens_no_users_door(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    let ada = signet.registers("ada").await;
    let tokens = asks_with_basic(&signet.site, &client, &FORM).await.granted();
    ada.looks(&tokens).await.challenges(403, "insufficient_scope");
    ada.sends(reqwest::Method::GET, "/v1/sessions", &tokens, None).await.challenges(403, "insufficient_scope");
    signet.site.user_info(&tokens.access).await.challenges(403, "insufficient_scope");
}

async fn scope_is_within_what_is_registered(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    let asks = async |scope| {
        asks_with_basic(&signet.site, &client, &[("grant_type", "client_credentials"), ("scope", scope)]).await
    };
    asks("admin").await.refused("invalid_scope");
    assert_eq!(asks("read admin").await.granted().scopes(), ["read"]);
    asks("openid").await.refused("invalid_scope");
    assert_eq!(asks("read").await.granted().scopes(), ["read"]);
}

async fn the_secret_may_come_in_the_form(signet: TestApp) {
    let client = billing(&signet, "client_secret_post").await;
    signet.site.token(&client.in_form(&FORM)).answer().await.granted();
    let wrong = Client { secret: "guess".into(), ..client };
    signet.site.token(&wrong.in_form(&FORM)).answer().await.oauth_error(401, "invalid_client");
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined, so any of their characters may come as `%XX`.
async fn basic_credentials_are_form_decoded(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut encoded, byte| {
            write!(encoded, "%{byte:02X}").expect("a String takes everything");
            encoded
        })
    };
    let encoded = Client { id: encode(&client.id), secret: encode(&client.secret) };
    asks_with_basic(&signet.site, &encoded, &FORM).await.granted();
}

async fn a_client_uses_only_the_grants_it_has(signet: TestApp) {
    let client = billing(&signet, "client_secret_basic").await;
    signet.registers("ada").await;
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    asks_with_basic(&signet.site, &client, &form).await.refused("unauthorized_client");
    let form = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    asks_with_basic(&signet.site, &client, &form).await.blames_the_sender();
    let public_client =
        ["--name", "Public client", "--public", "--first-party", "--grant", "password", "--grant", "refresh_token"];
    let public_client = signet.registers_client(&public_client).await;
    assert_eq!(public_client.secret, "");
    signet.site.token(&public_client.in_form(&FORM)).answer().await.refused("unauthorized_client");
    let built_in = [FORM[0], ("client_id", "first-party")];
    signet.site.token(&built_in).answer().await.refused("unauthorized_client");
}

async fn the_resource_is_one_that_is_registered(signet: TestApp) {
    let options =
        ["--name", "Jobs", "--grant", "client_credentials", "--scope", "read", "--resource", "https://api.example"];
    let client = signet.registers_client(&options).await;
    let asks = async |resource| {
        asks_with_basic(&signet.site, &client, &[("grant_type", "client_credentials"), ("resource", resource)]).await
    };
    asks("https://other.example").await.refused("invalid_target");
    assert_eq!(jwt::claims(&asks("https://api.example").await.granted().access)["aud"], "https://api.example");
}

async fn ids_that_would_be_mistaken_are_not_given(env: TestEnv) {
    for id in ["first-party", "018f0000-0000-7000-8000-000000000000", "", "a b", "a\"b"] {
        let ended = env.runs(&["client", "create", "--name", "x", "--grant", "client_credentials", "--id", id]).await;
        assert!(matches!(ended.code, Some(1 | 2)), "{id:?}: {ended:?}");
        assert_eq!(ended.out, "");
    }
    let options = ["--name", "x", "--grant", "client_credentials", "--scope", "read", "--id", "billing"];
    assert_eq!(env.registers_client(&options).await.id, "billing");
    let twice =
        env.runs(&["client", "create", "--name", "x", "--grant", "client_credentials", "--id", "billing"]).await;
    assert_eq!(twice.code, Some(1), "{twice:?}");
}

async fn a_secret_is_shown_once(env: TestEnv) {
    let client = billing(&env, "client_secret_basic").await;
    let shown = env.runs(&["client", "show", &client.id, "--json"]).await.well();
    assert!(!shown.out.contains(&client.secret) && shown.out.contains(&client.id));
    let listed = env.runs(&["client", "list", "--json"]).await.well();
    assert!(!listed.out.contains(&client.secret));
    assert!(list(&listed.json()).iter().any(|entry| entry["client_id"] == client.id.as_str()), "{listed:?}");
}

async fn a_deleted_client_takes_its_sessions_with_it(mut signet: TestApp) {
    let public_client =
        ["--name", "Public client", "--public", "--first-party", "--grant", "password", "--grant", "refresh_token"];
    let public_client = signet.registers_client(&public_client).await;
    let ada = signet.registers("ada").await;
    let own = ada.logs_in().await;
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    let tokens: Tokens = signet.site.token(&public_client.in_form(&form)).answer().await.granted();
    signet.runs(&["client", "delete", &public_client.id]).await.well();

    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    signet.site.token(&public_client.in_form(&form)).answer().await.blames_the_sender();
    signet.restart().await; // it was ended by another process, and is felt here at the latest now
    ada.is_shut_out(&tokens).await;
    ada.is_let_in(&own).await;
}

/// The built-in client was never registered; all sessions without a named client belong to it.
async fn nobody_deletes_the_built_in_client(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let refused = signet.runs(&["client", "delete", "first-party"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    ada.is_logged_in(&tokens).await;
}

stories![
    a_client_gets_a_token_of_its_own,
    a_secret_is_shown_once,
    a_deleted_client_takes_its_sessions_with_it,
    nobody_deletes_the_built_in_client,
];

stories_on![Sqlite:
    a_wrong_secret_is_refused_like_an_unknown_client,
    malformed_credentials_are_refused,
    one_method_at_a_time,
    its_token_opens_no_users_door,
    scope_is_within_what_is_registered,
    the_secret_may_come_in_the_form,
    basic_credentials_are_form_decoded,
    a_client_uses_only_the_grants_it_has,
    the_resource_is_one_that_is_registered,
    ids_that_would_be_mistaken_are_not_given,
];
