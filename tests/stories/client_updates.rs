//! Changes of clients by the operator, and their effect on running services.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    Ask, Site, TestApp, Tokens,
    client_key::{self, ClientKey, JWT_BEARER},
    eventually, stories, stories_on,
    test_env::{Client, TestEnv},
};

/// The time within which a running service follows a change by another process.
const BOUND: Duration = Duration::from_secs(10);

async fn shown(env: &TestEnv, client: &Client) -> Value {
    env.runs(&["client", "show", &client.id, "--json"]).await.well().json()
}

/// Changes the client as these options say.
async fn updates(env: &TestEnv, client: &Client, options: &[&str]) -> Value {
    env.runs(&[&["client", "update", &client.id][..], options].concat()).await.well().json()
}

/// Whether the client gets a token of its own with this secret.
async fn is_believed(site: &Site, client: &Client, secret: &str) -> bool {
    let form = [("grant_type", "client_credentials")];
    let answer = site.token(&form).basic_auth(&client.id, Some(secret)).answer().await;
    let resolve_client_ip = answer.status == 200;
    if !resolve_client_ip {
        answer.refused("invalid_client");
    }
    resolve_client_ip
}

async fn a_rotated_secret_kills_the_old_one(signet: TestApp) {
    let client = signet.registers_service(&[]).await;
    assert!(is_believed(&signet.site, &client, &client.secret).await);
    let rotated = signet.runs(&["client", "rotate-secret", &client.id, "--json"]).await.well().json();
    assert_eq!(rotated["client_id"], client.id.as_str());
    let secret = rotated["client_secret"].as_str().expect("a secret").to_owned();
    assert_ne!(secret, client.secret);
    eventually(BOUND, "the old secret is refused", async || !is_believed(&signet.site, &client, &client.secret).await)
        .await;
    assert!(is_believed(&signet.site, &client, &secret).await);
    let all = signet.runs(&["client", "list", "--json"]).await.well().out;
    assert!(!all.contains(&secret) && !shown(&signet, &client).await.to_string().contains(&secret), "it is shown once");
}

async fn who_has_no_secret_gets_none(env: TestEnv) {
    let public_client = env.registers_public_client(&[]).await;
    env.runs(&["client", "rotate-secret", &public_client.id]).await.with(1, &["no secret"]);
    let key = ClientKey::new("ES256", "k1");
    let app = client_key::registers(&env, &key).await;
    env.runs(&["client", "rotate-secret", &app.id]).await.with(1, &["no secret"]);
    for id in ["nobody", "first-party", "pages"] {
        env.runs(&["client", "rotate-secret", id]).await.with(1, &["no client"]);
        env.runs(&["client", "update", id, "--name", "x"]).await.with(1, &["no client"]);
    }
    env.runs(&["client", "update", "a b", "--name", "x"]).await.with(2, &["client id"]);
}

async fn what_is_named_changes_and_nothing_else(env: TestEnv) {
    let options = [
        "--scope",
        "write",
        "--audience",
        "https://api.example",
        "--resource",
        "https://other.example",
        "--backchannel-logout-uri",
        "https://api.example/logout",
    ];
    let client = env.registers_service(&options).await;
    let before = shown(&env, &client).await;
    let changed = updates(&env, &client, &["--name", "Bills"]).await;
    let mut expected = before.clone();
    expected["client_name"] = json!("Bills");
    assert_eq!(changed, expected, "no secret is shown, since none is new");
    assert_eq!(shown(&env, &client).await, expected);

    let changed = updates(&env, &client, &["--scope", "read", "--audience", "https://a", "--audience", "https://b"]);
    let changed = changed.await;
    assert_eq!((&changed["scope"], &changed["audiences"]), (&json!("read"), &json!(["https://a", "https://b"])));
    assert_eq!(changed["resources"], json!(["https://other.example"]));
    let changed = updates(&env, &client, &["--audience", "", "--backchannel-logout-uri", ""]).await;
    assert_eq!((&changed["audiences"], &changed["backchannel_logout_uri"]), (&json!([]), &Value::Null));
    assert_eq!(changed["created_at"], before["created_at"]);
    assert!(is_believed(&env.open().await.site, &client, &client.secret).await, "its secret stays");
}

async fn what_could_not_be_registered_is_refused_and_changes_nothing(env: TestEnv) {
    let client = env.registers_service(&[]).await;
    let before = shown(&env, &client).await;
    for (options, words) in [
        (&[][..], &["what to change"][..]),
        (&["--name", ""], &["name"]),
        (&["--grant", "password"], &["first-party"]),
        (&["--grant", "implicit"], &["--grant"]),
        (&["--grant", ""], &["grant"]),
        (&["--grant", "authorization_code"], &["redirect URI"]),
        (&["--public"], &["public"]),
        (&["--public", "--auth-method", "private_key_jwt"], &["--public"]),
        (&["--auth-method", "none"], &["--auth-method"]),
        (&["--auth-method", "private_key_jwt"], &["keys"]),
        (&["--redirect-uri", "http://app.example/cb"], &["http://app.example/cb", "https"]),
        (&["--redirect-uri", "com.example.app:/cb"], &["com.example.app:/cb"]),
        (&["--post-logout-redirect-uri", "javascript:alert(1)"], &["javascript:alert(1)"]),
        (&["--backchannel-logout-uri", "http://10.0.0.1/"], &["http://10.0.0.1/"]),
        (&["--audience", "a b"], &["audience"]),
        (&["--id-token-alg", "none"], &["--id-token-alg"]),
        (&["--scope", "a\"b"], &["scope"]),
        (&["--first-party=perhaps"], &["perhaps"]),
    ] {
        let arguments = [&["client", "update", &client.id][..], options].concat();
        env.runs(&arguments).await.with(2, words);
        assert_eq!(shown(&env, &client).await, before, "{options:?}");
    }
}

async fn a_running_service_goes_by_the_change(signet: TestApp) {
    let public_client = signet.registers_public_client(&[]).await;
    let ada = signet.registers("ada").await;
    let tokens: Tokens = ada.logs_in_at(&public_client, &[]).await;
    ada.is_let_in(&tokens).await;
    updates(&signet, &public_client, &["--first-party=false", "--grant", "refresh_token"]).await;
    eventually(BOUND, "its users' tokens open /v1 no more", async || ada.looks(&tokens).await.status == 403).await;
    let form = [("grant_type", "password"), ("username", "ada"), ("password", &ada.password)];
    public_client.posts(&signet.site, "/oauth/token", &form).await.refused("unauthorized_client");
    public_client.refreshes(&signet.site, &tokens).await.granted(); // its sessions go on
    updates(&signet, &public_client, &["--first-party"]).await;
    eventually(BOUND, "they open it again", async || ada.looks(&tokens).await.status == 200).await;
}

async fn a_client_changes_the_way_it_proves_itself(signet: TestApp) {
    let client = signet.registers_service(&[]).await;
    let key = ClientKey::new("EdDSA", "k1");
    let jwks = client_key::file(&[key.jwk()]);
    let jwks = jwks.to_str().expect("a path of ASCII");
    let changed = updates(&signet, &client, &["--auth-method", "private_key_jwt", "--jwks", jwks]).await;
    assert!(changed.get("client_secret").is_none(), "{changed}");
    let asserts = async |key: &ClientKey| {
        let assertion = key.asserts(&signet, &client);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ];
        signet.site.token(&form).answer().await.status
    };
    eventually(BOUND, "its key is taken", async || asserts(&key).await == 200).await;
    assert!(!is_believed(&signet.site, &client, &client.secret).await, "the secret is gone");

    let next = ClientKey::new("ES256", "k2");
    let jwks = client_key::file(&[next.jwk()]);
    updates(&signet, &client, &["--jwks", jwks.to_str().expect("a path of ASCII")]).await;
    eventually(BOUND, "the other key is taken", async || asserts(&next).await == 200).await;
    assert_eq!(asserts(&key).await, 401, "the first one is no more");

    let changed = updates(&signet, &client, &["--auth-method", "client_secret_basic"]).await;
    let secret = changed["client_secret"].as_str().expect("it gets a new one");
    assert_ne!(secret, client.secret);
    eventually(BOUND, "the secret is taken", async || is_believed(&signet.site, &client, secret).await).await;
    assert_eq!(asserts(&next).await, 401);
}

/// A client of the code flow gets ID tokens, which somebody must be able to sign.
async fn a_client_that_comes_to_the_code_flow_brings_a_key(signet: TestApp) {
    let client = signet.registers_service(&[]).await;
    assert_eq!(signet.key_files().iter().filter(|file| is_rsa(file)).count(), 0);
    let options = ["--grant", "authorization_code", "--scope", "openid", "--redirect-uri", "https://app.example/cb"];
    updates(&signet, &client, &options).await;
    assert_eq!(signet.key_files().iter().filter(|file| is_rsa(file)).count(), 1);
    let algorithms = async || {
        let jwks = signet.site.get("/.well-known/jwks.json").answer().await.is(200).json();
        jwks["keys"].as_array().expect("keys").iter().any(|key| key["alg"] == "RS256")
    };
    eventually(BOUND, "the key is published", algorithms).await;
}

/// A verifier that fetches the keys again while a clock is behind must find those that have signed.
async fn a_clock_that_is_set_back_hides_no_key(signet: TestApp) {
    let client = signet.registers_service(&[]).await;
    let options = ["--grant", "authorization_code", "--scope", "openid", "--redirect-uri", "https://app.example/cb"];
    updates(&signet, &client, &options).await;
    let count = async || {
        let jwks = signet.site.get("/.well-known/jwks.json").answer().await.is(200).json();
        jwks["keys"].as_array().map_or(0, Vec::len)
    };
    eventually(BOUND, "both keys are published", async || count().await == 2).await;
    signet.clock.is_set_back(chrono::TimeDelta::hours(1));
    assert_eq!(count().await, 2);
}

fn is_rsa(file: &std::path::Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().contains("RS256"))
}

stories![
    a_rotated_secret_kills_the_old_one,
    what_is_named_changes_and_nothing_else,
    a_running_service_goes_by_the_change,
    a_client_changes_the_way_it_proves_itself,
];

stories_on![Sqlite:
    who_has_no_secret_gets_none,
    what_could_not_be_registered_is_refused_and_changes_nothing,
    a_client_that_comes_to_the_code_flow_brings_a_key,
    a_clock_that_is_set_back_hides_no_key,
];
