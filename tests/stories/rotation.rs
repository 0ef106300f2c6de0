//! Refresh token rotation, and the cost of a refresh.

use std::time::Duration;

use entity::session::{Entity, Model};
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{
    Answer, Ask, Durability, PASSWORD, Person, TestApp, TestEnvBuilder, Tokens, days, eventually, jwt, seconds,
    statements::Statements, stories, stories_on, test_env::TestEnv,
};

/// Refreshes so many times; the clock stands still. All the session's tokens, oldest first.
async fn rotates(person: &Person, times: usize) -> Vec<Tokens> {
    let mut all = vec![person.logs_in().await];
    for _ in 0..times {
        all.push(person.refreshes(&all[all.len() - 1]).await.granted());
    }
    all
}

/// The session's row.
async fn row(env: &TestEnv, tokens: &Tokens) -> Model {
    let sid = Uuid::parse_str(&jwt::sid(&tokens.access)).expect("a UUID");
    Entity::find_by_id(sid).one(&env.store().await).await.expect("the database answers").expect("the row is there")
}

async fn every_token_but_the_last_two_is_a_theft_at_once(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let mut other = ada.logs_in().await;
    for stolen in 0..4 {
        let all = rotates(&ada, 5).await;
        ada.refreshes(&all[stolen]).await.refused("invalid_grant");
        for tokens in &all {
            ada.is_logged_out(tokens).await;
        }
        other = ada.is_logged_in(&other).await;
    }
}

async fn the_token_before_the_last_is_a_theft_once_the_grace_is_over(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let other = ada.logs_in().await;
    let all = rotates(&ada, 5).await;
    signet.clock.advance(seconds(10)); // not one moment longer than the grace
    ada.refreshes(&all[4]).await.refused("invalid_grant");
    ada.is_logged_out(&all[5]).await;
    ada.is_logged_in(&other).await;
}

async fn a_theft_is_a_theft_whatever_it_asks_for(signet: TestApp) {
    let ada = signet.registers("ada").await;
    for scope in ["openid", "admin"] {
        let all = rotates(&ada, 3).await;
        ada.refreshes_for(&all[0], scope).await.refused("invalid_grant");
        ada.is_logged_out(&all[3]).await;
    }
    let all = rotates(&ada, 3).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", all[0].refresh.as_str())];
    let other_origin = [("resource", "https://other.example")];
    signet.site.token(&[&form[..], &other_origin].concat()).answer().await.refused("invalid_grant");
    ada.is_logged_out(&all[3]).await;
}

async fn a_repeat_gives_no_more_time(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let all = rotates(&ada, 1).await;
    let before = row(&signet, &all[0]).await;
    signet.clock.advance(seconds(9));
    let again = ada.refreshes(&all[0]).await.granted();
    let claims = |tokens: &Tokens| jwt::claims(&tokens.refresh);
    assert_eq!((&claims(&again)["jti"], &claims(&again)["exp"]), (&claims(&all[1])["jti"], &claims(&all[1])["exp"]));
    assert_eq!(row(&signet, &all[0]).await, before, "a repeat writes nothing");
    signet.clock.advance(seconds(1));
    ada.refreshes(&all[0]).await.refused("invalid_grant"); // the grace counts from the rotation, not from the repeat
}

async fn a_thief_with_another_client_leaves_no_trace(signet: TestApp) {
    let (public_client, service) = (signet.registers_public_client(&[]).await, signet.registers_service(&[]).await);
    let ada = signet.registers("ada").await;
    let all = rotates(&ada, 2).await;
    let before = row(&signet, &all[0]).await;
    let named = [("client_id", service.id.as_str())];
    for stolen in &all {
        public_client.refreshes(&signet.site, stolen).await.refused("invalid_grant");
        public_client.revokes(&signet.site, &stolen.refresh).await.refused("invalid_grant");
        service.refreshes(&signet.site, stolen).await.blames_the_sender(); // it lacks the grant as well
        let form = [("grant_type", "refresh_token"), ("refresh_token", stolen.refresh.as_str())];
        let answer = signet.site.token(&[&form[..], &named].concat()).answer().await;
        answer.refused("invalid_client"); // it has a secret, and did not show it
    }
    assert_eq!(row(&signet, &all[0]).await, before);
    ada.is_logged_in(&all[2]).await;
}

async fn what_is_refused_uses_nothing_up(signet: TestApp) {
    let public_client = signet.registers_public_client(&["--resource", "https://api.example", "--scope", "read"]).await;
    let ada = signet.registers("ada").await;
    let first = ada.logs_in_at(&public_client, &[("resource", "https://api.example"), ("scope", "read")]).await;
    let before = row(&signet, &first).await;
    let asks = async |tokens: &Tokens, name, value| -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str()), (name, value)];
        public_client.posts(&signet.site, "/oauth/token", &form).await
    };
    asks(&first, "scope", "read openid").await.refused("invalid_scope"); // the client may, the session may not
    asks(&first, "scope", "root").await.refused("invalid_scope");
    asks(&first, "resource", "https://other.example").await.refused("invalid_target");
    asks(&first, "resource", &signet.issuer).await.refused("invalid_target");
    asks(&first, "resource", "https://api.example/x").await.refused("invalid_target");
    asks(&first, "resource", "not a uri").await.refused("invalid_target");
    assert_eq!(row(&signet, &first).await, before);
    let second = asks(&first, "resource", "https://api.example").await.granted();
    assert_eq!(jwt::claims(&second.access)["aud"], "https://api.example");
    asks(&second, "scope", "read").await.granted();
}

async fn a_narrow_scope_is_for_one_access_token(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let narrow = ada.refreshes_for(&first, "profile").await.granted();
    assert_eq!(narrow.scope, "profile");
    let again = ada.refreshes_for(&first, "email").await.granted(); // the lost answer may be asked for differently
    assert_eq!(again.scope, "email");
    assert_eq!(jwt::claims(&again.access)["scope"], "email");
    assert_eq!(again.refresh, narrow.refresh);
    assert_eq!(ada.refreshes(&again).await.granted().scopes(), first.scopes());
}

async fn no_token_outlives_its_session(builder: TestEnvBuilder) {
    let signet = builder.set("session_ttl", "1h").set("refresh_token_ttl", "1h").open().await;
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let end = jwt::claims(&first.refresh)["exp"].as_i64().expect("a time");
    signet.clock.advance(seconds(3600 - 60));
    let second = ada.refreshes(&first).await.granted();
    assert_eq!(jwt::claims(&second.refresh)["exp"], end);
    assert_eq!(jwt::claims(&second.access)["exp"], end);
    assert_eq!(ada.sessions(&second).await.len(), 1);
    signet.clock.advance(seconds(61));
    ada.is_logged_out(&second).await;
    ada.refreshes(&first).await.refused("invalid_grant");
    assert_eq!(ada.sessions(&ada.logs_in().await).await.len(), 1, "what has ended is not listed");
}

async fn idle_time_begins_again_with_each_use_and_ends_with_the_session(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let mut tokens = ada.logs_in().await;
    for _ in 0..3 {
        signet.clock.advance(days(30) - seconds(1));
        tokens = ada.refreshes(&tokens).await.granted();
    }
    signet.clock.advance(seconds(3)); // 90 days in all
    ada.refreshes(&tokens).await.refused("invalid_grant");
    let unused = ada.logs_in().await;
    signet.clock.advance(days(30));
    ada.refreshes(&unused).await.refused("invalid_grant");
}

/// Our failures are 503 at every endpoint, for every token.
async fn trouble_is_never_a_refusal(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let ada = signet.registers("ada").await;
    let (good, stolen) = (rotates(&ada, 1).await, rotates(&ada, 3).await);
    signet.cluster().stop();
    join_all([&good[0], &good[1], &stolen[0], &stolen[3]].map(async |tokens| {
        let body = json!({"refresh_token": tokens.refresh});
        let (as_usual, narrowed, json) = tokio::join!(
            ada.refreshes(tokens),
            ada.refreshes_for(tokens, "openid"),
            signet.site.post("/v1/sessions/refresh").json(&body).answer(),
        );
        as_usual.unavailable().oauth_error(503, "temporarily_unavailable");
        narrowed.unavailable().oauth_error(503, "temporarily_unavailable");
        json.unavailable().some_problem(503);
    }))
    .await;
    signet.cluster().start();
    eventually(Duration::from_secs(30), "it is ready again", async || {
        signet.site.get("/readyz").answer().await.status == 200
    })
    .await;
    ada.is_logged_in(&good[1]).await;
    ada.refreshes(&stolen[0]).await.refused("invalid_grant");
    ada.is_logged_out(&stolen[3]).await;
}

async fn a_refresh_is_one_statement(builder: TestEnvBuilder) {
    const TIMES: usize = 50;
    let signet = builder.with_statements_counted().open().await;
    let ada = signet.registers("ada").await;
    let statements = Statements::of(&signet).await;
    let tokens = rotates(&ada, 3).await.pop().expect("some");
    statements.reset().await;
    let mut tokens = tokens;
    for _ in 0..TIMES {
        tokens = ada.refreshes(&tokens).await.granted();
    }
    let counted = statements.counted().await;
    let [only] = &counted[..] else { panic!("more than one: {counted:#?}") };
    assert!(only.query.starts_with("UPDATE \"session\""), "{only:?}");
    assert_eq!(only.calls, i64::try_from(TIMES).expect("few"), "{only:?}");

    statements.reset().await;
    let body = json!({"username": "ada", "password": PASSWORD});
    signet.site.post("/v1/sessions").json(&body).answer().await.is(200);
    let counted = statements.counted().await;
    let writes: Vec<_> = counted.iter().filter(|counted| !counted.query.starts_with("SELECT")).collect();
    assert!(matches!(writes[..], [only] if only.query.starts_with("INSERT INTO \"session\"")), "{counted:#?}");
}

stories![
    every_token_but_the_last_two_is_a_theft_at_once,
    the_token_before_the_last_is_a_theft_once_the_grace_is_over,
    a_theft_is_a_theft_whatever_it_asks_for,
    a_repeat_gives_no_more_time,
    a_thief_with_another_client_leaves_no_trace,
    what_is_refused_uses_nothing_up,
    a_narrow_scope_is_for_one_access_token,
    no_token_outlives_its_session,
    idle_time_begins_again_with_each_use_and_ends_with_the_session,
];

stories_on![Postgres: trouble_is_never_a_refusal, a_refresh_is_one_statement];
