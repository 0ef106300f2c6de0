//! Logout notices to clients, delivered, refused or delayed (OIDC Back-Channel Logout
//! 1.0).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use entity::{job, session};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use signet::testing::Clock;

use crate::{
    harness::{
        Ask, NEW_PASSWORD, PASSWORD, Person, Site, TestApp, TestEnv, TestEnvBuilder, Tokens,
        browser_session::{BrowserSession, location},
        eventually, jwt,
        receiver::{Manner, Receiver},
        relying_party::RelyingParty,
        run, seconds,
        smtp::{Behaviour, Smtp},
        stories, stories_on,
        test_env::Client,
    },
    pruning::prune,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A first-party client with this back-channel logout URI.
async fn app(signet: &TestApp, receiver: &Receiver) -> RelyingParty {
    RelyingParty::registers_with(signet, &["--first-party", "--backchannel-logout-uri", &receiver.uri()]).await
}

/// A password-grant client with this back-channel logout URI.
async fn public_client(signet: &TestEnv, receiver: &Receiver) -> Client {
    signet.registers_public_client(&["--backchannel-logout-uri", &receiver.uri()]).await
}

/// How many notices wait.
async fn waiting(signet: &TestEnv) -> u64 {
    let waiting = job::Entity::find().filter(job::Column::Kind.eq("logout_notice"));
    waiting.count(&signet.store().await).await.expect("a number")
}

/// No notice waits any more.
async fn nothing_waits(signet: &TestEnv) {
    eventually(PATIENCE, "nothing waits", async || waiting(signet).await == 0).await;
}

/// The claims of a logout token, which is one of this service for this client, as the client sees it.
async fn verified(signet: &TestApp, client: &str, token: &str, algorithm: &str) -> Value {
    let header = jwt::header(token);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("logout+jwt"), &json!(algorithm)));
    let keys = signet.site.get("/.well-known/jwks.json").answer().await.json();
    let key = keys["keys"].as_array().expect("keys").iter().find(|key| key["kid"] == header["kid"]).expect("the key");
    let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).expect("a JWK");
    let (signing_input, signature) = token.rsplit_once('.').expect("a JWT");
    let algorithm: Algorithm = algorithm.parse().expect("an algorithm");
    let key = DecodingKey::from_jwk(&key).expect("a key");
    assert!(crypto::verify(signature, signing_input.as_bytes(), &key, algorithm).expect("it can be judged"), "{token}");
    assert!(BASE64_URL_SAFE_NO_PAD.decode(signature).is_ok());
    let claims = jwt::claims(token);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(signet.issuer), &json!(client)));
    let now = signet.clock.now().timestamp();
    let time = |name: &str| claims[name].as_i64().expect("a time");
    // It was signed before or after the story moved the clock.
    assert!((now - 300..=now).contains(&time("iat")) && time("exp") == time("iat") + 120, "{claims}");
    assert_eq!(claims["events"], json!({"http://schemas.openid.net/event/backchannel-logout": {}}));
    let members: Vec<&String> = claims.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["aud", "events", "exp", "iat", "iss", "jti", "sid", "sub"], "and no nonce");
    claims
}

async fn a_client_is_told_of_every_end_of_its_sessions(signet: TestApp) {
    let receiver = Receiver::starts().await;
    let app = app(&signet, &receiver).await;
    let mut ada = signet.registers("ada").await;
    let client = app.client.id.clone();
    let mut identifiers = BTreeSet::new();
    // One session at a time, each ended in another way.
    let ends = [
        "the browser's own logout",
        "the client's request",
        "revocation",
        "the list of sessions",
        "every session",
        "the password",
        "the operator",
        "a reused token",
        "another person",
        "disabling",
    ];
    for (notified, end) in ends.into_iter().enumerate() {
        let session_browser = BrowserSession::at(&signet);
        let (tokens, id_token) = app.logs_in(&session_browser, &ada).await;
        let own = ada.logs_in().await;
        match end {
            "the browser's own logout" => {
                let page = session_browser.opens("/logout").await.is(200);
                location(&session_browser.sends(&page, "/logout", &[]).await);
            }
            "the client's request" => {
                session_browser.opens(&format!("/oauth/logout?id_token_hint={id_token}")).await.is(200);
            }
            "revocation" => drop(app.client.revokes(&signet.site, &tokens.access).await.is(200)),
            "the list of sessions" => {
                let path = format!("/v1/sessions/{}", jwt::sid(&tokens.access));
                ada.sends(Method::DELETE, &path, &own, None).await.is(204);
            }
            "every session" => drop(ada.sends(Method::DELETE, "/v1/sessions", &own, None).await.is(204)),
            "the password" => {
                let new = if ada.password == PASSWORD { NEW_PASSWORD } else { PASSWORD };
                ada.changes_password(&own, new).await;
            }
            // Another process ends it; this one finds out by itself.
            "the operator" => drop(signet.runs(&["user", "revoke-sessions", "ada"]).await.well()),
            "a reused token" => {
                app.client.refreshes(&signet.site, &tokens).await.granted();
                signet.clock.advance(seconds(11));
                app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
            }
            "another person" => {
                signet.registers("grace").await;
                signet.clock.advance(seconds(1));
                session_browser
                    .logs_in_at(
                        &location(&session_browser.opens(&app.link(&[("prompt", "login")])).await),
                        "grace",
                        PASSWORD,
                    )
                    .await;
            }
            "disabling" => drop(signet.runs(&["user", "disable", "ada"]).await.well()),
            other => panic!("{other}"),
        }
        // A command's clock runs while the service's stands still.
        signet.clock.advance(seconds(300));
        let tokens_sent = receiver.waits_for(notified + 1).await;
        assert_eq!(tokens_sent.len(), notified + 1, "{end}: {tokens_sent:?}");
        let claims = verified(&signet, &client, &tokens_sent[notified], "RS256").await;
        assert_eq!((&claims["sub"], &claims["sid"]), (&json!(ada.id), &json!(jwt::sid(&tokens.access))), "{end}");
        assert!(identifiers.insert(claims["jti"].as_str().expect("a jti").to_owned()), "{end}");
    }
    assert!(receiver.requests().iter().all(|line| line == "post /notices?of=logouts http/1.1"));
    nothing_waits(&signet).await;
}

/// Taken back on the account's page, deleted with the account, and ended with the client.
async fn a_client_is_told_when_nobody_wants_it_any_more(signet: TestApp) {
    let receiver = Receiver::starts().await;
    let app = RelyingParty::registers_with(&signet, &["--backchannel-logout-uri", &receiver.uri()]).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    let page = session_browser.opens("/account/apps").await.is(200);
    session_browser.sends(&page, "/account/apps", &[("client", &app.client.id)]).await.is(303);
    let claims = verified(&signet, &app.client.id, &receiver.waits_for(1).await[0], "RS256").await;
    assert_eq!(claims["sid"], jwt::sid(&tokens.access));
    let (tokens, _) = app.logs_in(&session_browser, &ada).await;
    let page = session_browser.opens("/account/delete").await.is(200);
    session_browser.sends(&page, "/account/delete", &[("password", PASSWORD)]).await.is(200);
    let claims = verified(&signet, &app.client.id, &receiver.waits_for(2).await[1], "RS256").await;
    assert_eq!((&claims["sid"], &claims["sub"]), (&json!(jwt::sid(&tokens.access)), &json!(ada.id)));
    nothing_waits(&signet).await;
}

async fn a_client_that_is_gone_or_does_not_ask_is_told_nothing(signet: TestApp) {
    let receiver = Receiver::starts().await;
    let (asks, asks_not) = (app(&signet, &receiver).await, RelyingParty::registers_first_party(&signet).await);
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    asks_not.logs_in(&session_browser, &ada).await;
    let own = ada.logs_in().await;
    ada.logs_out(&own).await;
    let page = session_browser.opens("/logout").await.is(200);
    session_browser.sends(&page, "/logout", &[]).await.is(303);
    assert_eq!(waiting(&signet).await, 0);
    // A client deleted while its notices wait, with its sessions.
    receiver.behaves(Manner::Answers(503));
    asks.logs_in(&BrowserSession::at(&signet), &ada).await;
    let (tokens, _) = asks.logs_in(&BrowserSession::at(&signet), &ada).await;
    asks.client.revokes(&signet.site, &tokens.refresh).await.is(200);
    receiver.waits_for(1).await;
    signet.runs(&["client", "delete", &asks.client.id]).await.well();
    receiver.behaves(Manner::Good);
    // The service forgets the client when it learns of it, and that is within a second.
    eventually(PATIENCE, "the client is forgotten", async || {
        asks.client.refreshes(&signet.site, &tokens).await.status == 401
    })
    .await;
    signet.clock.advance(seconds(10));
    nothing_waits(&signet).await;
    assert_eq!(receiver.tokens().len(), 1, "{:?}", receiver.requests());
}

async fn a_client_that_does_not_take_it_is_told_again(signet: TestApp) {
    let (receiver, trap) = (Receiver::starts().await, Receiver::starts().await);
    let public_client = public_client(&signet, &receiver).await;
    let ada = signet.registers("ada").await;
    for manner in
        [Manner::Answers(500), Manner::Answers(401), Manner::Answers(302), Manner::Redirects(trap.uri()), Manner::Drops]
    {
        let begin = receiver.tokens().len();
        receiver.behaves(manner.clone());
        let tokens = ada.logs_in_at(&public_client, &[]).await;
        public_client.revokes(&signet.site, &tokens.access).await.is(200);
        let first = receiver.waits_for(begin + 1).await[begin].clone();
        receiver.behaves(Manner::Good);
        // Each time with a token of this time.
        eventually(PATIENCE, "it is told again", async || {
            signet.clock.advance(seconds(1));
            waiting(&signet).await == 0
        })
        .await;
        assert!(receiver.tokens().len() > begin + 1, "{manner:?}");
        let last = receiver.tokens().pop().expect("some");
        let (first, last) = (jwt::claims(&first), jwt::claims(&last));
        assert_eq!((&first["sid"], &last["sid"]), (&json!(jwt::sid(&tokens.access)), &first["sid"]), "{manner:?}");
        assert!(first["jti"] != last["jti"] && first["iat"].as_i64() < last["iat"].as_i64(), "{first} {last}");
    }
    assert!(trap.requests().is_empty(), "a redirect is followed nowhere: {:?}", trap.requests());
}

/// Other clients do not wait for it, and its endless answer is not read.
async fn a_client_that_stalls_or_floods_holds_up_no_other(signet: TestApp) {
    let (stuck, good) = (Receiver::starts().await, Receiver::starts().await);
    let (bad, fine) = (public_client(&signet, &stuck).await, public_client(&signet, &good).await);
    let ada = signet.registers("ada").await;
    stuck.behaves(Manner::Stalls);
    // Far more than are sent at a time: one after the other, ten seconds each, they would take most of a minute.
    for _ in 0..64 {
        ada.logs_in_at(&bad, &[]).await;
    }
    let own = ada.logs_in().await;
    ada.sends(Method::DELETE, "/v1/sessions", &own, None).await.is(204);
    stuck.waits_for(1).await;
    // It comes after them all.
    signet.clock.advance(seconds(1));
    let tokens = ada.logs_in_at(&fine, &[]).await;
    fine.revokes(&signet.site, &tokens.access).await.is(200);
    let claims = verified(&signet, &fine.id, &good.waits_for(1).await[0], "ES256").await;
    assert_eq!(claims["sid"], jwt::sid(&tokens.access));
    // The row of a notice is deleted after its answer.
    eventually(Duration::from_mins(1), "the others still wait for their client", async || waiting(&signet).await == 64)
        .await;
    stuck.behaves(Manner::Floods);
    eventually(Duration::from_mins(1), "the flood counts as an answer", async || {
        signet.clock.advance(seconds(5));
        waiting(&signet).await == 0
    })
    .await;
    let notified: BTreeSet<String> = stuck.tokens().iter().map(|token| jwt::sid(token)).collect();
    assert_eq!(notified.len(), 64);
}

async fn after_an_hour_it_is_given_up(signet: TestApp) {
    let receiver = Receiver::starts().await;
    let public_client = public_client(&signet, &receiver).await;
    let ada = signet.registers("ada").await;
    receiver.behaves(Manner::Answers(500));
    let tokens = ada.logs_in_at(&public_client, &[]).await;
    public_client.revokes(&signet.site, &tokens.access).await.is(200);
    receiver.waits_for(1).await;
    assert_eq!(waiting(&signet).await, 1);
    signet.clock.advance(seconds(3600));
    nothing_waits(&signet).await;
    assert_eq!(receiver.tokens().len(), 2, "it was tried once more");
}

/// The client has read the notice and refuses it for good (§2.8).
async fn a_client_that_refuses_it_is_not_told_again(signet: TestApp) {
    let receiver = Receiver::starts().await;
    let public_client = public_client(&signet, &receiver).await;
    let ada = signet.registers("ada").await;
    receiver.behaves(Manner::Answers(400));
    let tokens = ada.logs_in_at(&public_client, &[]).await;
    public_client.revokes(&signet.site, &tokens.access).await.is(200);
    nothing_waits(&signet).await;
    signet.clock.advance(seconds(3600));
    // The next one is told: nothing came in between.
    receiver.behaves(Manner::Good);
    let tokens = ada.logs_in_at(&public_client, &[]).await;
    public_client.revokes(&signet.site, &tokens.access).await.is(200);
    nothing_waits(&signet).await;
    assert_eq!(receiver.tokens().len(), 2, "{:?}", receiver.requests());
}

/// The browser stays logged in; the client got no refresh token, or did not use it.
async fn a_client_is_told_however_long_it_was_idle(builder: TestEnvBuilder) {
    let signet = builder.set("refresh_token_ttl", "1h").set("session_ttl", "12h").open().await;
    let receiver = Receiver::starts().await;
    let app = app(&signet, &receiver).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (tokens, id_token) = app.logs_in(&session_browser, &ada).await;
    let prune = prune(&signet, Arc::new(signet.clock.clone()), TimeDelta::hours(1)).await;
    for _ in 0..6 {
        signet.clock.advance(seconds(2400));
        session_browser.opens("/account").await.is(200);
        prune.once().await.expect("the database answers");
    }
    // It is idle, as it was.
    app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
    session_browser.opens(&format!("/oauth/logout?id_token_hint={id_token}")).await.is(200);
    let told = receiver.waits_for(1).await;
    let claims = verified(&signet, &app.client.id, &told[0], "RS256").await;
    assert_eq!(claims["sid"], jwt::sid(&tokens.access));
    // With the login its sessions go.
    nothing_waits(&signet).await;
    signet.clock.advance(seconds(13 * 3600));
    prune.once().await.expect("the database answers");
    assert_eq!(session::Entity::find().count(&signet.store().await).await.expect("a number"), 0);
}

/// Each kind of job has workers of its own.
async fn a_client_that_stalls_holds_up_no_mail_and_a_mail_server_no_client(mut signet: TestApp) {
    let (smtp, receiver) = (Smtp::start(), Receiver::starts().await);
    signet.restart_with(&[("smtp_url", &smtp.url())]).await;
    let client = public_client(&signet, &receiver).await;
    let ada = signet.registers("ada").await;
    let registers = async |name: String| {
        let body = json!({"username": name, "password": PASSWORD, "email": format!("{name}@example.org")});
        signet.site.post("/v1/users").json(&body).answer().await.is(201);
    };
    // More of both than are sent at a time.
    receiver.behaves(Manner::Stalls);
    for _ in 0..32 {
        ada.logs_in_at(&client, &[]).await;
    }
    let own = ada.logs_in().await;
    ada.sends(Method::DELETE, "/v1/sessions", &own, None).await.is(204);
    receiver.waits_for(1).await;
    registers("one".to_owned()).await;
    smtp.waits_for(1).await;
    smtp.behaves(Behaviour::Stalls("DATA"));
    for n in 0..8 {
        registers(format!("stuck{n}")).await;
    }
    receiver.behaves(Manner::Good);
    let begin = receiver.tokens().len();
    signet.clock.advance(seconds(60));
    let tokens = ada.logs_in_at(&client, &[]).await;
    client.revokes(&signet.site, &tokens.access).await.is(200);
    let sid = jwt::sid(&tokens.access);
    eventually(PATIENCE, "it is told", async || {
        // Behind those that fail at last, and are tried again.
        signet.clock.advance(seconds(1));
        receiver.tokens()[begin..].iter().any(|token| jwt::sid(token) == sid)
    })
    .await;
    assert_eq!(smtp.mails().len(), 1);
    smtp.behaves(Behaviour::Good);
}

/// More sessions than one statement writes down.
async fn many_ends_at_once_are_all_told(signet: TestApp) {
    let receiver = Receiver::starts().await;
    let public_client = public_client(&signet, &receiver).await;
    let ada = signet.registers("ada").await;
    let mut sessions = BTreeSet::new();
    for _ in 0..520 {
        sessions.insert(jwt::sid(&ada.logs_in_at(&public_client, &[]).await.access));
    }
    let own = ada.logs_in().await;
    ada.sends(Method::DELETE, "/v1/sessions", &own, None).await.is(204);
    eventually(Duration::from_mins(2), "all are told", async || waiting(&signet).await == 0).await;
    let notified: BTreeSet<String> = receiver.tokens().iter().map(|token| jwt::sid(token)).collect();
    assert_eq!(notified, sessions);
}

async fn two_replicas_tell_it_once(signet: TestApp) {
    let replica = signet.replica().await;
    let receiver = Receiver::starts().await;
    let public_client = public_client(&signet, &receiver).await;
    let ada = signet.registers("ada").await;
    for _ in 0..30 {
        let tokens = ada.logs_in_at(&public_client, &[]).await;
        public_client.revokes(&replica.site, &tokens.access).await.is(200);
    }
    nothing_waits(&signet).await;
    assert_eq!(receiver.tokens().len(), 30);
    replica.stop().await;
}

/// The process is killed while it sends a notice: the next process sends it again.
async fn a_crash_loses_no_log_out(mut env: TestEnv) {
    let listen = format!("127.0.0.1:{}", run::free_port());
    env.set("issuer", &format!("http://{listen}"));
    let receiver = Receiver::starts().await;
    let process = env.serves(&[("listen", &listen)]).ready().await;
    let public_client = public_client(&env, &receiver).await;
    let ada = Person::registers(&process.site, "ada").await;
    receiver.behaves(Manner::Stalls);
    let tokens = ada.logs_in_at(&public_client, &[]).await;
    ends(&public_client, &process.site, &tokens).await;
    receiver.waits_for(1).await;
    process.signal("KILL");
    process.ends().await;
    assert_eq!(waiting(&env).await, 1);
    receiver.behaves(Manner::Good);
    let process = env.serves(&[("listen", &listen)]).ready().await;
    eventually(Duration::from_mins(1), "it is told again", async || waiting(&env).await == 0).await;
    let notified = receiver.tokens();
    let (first, last) = (jwt::claims(&notified[0]), jwt::claims(notified.last().expect("some")));
    assert_eq!(first["sid"], last["sid"]);
    assert!(notified.len() >= 2 && first["jti"] != last["jti"], "{notified:?}");
    // No logout token is in a log.
    let log = process.whole_log().await;
    assert!(!log.contains(&notified[0]) && !log.contains(&jwt::sid(&tokens.access)));
    process.signal("TERM");
    process.ends().await.well();
}

async fn ends(client: &Client, site: &Site, tokens: &Tokens) {
    client.revokes(site, &tokens.access).await.is(200);
}

stories![
    a_client_is_told_of_every_end_of_its_sessions,
    a_client_is_told_when_nobody_wants_it_any_more,
    a_client_that_is_gone_or_does_not_ask_is_told_nothing,
    a_client_that_does_not_take_it_is_told_again,
    a_client_that_stalls_or_floods_holds_up_no_other,
    a_client_is_told_however_long_it_was_idle,
    a_client_that_refuses_it_is_not_told_again,
    a_client_that_stalls_holds_up_no_mail_and_a_mail_server_no_client,
    after_an_hour_it_is_given_up,
    many_ends_at_once_are_all_told,
    a_crash_loses_no_log_out,
];
stories_on![Postgres: two_replicas_tell_it_once];
