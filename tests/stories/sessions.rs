//! Sessions of the JSON API: begun, listed, refreshed, ended.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Ask, PASSWORD, Person, Site, TestApp, Tokens, jwt, seconds, stories, stories_on};

/// Refreshes through the JSON API.
async fn refreshes(site: &Site, token: &str) -> Answer {
    site.post("/v1/sessions/refresh").json(&json!({"refresh_token": token})).answer().await
}

/// The JSON API refuses the refresh token: as credentials that are not good, without a word why.
fn is_refused(answer: Answer) {
    let answer = answer.blames_the_sender();
    assert!([400, 401].contains(&answer.status), "{answer:?}");
    let status = answer.status;
    answer.some_problem(status);
}

async fn unknown_and_wrong_are_one_answer(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let nobody = Person { username: "nobody".into(), ..ada.clone() };
    let wrong = ada.tries_a_session("wrong guess 12").await.problem(401, "invalid_credentials");
    let unknown = nobody.tries_a_session(PASSWORD).await.problem(401, "invalid_credentials");
    assert_eq!(wrong.json(), unknown.json());
    let wrong = ada.tries("wrong guess 12").await.oauth_error(400, "invalid_grant");
    let unknown = nobody.tries(PASSWORD).await.oauth_error(400, "invalid_grant");
    assert_eq!(wrong.json(), unknown.json());
}

async fn nonsense_is_refused_and_never_breaks_anything(signet: TestApp) {
    for body in [
        json!({}),
        json!([]),
        json!("ada"),
        json!({"username": 5, "password": 5}),
        json!({"username": "ada"}),
        json!({"username": null, "password": null}),
        json!({"username": "a\u{0}da", "password": PASSWORD}),
        json!({"username": "ada", "password": "\u{0}"}),
        json!({"username": "", "password": ""}),
        json!({"username": "x".repeat(50_000), "password": PASSWORD}),
        json!({"username": "nobody@example.org", "password": PASSWORD}),
    ] {
        signet.site.post("/v1/sessions").json(&body).answer().await.blames_the_sender();
    }
    for body in [json!({}), json!({"refresh_token": 5}), json!({"refresh_token": null}), json!([])] {
        signet.site.post("/v1/sessions/refresh").json(&body).answer().await.blames_the_sender();
    }
    for token in ["", ".", "..", "a.b.c", "\u{0}", &"x".repeat(5000)] {
        refreshes(&signet.site, token).await.blames_the_sender();
    }
}

async fn a_log_in_gives_a_session(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let answer = ada.tries_a_session(PASSWORD).await.is(200);
    let json = answer.json();
    let members: BTreeSet<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    let wanted = ["access_token", "token_type", "expires_in", "refresh_token", "scope", "user_id", "session_id"];
    assert_eq!(members, BTreeSet::from(wanted));
    assert_eq!((&json["token_type"], &json["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert_eq!(json["user_id"], ada.id);
    assert_eq!(json["session_id"], jwt::claims(&answer.string("access_token"))["sid"]);
    assert!(answer.header("cache-control").contains("no-store"));
    ada.is_let_in(&answer.granted()).await;
}

async fn a_refresh_rotates_here_as_it_does_there(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let first = ada.tries_a_session(PASSWORD).await.granted();
    let answer = refreshes(&signet.site, &first.refresh).await.is(200);
    assert_eq!(answer.string("user_id"), ada.id);
    assert_eq!(answer.string("session_id"), jwt::claims(&first.access)["sid"]);
    let second = answer.granted();
    assert_ne!(first.refresh, second.refresh);
    let third = ada.refreshes(&second).await.granted(); // one kind of token, two doors

    signet.clock.advance(seconds(11));
    is_refused(refreshes(&signet.site, &second.refresh).await);
    is_refused(refreshes(&signet.site, &third.refresh).await);
    ada.is_shut_out(&third).await;
}

async fn an_access_token_is_no_refresh_token(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    is_refused(refreshes(&signet.site, &tokens.access).await);
    ada.refreshes(&Tokens { refresh: tokens.access.clone(), ..tokens.clone() }).await.refused("invalid_grant");
    signet.site.user_info(&tokens.refresh).await.challenges(401, "invalid_token");
    ada.is_let_in(&tokens).await;
    ada.refreshes(&tokens).await.granted();
}

async fn a_log_out_holds_at_once(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let (here, there) = (ada.logs_in().await, ada.logs_in().await);
    ada.logs_out(&here).await;
    ada.is_shut_out(&here).await;
    ada.refreshes(&here).await.refused("invalid_grant");
    is_refused(refreshes(&signet.site, &here.refresh).await);
    ada.sends(Method::DELETE, "/v1/sessions/current", &here, None).await.challenges(401, "invalid_token");
    ada.is_let_in(&there).await;
    ada.refreshes(&there).await.granted();
}

async fn a_log_out_holds_for_every_token_of_the_session(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let first = ada.logs_in().await;
    let second = ada.refreshes(&first).await.granted();
    ada.logs_out(&first).await;
    ada.is_shut_out(&second).await;
    ada.refreshes(&second).await.refused("invalid_grant");
}

async fn a_log_out_survives_a_restart(mut signet: TestApp) {
    let ada = signet.registers("ada").await;
    let (ended, live) = (ada.logs_in().await, ada.logs_in().await);
    ada.logs_out(&ended).await;
    signet.restart().await;
    ada.is_shut_out(&ended).await;
    ada.is_let_in(&live).await;
}

async fn a_log_out_holds_for_refreshes_at_every_replica(signet: TestApp) {
    let replica = signet.replica().await;
    let ada = signet.registers("ada").await;
    let (ended, live) = (ada.logs_in().await, ada.logs_in().await);
    let ada_there = ada.at(&replica.site);
    ada_there.is_let_in(&ended).await;
    ada.logs_out(&ended).await;
    ada_there.refreshes(&ended).await.refused("invalid_grant"); // the row decides, at once
    ada_there.refreshes(&live).await.granted();
    replica.stop().await;
}

async fn sessions_are_listed_to_their_owner(signet: TestApp) {
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    bob.logs_in().await;
    let body = json!({"username": "ada", "password": PASSWORD});
    let laptop = signet.site.post("/v1/sessions").header("user-agent", "laptop").json(&body).answer().await.granted();
    let phone = signet.site.post("/v1/sessions").header("user-agent", "phone").json(&body).answer().await.granted();
    let sessions = ada.sessions(&phone).await;
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    for session in &sessions {
        let current = session["id"] == jwt::claims(&phone.access)["sid"];
        let members = session.as_object().expect("an object");
        for member in ["id", "created_at", "last_used_at", "client_id", "user_agent", "ip", "current"] {
            assert!(members.contains_key(member), "no {member}: {session}");
        }
        assert_eq!(session["current"], current);
        assert_eq!(session["user_agent"], if current { "phone" } else { "laptop" });
        assert_eq!(session["ip"], "127.0.0.1");
        assert_eq!(session["client_id"], "first-party");
    }
    ada.logs_out(&laptop).await;
    assert_eq!(ada.sessions(&phone).await.len(), 1);
    signet.site.get("/v1/sessions").answer().await.asks_for_a_token();
}

async fn nobody_ends_a_session_of_somebody_else(signet: TestApp) {
    let (ada, eve) = (signet.registers("ada").await, signet.registers("eve").await);
    let (adas, eves) = (ada.logs_in().await, eve.logs_in().await);
    let sid = jwt::claims(&adas.access)["sid"].as_str().expect("a sid").to_owned();
    // Whether there is such a session is nobody's business: the same answer as for one that never was.
    let theirs = eve.sends(Method::DELETE, &format!("/v1/sessions/{sid}"), &eves, None).await.some_problem(404);
    let none = "/v1/sessions/018f0000-0000-7000-8000-000000000000";
    let nobodys = eve.sends(Method::DELETE, none, &eves, None).await.some_problem(404);
    assert_eq!(theirs.json()["code"], nobodys.json()["code"]);
    for id in ["x", "%00", "%ff", "..%2f..", "018f0000"] {
        eve.sends(Method::DELETE, &format!("/v1/sessions/{id}"), &eves, None).await.blames_the_sender();
    }
    ada.is_let_in(&adas).await;
    ada.refreshes(&adas).await.granted();
}

async fn a_session_is_ended_by_its_id(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let (here, lost) = (ada.logs_in().await, ada.logs_in().await);
    let sid = jwt::claims(&lost.access)["sid"].as_str().expect("a sid").to_owned();
    ada.sends(Method::DELETE, &format!("/v1/sessions/{sid}"), &here, None).await.is(204);
    ada.is_shut_out(&lost).await;
    ada.refreshes(&lost).await.refused("invalid_grant");
    ada.is_let_in(&here).await;
}

async fn all_sessions_end_together(signet: TestApp) {
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let (here, there, bobs) = (ada.logs_in().await, ada.logs_in().await, bob.logs_in().await);
    ada.sends(Method::DELETE, "/v1/sessions", &here, None).await.is(204);
    for tokens in [&here, &there] {
        ada.is_shut_out(tokens).await;
        ada.refreshes(tokens).await.refused("invalid_grant");
    }
    bob.is_let_in(&bobs).await;
    assert_ne!(ada.sessions(&ada.logs_in().await).await, Vec::<Value>::new());
}

stories![
    nonsense_is_refused_and_never_breaks_anything,
    a_log_in_gives_a_session,
    a_refresh_rotates_here_as_it_does_there,
    a_log_out_holds_at_once,
    a_log_out_holds_for_every_token_of_the_session,
    a_log_out_survives_a_restart,
    sessions_are_listed_to_their_owner,
    nobody_ends_a_session_of_somebody_else,
    a_session_is_ended_by_its_id,
    all_sessions_end_together,
];

stories_on![Sqlite: unknown_and_wrong_are_one_answer, an_access_token_is_no_refresh_token];

stories_on![Postgres: a_log_out_holds_for_refreshes_at_every_replica];
