//! Introspection (RFC 7662): which client learns what about which token.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::harness::{
    Ask, Database, TestApp, TestEnvBuilder, days, eventually, jwt, seconds,
    statements::Statements,
    stories, stories_on,
    test_env::{Client, TestEnv},
};

const API: &str = "https://api.example";

/// A resource server: tokens for [`API`] are for it.
async fn api(env: &TestEnv) -> Client {
    env.registers_service(&["--audience", API]).await
}

/// Where people log in for [`API`].
async fn public_client(env: &TestEnv) -> Client {
    env.registers_public_client(&["--resource", API]).await
}

fn members(json: &Value) -> BTreeSet<&str> {
    json.as_object().expect("an object").keys().map(String::as_str).collect()
}

async fn nobody_is_told_without_proof(signet: TestApp) {
    let (api, public_client) = (api(&signet).await, public_client(&signet).await);
    let ada = signet.registers("ada").await;
    let (own, adas) = (api.gets_a_token(&signet.site).await, ada.logs_in_at(&public_client, &[]).await);
    for token in [&own.access, &adas.access, &adas.refresh] {
        let sends = async |more: &[(&str, &str)]| {
            let form = [&[("token", token.as_str())], more].concat();
            signet.site.post("/oauth/introspect").form(&form).answer().await
        };
        for more in [
            &[][..],                                                       // the built-in client is public,
            &[("client_id", public_client.id.as_str())],                   // and so is this one
            &[("client_id", api.id.as_str())],                             // no secret
            &[("client_id", api.id.as_str()), ("client_secret", "guess")], // a wrong one
            &[("client_id", "nobody"), ("client_secret", "guess")],
        ] {
            sends(more).await.refused("invalid_client");
        }
        let bearer = signet.site.post("/oauth/introspect").bearer_auth(token).form(&[("token", token)]);
        bearer.answer().await.refused("invalid_client"); // a token proves nobody's right to ask about it
    }
    api.posts(&signet.site, "/oauth/introspect", &[]).await.oauth_error(400, "invalid_request");
    signet.site.get("/oauth/introspect").answer().await.is(405);
}

async fn nobody_is_told_of_a_token_that_does_not_concern_them(signet: TestApp) {
    let (api, public_client, other) =
        (api(&signet).await, public_client(&signet).await, signet.registers_service(&[]).await);
    let near = signet.registers_service(&["--audience", "https://api.example/", "--audience", "https://api"]).await;
    let ada = signet.registers("ada").await;
    let for_api = ada.logs_in_at(&public_client, &[("resource", API)]).await;
    let for_us = ada.logs_in_at(&public_client, &[]).await;
    let own = other.gets_a_token(&signet.site).await;
    for stranger in [&other, &near] {
        stranger.introspects(&signet.site, &for_api.access).await.inactive();
        stranger.introspects(&signet.site, &for_us.access).await.inactive();
        stranger.introspects(&signet.site, &for_api.refresh).await.inactive();
    }
    near.introspects(&signet.site, &own.access).await.inactive();
    api.introspects(&signet.site, &for_us.access).await.inactive();
    api.introspects(&signet.site, &for_api.refresh).await.inactive(); // it is for the client alone, never the API
    api.introspects(&signet.site, &for_api.access).await.active();
}

async fn whatever_is_not_active_is_one_answer(signet: TestApp) {
    let other_origin = TestEnvBuilder::on(Database::Sqlite).open().await;
    let (api, public_client) = (api(&signet).await, public_client(&signet).await);
    let (stranger, eve) = (other_origin.registers_service(&[]).await, other_origin.registers("eve").await);
    let ada = signet.registers("ada").await;
    let live = ada.logs_in_at(&public_client, &[("resource", API)]).await;
    let ended = ada.logs_in_at(&public_client, &[("resource", API)]).await;
    public_client.revokes(&signet.site, &ended.refresh).await.is(200);
    let foreign = [stranger.gets_a_token(&other_origin.site).await.access, eve.logs_in().await.refresh];
    let list = signet.site.get("/oauth/status-lists/0").answer().await.is(200).text();
    let forged = jwt::with_claims(&live.access, &jwt::claims(&ended.access));
    let wrong_kind = jwt::with_header(&live.access, &json!({"typ": "rt+jwt", "alg": "ES256"}));
    let mut tokens = vec![ended.access.clone(), ended.refresh, list, forged, wrong_kind, live.access.to_lowercase()];
    tokens.extend(foreign);
    tokens.extend(["x", "a.b.c", "..", "\u{0}", "é"].map(str::to_owned));
    tokens.push("x".repeat(5000));
    tokens.push(format!("{} ", live.access));
    for token in &tokens {
        let answer = api.introspects(&signet.site, token).await;
        assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
        answer.inactive();
    }
    api.introspects(&signet.site, &live.access).await.active();
    signet.clock.advance(seconds(600));
    api.introspects(&signet.site, &live.access).await.inactive();
}

async fn a_refresh_token_is_told_to_its_own_client_while_it_is_the_live_one(signet: TestApp) {
    let options = ["--name", "Frontend", "--first-party", "--grant", "password", "--scope", "openid"];
    let (frontend, api) = (signet.registers_client(&options).await, api(&signet).await);
    let ada = signet.registers("ada").await;
    let first = ada.logs_in_at(&frontend, &[]).await;
    let json = frontend.introspects(&signet.site, &first.refresh).await.active();
    let claims = jwt::claims(&first.refresh);
    for member in ["sub", "exp", "iat", "iss", "jti", "client_id", "sid"] {
        assert_eq!(json[member], claims[member], "{member}");
    }
    assert_eq!((&json["scope"], &json["username"]), (&json!("openid"), &json!("ada")));
    assert!(json.get("token_type").is_none(), "it is no bearer token: {json}");
    api.introspects(&signet.site, &first.refresh).await.inactive();

    let second = frontend.refreshes(&signet.site, &first).await.granted();
    frontend.introspects(&signet.site, &first.refresh).await.inactive(); // rotated
    frontend.introspects(&signet.site, &second.refresh).await.active();
    signet.clock.advance(days(30));
    frontend.introspects(&signet.site, &second.refresh).await.inactive();
}

async fn a_users_token_is_told_to_the_api_that_it_is_for(signet: TestApp) {
    let (api, public_client) = (api(&signet).await, public_client(&signet).await);
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in_at(&public_client, &[("resource", API)]).await;
    let json = api.introspects(&signet.site, &tokens.access).await.active();
    let wanted = [
        "active",
        "scope",
        "client_id",
        "username",
        "token_type",
        "exp",
        "iat",
        "sub",
        "aud",
        "iss",
        "jti",
        "sid",
        "auth_time",
        "amr",
        "acr",
    ];
    assert_eq!(members(&json), BTreeSet::from(wanted));
    let claims = jwt::claims(&tokens.access);
    for member in ["sub", "exp", "iat", "iss", "jti", "client_id", "sid", "scope", "auth_time", "amr", "acr"] {
        assert_eq!(json[member], claims[member], "{member}");
    }
    assert_eq!((&json["sub"], &json["username"]), (&json!(ada.id), &json!("ada")));
    assert_eq!(json["token_type"], "Bearer");
    assert!(json["aud"] == API || json["aud"] == json!([API]), "{json}");
}

async fn a_clients_own_token_is_told_to_itself(signet: TestApp) {
    let service = signet.registers_service(&[]).await;
    let own = service.gets_a_token(&signet.site).await;
    let form = [("token", own.access.as_str()), ("token_type_hint", "refresh_token")]; // a wrong hint does not matter
    let json = service.posts(&signet.site, "/oauth/introspect", &form).await.active();
    let wanted = ["active", "scope", "client_id", "token_type", "exp", "iat", "sub", "aud", "iss", "jti"];
    assert_eq!(members(&json), BTreeSet::from(wanted));
    assert_eq!((&json["sub"], &json["scope"]), (&json!(service.id), &json!("read")));
}

async fn checking_a_token_takes_no_sql(builder: TestEnvBuilder) {
    let signet = builder.with_statements_counted().open().await;
    let (api, public_client) = (api(&signet).await, public_client(&signet).await);
    let ada = signet.registers("ada").await;
    let (tokens, own) = (ada.logs_in().await, api.gets_a_token(&signet.site).await);
    let for_api = ada.logs_in_at(&public_client, &[("resource", API)]).await;
    let statements = Statements::of(&signet).await;
    let checks = async || {
        signet.site.user_info(&tokens.access).await.is(200);
        api.introspects(&signet.site, &for_api.access).await.active();
        api.introspects(&signet.site, &own.access).await.active();
        api.introspects(&signet.site, &tokens.access).await.inactive();
    };
    checks().await;
    // Once a minute everything is read again, so that one time in a while something must be.
    eventually(Duration::from_secs(30), "fifty rounds pass without a statement", async || {
        statements.reset().await;
        for _ in 0..50 {
            checks().await;
        }
        let counted = statements.counted().await;
        assert!(counted.iter().all(|counted| counted.calls <= 2), "{counted:#?}");
        counted.is_empty()
    })
    .await;
}

/// Made-up ids cost a query in five seconds and a line in the log, up to a limit; good clients go on.
async fn strangers_cost_little(builder: TestEnvBuilder) {
    let builder = builder
        .set("rate_limits.enabled", "true")
        .set("rate_limits.token", "5/1m")
        .set("trusted_proxies", "127.0.0.1/32");
    let signet = builder.with_statements_counted().open().await;
    let (api, token) = (api(&signet).await, "anything");
    let from = async |address: &str, id: &str, secret: &str| {
        let request = signet.site.post("/oauth/introspect").header("X-Forwarded-For", address);
        request.basic_auth(id, Some(secret)).form(&[("token", token)]).answer().await
    };
    from("203.0.113.1", &api.id, &api.secret).await.is(200);
    let statements = Statements::of(&signet).await;
    statements.reset().await;
    for _ in 0..5 {
        from("203.0.113.9", "made-up", "guess").await.refused("invalid_client");
    }
    let looks = statements.counted().await.iter().map(|one| one.calls).sum::<i64>();
    assert!(looks <= 2, "{looks}");
    statements.reset().await;
    for n in 0..20 {
        let answer = from("203.0.113.9", &format!("made-up-{n}"), "guess").await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert_eq!(answer.header("retry-after"), "12");
    }
    from("203.0.113.9", &api.id, "guess").await.oauth_error(429, "temporarily_unavailable");
    assert_eq!(statements.counted().await, []);
    // A neighbour that authenticates well is served, and other networks are.
    // (A client that was just registered is read again for some seconds.)
    eventually(Duration::from_secs(30), "a good neighbour is served", async || {
        from("203.0.113.1", &api.id, &api.secret).await.is(200);
        from("203.0.113.9", &api.id, &api.secret).await.status == 200
    })
    .await;
    from("203.0.113.10", "made-up", "guess").await.refused("invalid_client");
    signet.clock.advance(seconds(12));
    from("203.0.113.9", "made-up", "guess").await.refused("invalid_client");
}

/// An id that no client had is asked for again once a client has it.
async fn a_client_that_is_made_meanwhile_is_known(signet: TestApp) {
    let asks = async |secret: &str| {
        let request = signet.site.post("/oauth/introspect").basic_auth("ledger", Some(secret));
        request.form(&[("token", "anything")]).answer().await.status
    };
    assert_eq!(asks("guess").await, 401);
    let options = ["--id", "ledger", "--audience", API];
    let ledger = signet.registers_service(&options).await;
    eventually(Duration::from_secs(5), "the client is known", async || asks(&ledger.secret).await == 200).await;
}

stories![
    a_client_that_is_made_meanwhile_is_known,
    whatever_is_not_active_is_one_answer,
    a_refresh_token_is_told_to_its_own_client_while_it_is_the_live_one
];

stories_on![Sqlite:
    nobody_is_told_without_proof,
    nobody_is_told_of_a_token_that_does_not_concern_them,
    a_users_token_is_told_to_the_api_that_it_is_for,
    a_clients_own_token_is_told_to_itself,
];

stories_on![Postgres: strangers_cost_little, checking_a_token_takes_no_sql];
