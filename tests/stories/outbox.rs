//! The outbox: no failure loses an email or delays a request.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use entity::job::{Column, Entity, Model};
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use crate::harness::{
    Ask, NEW_PASSWORD, PASSWORD, Person, Site, TestApp, TestEnv, days, eventually,
    inbox::{Inbox, VERIFY},
    seconds,
    smtp::{Behaviour, Received, Smtp},
    stories, stories_on,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// The emails of the queue, oldest first.
async fn rows(env: &TestEnv) -> Vec<Model> {
    let rows = Entity::find().filter(Column::Kind.eq("email")).order_by_asc(Column::Id).all(&env.store().await).await;
    rows.expect("the database answers")
}

/// Registers with this address.
async fn registers(site: &Site, username: &str, email: &str) -> Person {
    let body = json!({"username": username, "password": PASSWORD, "email": email});
    let answer = site.post("/v1/users").json(&body).answer().await.is(201);
    Person { username: username.into(), password: PASSWORD.into(), id: answer.string("id"), site: site.clone() }
}

/// Waits until every waiting email has failed this often, and returns the rows.
async fn failed(env: &TestEnv, times: i32) -> Vec<Model> {
    let waiting = async || rows(env).await.into_iter().filter(|row| row.due_at.is_some()).collect::<Vec<_>>();
    eventually(PATIENCE, "the letters were tried", async || {
        let tried = |row: &Model| row.attempts >= times && row.last_error.is_some() && row.claim.is_none();
        waiting().await.iter().all(tried)
    })
    .await;
    waiting().await
}

/// The token of an email that the server took.
fn token(mail: &Received) -> String {
    let (_, rest) = mail.text.split_once("?token=").unwrap_or_else(|| panic!("no link: {mail:?}"));
    rest[..43].to_owned()
}

async fn verifies(site: &Site, token: &str) -> u16 {
    site.post("/v1/email-verifications/complete").json(&json!({"token": token})).answer().await.status
}

/// Each way in which a mail server fails for a while. The email comes when it is well again, and its link is not born
/// dead, however late it is.
async fn a_mail_server_that_fails_for_a_while_loses_nothing(mut signet: TestApp) {
    let smtp = Smtp::start();
    signet.restart_with(&[("smtp_url", &smtp.url())]).await;
    let failures = [
        Behaviour::Replies("GREETING", "421 too busy"), // first: later connections are kept
        Behaviour::Replies("RCPT", "451 come back later"),
        Behaviour::Drops("CONTENT"),
        Behaviour::Drops("MAIL"),
        Behaviour::Replies("END", "452 the disk is full"),
    ];
    for (n, failure) in failures.into_iter().enumerate() {
        smtp.behaves(failure);
        let email = format!("ada{n}@example.org");
        registers(&signet.site, &format!("ada{n}"), &email).await;
        let [.., row] = &failed(&signet, 1).await[..] else { panic!("no row") };
        assert!(row.due_at.is_some_and(|due| due > row.created_at), "{row:?}");
        assert_eq!(smtp.mails().len(), n);
        smtp.behaves(Behaviour::Good);
        signet.clock.advance(TimeDelta::hours(30)); // more than the link lives
        let mails = smtp.waits_for(n + 1).await;
        assert_eq!(mails[n].to, [email]);
        eventually(PATIENCE, "it is written down", async || rows(&signet).await.is_empty()).await;
        signet.clock.advance(TimeDelta::hours(23));
        assert_eq!(verifies(&signet.site, &token(&mails[n])).await, 204);
    }
}

async fn a_mail_that_is_refused_for_good_is_given_up_at_once(mut signet: TestApp) {
    let smtp = Smtp::start();
    smtp.behaves(Behaviour::Replies("RCPT", "550 nobody of that name"));
    signet.restart_with(&[("smtp_url", &smtp.url())]).await;
    registers(&signet.site, "ada", "ada@example.org").await;
    eventually(PATIENCE, "it is given up", async || rows(&signet).await.iter().all(|row| row.dead_at.is_some())).await;
    let [row] = &rows(&signet).await[..] else { panic!("one row") };
    assert_eq!((row.attempts, row.last_error.as_deref(), row.due_at), (1, Some("refused"), None));
    smtp.behaves(Behaviour::Good);
    signet.clock.advance(days(1));
    registers(&signet.site, "bob", "bob@example.org").await;
    assert_eq!(smtp.waits_for(1).await[0].to, ["bob@example.org"]);
}

async fn a_mail_is_given_up_after_three_days(mut signet: TestApp) {
    let smtp = Smtp::start();
    smtp.behaves(Behaviour::Replies("RCPT", "451 come back later"));
    signet.restart_with(&[("smtp_url", &smtp.url())]).await;
    registers(&signet.site, "ada", "ada@example.org").await;
    failed(&signet, 1).await;
    signet.clock.advance(days(3) - seconds(3600));
    let [row] = &failed(&signet, 2).await[..] else { panic!("one row") };
    assert_eq!(row.dead_at, None);
    signet.clock.advance(seconds(3600));
    eventually(PATIENCE, "it is given up", async || rows(&signet).await.iter().all(|row| row.dead_at.is_some())).await;
    let [row] = &rows(&signet).await[..] else { panic!("one row") };
    assert_eq!((row.attempts, row.last_error.as_deref()), (3, Some("given_up")));
    assert!(row.payload.contains("ada@example.org"), "it is kept for the operator: {row:?}");
    assert!(smtp.mails().is_empty());
}

/// A dead mail server changes no answer, and an email blocks no more than its own slot.
async fn requests_do_not_wait_for_the_mail_server(mut signet: TestApp) {
    let smtp = Smtp::start();
    smtp.behaves(Behaviour::Stalls("GREETING"));
    signet.restart_with(&[("smtp_url", &smtp.url())]).await;
    for n in 0..6 {
        registers(&signet.site, &format!("ada{n}"), &format!("ada{n}@example.org")).await;
    }
    eventually(PATIENCE, "it is tried", async || !smtp.events().is_empty()).await;
    let begin = Instant::now();
    for _ in 0..20 {
        signet.site.post("/v1/password-resets").json(&json!({"username": "ada0"})).answer().await.is(202);
    }
    // Twenty waits for the mail server's time-out would take minutes.
    assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
    smtp.behaves(Behaviour::Good);
}

/// A thief with the password claimed another email address while the mail server failed: the reset withdraws the claim.
async fn a_reset_withdraws_what_waits(mut signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", "ada@example.org").await;
    signet.site.post("/v1/password-resets").json(&json!({"username": "ada"})).answer().await.is(202);
    let reset = inbox.brings_reset("ada@example.org").await;
    let smtp = Smtp::start();
    smtp.behaves(Behaviour::Replies("RCPT", "451 come back later"));
    signet.restart_with(&[("smtp_url", &smtp.url())]).await;
    let thief = ada.logs_in().await;
    let body = json!({"email": "eve@example.org", "current_password": PASSWORD});
    ada.sends(Method::PATCH, "/v1/users/me", &thief, Some(body)).await.is(200);
    let waiting = failed(&signet, 1).await;
    assert!(waiting.iter().any(|row| row.topic == "email_claimed" && row.due_at.is_some()), "{waiting:?}");
    let body = json!({"token": reset, "new_password": NEW_PASSWORD});
    signet.site.post("/v1/password-resets/complete").json(&body).answer().await.is(204);
    smtp.behaves(Behaviour::Good);
    signet.clock.advance(seconds(3600));
    let mails = smtp.waits_for(1).await;
    eventually(PATIENCE, "nothing waits", async || rows(&signet).await.iter().all(|row| row.due_at.is_none())).await;
    assert_eq!(smtp.mails().len(), 1, "{mails:?}");
    assert_eq!(mails[0].to, ["ada@example.org"], "the notice alone");
}

/// The row is committed with the account, so the process may die between that and the sending.
async fn a_killed_process_loses_no_mail(env: TestEnv) {
    let smtp = Smtp::start();
    smtp.behaves(Behaviour::Stalls("DATA"));
    let url = smtp.url();
    let first = env.serves(&[("smtp_url", &url)]).ready().await;
    registers(&first.site, "ada", "ada@example.org").await;
    eventually(PATIENCE, "it is being sent", async || smtp.count("clear DATA") > 0).await;
    first.signal("KILL");
    first.ends().await;
    assert!(smtp.mails().is_empty());
    smtp.behaves(Behaviour::Good);
    let second = env.serves(&[("smtp_url", &url)]).ready().await;
    let mails = smtp.waits_for(1).await;
    assert_eq!(mails[0].to, ["ada@example.org"]);
    assert_eq!(verifies(&second.site, &token(&mails[0])).await, 204);
    let log = second.whole_log().await;
    assert!(!log.contains(&token(&mails[0])) && !log.contains("ada@example.org"));
}

async fn a_service_that_stops_lets_go_of_what_it_could_not_send(env: TestEnv) {
    let smtp = Smtp::start();
    smtp.behaves(Behaviour::Stalls("DATA"));
    let url = smtp.url();
    let first = env.serves(&[("smtp_url", &url)]).ready().await;
    registers(&first.site, "ada", "ada@example.org").await;
    eventually(PATIENCE, "it is being sent", async || smtp.count("clear DATA") > 0).await;
    first.signal("TERM");
    first.ends().await.well();
    let [row] = &rows(&env).await[..] else { panic!("one row") };
    assert!(row.claim.is_none() && row.due_at.is_some(), "{row:?}");
    smtp.behaves(Behaviour::Good);
    let second = env.serves(&[("smtp_url", &url)]).ready().await;
    assert_eq!(smtp.waits_for(1).await[0].to, ["ada@example.org"]);
    drop(second);
}

async fn two_replicas_send_each_mail_once(signet: TestApp) {
    let replica = signet.replica().await;
    let mut inbox = Inbox::of(&signet).await;
    for n in 0..30 {
        let site = if n % 2 == 0 { &signet.site } else { &replica.site };
        registers(site, &format!("ada{n}"), &format!("ada{n}@example.org")).await;
    }
    let mails = inbox.delivers().await;
    let mut to: Vec<String> = mails.iter().map(|mail| mail.clone().is(VERIFY, &mail.to).to).collect();
    to.sort();
    to.dedup();
    assert_eq!((mails.len(), to.len()), (30, 30));
    assert!(rows(&signet).await.is_empty());
    replica.stop().await;
}

stories![
    a_mail_server_that_fails_for_a_while_loses_nothing,
    a_mail_that_is_refused_for_good_is_given_up_at_once,
    a_mail_is_given_up_after_three_days,
    requests_do_not_wait_for_the_mail_server,
    a_reset_withdraws_what_waits,
    a_killed_process_loses_no_mail,
    a_service_that_stops_lets_go_of_what_it_could_not_send,
];

stories_on![Postgres: two_replicas_send_each_mail_once];
