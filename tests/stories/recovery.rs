//! Password recovery: only the owner of the verified email address can log in again, and nobody else learns anything.

use chrono::{DateTime, Utc};
use entity::user;
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};

use crate::harness::{
    Answer, Ask, NEW_PASSWORD, PASSWORD, Site, TestApp, TestEnvBuilder, eventually,
    inbox::{Inbox, PASSWORD_CHANGED, VERIFY},
    seconds, stories, stories_on,
};

pub(crate) const ADA: &str = "Ada@example.org";

/// Asks for a new password.
pub(crate) async fn asks(site: &Site, body: &Value) -> Answer {
    site.post("/v1/password-resets").json(body).answer().await
}

/// Sets a new password with an email's token.
async fn completes(site: &Site, token: &str, new: &str) -> Answer {
    let body = json!({"token": token, "new_password": new});
    site.post("/v1/password-resets/complete").json(&body).answer().await
}

/// Disables an account, behind the service's back.
pub(crate) async fn disable(signet: &TestApp, username: &str) {
    let now: DateTime<Utc> = DateTime::UNIX_EPOCH;
    let done = user::Entity::update_many()
        .col_expr(user::Column::DisabledAt, Expr::value(now))
        .filter(user::Column::UsernameKey.eq(username))
        .exec(&signet.store().await)
        .await;
    assert_eq!(done.expect("the database answers").rows_affected, 1);
}

async fn a_forgotten_password_is_replaced_and_every_session_ends(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let (one, two) = (ada.logs_in().await, ada.logs_in().await);
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;

    let answer = completes(&signet.site, &token, NEW_PASSWORD).await.is(204);
    assert_eq!(answer.text(), "", "nobody is logged in");
    ada.is_logged_out(&one).await;
    ada.is_logged_out(&two).await;
    ada.tries(PASSWORD).await.refused("invalid_grant");
    ada.is_let_in(&ada.tries(NEW_PASSWORD).await.granted()).await;
    inbox.delivers_one().await.is(PASSWORD_CHANGED, ADA);
    completes(&signet.site, &token, PASSWORD).await.problem(400, "invalid_token");
    ada.tries(NEW_PASSWORD).await.granted();
}

/// The owner, or strangers, may have guessed before: a reset by email ends the wait.
async fn a_reset_lets_the_owner_in_at_once(builder: TestEnvBuilder) {
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.account", "5/5m");
    let signet = builder.set("rate_limits.token", "1000000/1s").env().await.open().await;
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let by_address = async |password: &str| {
        let form = [("grant_type", "password"), ("username", ADA), ("password", password)];
        signet.site.token(&form).answer().await
    };
    for _ in 0..5 {
        ada.tries("wrong guess 12").await.refused("invalid_grant");
        by_address("wrong guess 12").await.refused("invalid_grant");
    }
    by_address(PASSWORD).await.oauth_error(429, "temporarily_unavailable");
    asks(&signet.site, &json!({"email": ADA})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    completes(&signet.site, &token, NEW_PASSWORD).await.is(204);
    by_address(NEW_PASSWORD).await.granted();
}

/// However the account is named, the email goes to the address as it is stored.
async fn the_mail_goes_to_the_stored_address(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    for body in [
        json!({"username": "ADA"}),
        json!({"username": "\u{ff41}da"}),
        json!({"email": "ada@example.org"}),
        json!({"email": "ADA@EXAMPLE.ORG", "username": null}),
        json!({"username": "aDA@example.org"}),
    ] {
        asks(&signet.site, &body).await.is(202);
        inbox.brings_reset(ADA).await;
    }
}

async fn what_names_nobody_or_somebody_else_brings_nothing(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", "ada@example.org").await;
    inbox.registers_verified(&signet, "kim", "kim@example.org").await;
    let refused = [
        r#"{"email": ["ada@example.org", "eve@example.org"]}"#,
        r#"{"email": {"ada@example.org": "eve@example.org"}}"#,
        r#"{"username": ["ada"]}"#,
        r#"{"email": "ada@example.org,eve@example.org"}"#,
        r#"{"email": "ada@example.org eve@example.org"}"#,
        r#"{"email": "ada@example.org\r\nBcc: eve@example.org"}"#,
        r#"{"email": "ada@example.org\u0000"}"#,
        r#"{"email": "<ada@example.org>"}"#,
        r#"{"email": "\u212aim@example.org"}"#,
        r#"{"email": "ada@example\u3002org"}"#,
        r#"{"email": "ada"}"#,
        r#"{"email": "ada@example.org", "username": "ada"}"#,
        r#"{"username": ""}"#,
        r#"{"username": null}"#,
        "{}",
    ];
    for body in refused {
        let request = signet.site.post("/v1/password-resets").header("content-type", "application/json");
        request.body(body).answer().await.some_problem(422);
    }
    let twice = r#"{"email": "ada@example.org", "email": "eve@example.org"}"#;
    let request = signet.site.post("/v1/password-resets").header("content-type", "application/json");
    request.body(twice).answer().await.some_problem(400);
    for nobody in ["ada+eve@example.org", "a.da@example.org", "ada@example.org.eve.org", "ada@xn--exmple-cua.org"] {
        asks(&signet.site, &json!({"email": nobody})).await.is(202);
    }
    asks(&signet.site, &json!({"username": "adaa"})).await.is(202);
    inbox.delivers_nothing().await;
}

/// The status, the body and the header names of an answer.
fn shown(answer: &Answer) -> (u16, String, Vec<String>) {
    (answer.status, answer.text(), answer.fields())
}

async fn no_answer_tells_whether_there_is_an_account(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    inbox.registers_verified(&signet, "eve", "eve@example.org").await;
    inbox.registers(&signet, "bob", "bob@example.org").await;
    signet.registers("kim").await;
    disable(&signet, "eve").await;
    inbox.delivers().await;
    let known = shown(&asks(&signet.site, &json!({"username": "ada"})).await.is(202));
    inbox.brings_reset(ADA).await;
    for username in ["nobody", "bob", "eve", "kim", "bob@example.org", "eve@example.org", "nobody@example.org"] {
        let answer = shown(&asks(&signet.site, &json!({"username": username})).await);
        assert_eq!(answer, known, "{username}");
    }
    inbox.delivers_nothing().await;
}

async fn no_header_of_the_request_makes_the_link(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    for name in ["host", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-original-url", "origin", "referer"] {
        let value = if name == "forwarded" { "host=eve.example" } else { "eve.example" };
        let request = signet.site.post("/v1/password-resets").header(name, value);
        let answer = request.json(&json!({"username": "ada"})).answer().await;
        assert!([202, 400].contains(&answer.status), "{answer:?}");
        if answer.status == 202 {
            let mail = inbox.delivers_one().await;
            assert!(!mail.text.contains("eve.example"), "{mail:?}");
            mail.token(&format!("{}/reset-password", signet.issuer));
        }
    }
}

async fn a_refused_password_does_not_use_up_the_link(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    for weak in ["short", "password123", "ada@example.org", "with\u{0}zero byte in it", &"x".repeat(1025)] {
        completes(&signet.site, &token, weak).await.some_problem(422).blames("new_password");
    }
    completes(&signet.site, &token, NEW_PASSWORD).await.is(204);
    ada.tries(NEW_PASSWORD).await.granted();
}

async fn a_link_is_good_for_half_an_hour(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    signet.clock.advance(seconds(1800));
    completes(&signet.site, &token, NEW_PASSWORD).await.problem(400, "invalid_token");
    ada.logs_in().await;
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    signet.clock.advance(seconds(1799));
    completes(&signet.site, &token, NEW_PASSWORD).await.is(204);
}

async fn only_the_newest_link_is_good(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let first = inbox.brings_reset(ADA).await;
    signet.clock.advance(seconds(1));
    asks(&signet.site, &json!({"email": ADA})).await.is(202);
    let second = inbox.brings_reset(ADA).await;
    assert_ne!(first, second);
    completes(&signet.site, &first, NEW_PASSWORD).await.problem(400, "invalid_token");
    completes(&signet.site, &second, NEW_PASSWORD).await.is(204);
}

async fn a_token_opens_nothing_else(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers(&signet, "ada", ADA).await;
    let verification = inbox.brings_verification(ADA).await;
    completes(&signet.site, &verification, NEW_PASSWORD).await.problem(400, "invalid_token");
    let verifies = async |token: &str| {
        signet.site.post("/v1/email-verifications/complete").json(&json!({"token": token})).answer().await
    };
    verifies(&verification).await.is(204);
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let reset = inbox.brings_reset(ADA).await;
    verifies(&reset).await.problem(400, "invalid_token");
    let mut other = reset.clone().into_bytes();
    other[0] = if other[0] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).expect("ASCII");
    for bad in ["", "x", &other, &reset[..42], &format!("{reset}="), &format!(" {reset}"), &"A".repeat(43), "'--"] {
        completes(&signet.site, bad, NEW_PASSWORD).await.blames_the_sender();
    }
    completes(&signet.site, &reset, NEW_PASSWORD).await.is(204);
    ada.tries(NEW_PASSWORD).await.granted();
}

async fn of_many_at_once_exactly_one_sets_the_password(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    let all: Vec<_> = (0..20)
        .map(|n| {
            let (site, token) = (signet.site.clone(), token.clone());
            tokio::spawn(async move { completes(&site, &token, &format!("{NEW_PASSWORD} {n}")).await })
        })
        .collect();
    let mut winners = Vec::new();
    for (n, one) in all.into_iter().enumerate() {
        let answer = one.await.expect("it was answered");
        if answer.status == 204 {
            winners.push(n);
        } else {
            answer.problem(400, "invalid_token");
        }
    }
    let [winner] = winners[..] else { panic!("{winners:?}") };
    ada.tries(&format!("{NEW_PASSWORD} {winner}")).await.granted();
    inbox.delivers_one().await.is(PASSWORD_CHANGED, ADA);
}

/// A reset link dies with what it was for: the account's right to the mailbox, and the account itself.
async fn a_link_dies_with_the_account_or_its_address(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    disable(&signet, "ada").await;
    completes(&signet.site, &token, NEW_PASSWORD).await.problem(400, "invalid_token");

    let bob = inbox.registers_verified(&signet, "bob", "bob@example.org").await;
    let tokens = bob.logs_in().await;
    asks(&signet.site, &json!({"username": "bob"})).await.is(202);
    let old_mailbox = inbox.brings_reset("bob@example.org").await;
    let body = json!({"email": "bob@example.com", "current_password": PASSWORD});
    bob.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await.is(200);
    let proof = inbox.brings_verification("bob@example.com").await;
    signet.site.post("/v1/email-verifications/complete").json(&json!({"token": proof})).answer().await.is(204);
    completes(&signet.site, &old_mailbox, NEW_PASSWORD).await.problem(400, "invalid_token");
    inbox.delivers().await;

    asks(&signet.site, &json!({"username": "bob"})).await.is(202);
    let token = inbox.brings_reset("bob@example.com").await;
    bob.sends(Method::DELETE, "/v1/users/me", &tokens, Some(json!({"password": PASSWORD}))).await.is(204);
    completes(&signet.site, &token, NEW_PASSWORD).await.problem(400, "invalid_token");
    ada.tries(NEW_PASSWORD).await.refused("invalid_grant");
}

/// A thief with the password may have claimed another email address; a reset withdraws the claim.
async fn a_reset_drops_the_other_secrets_of_the_account(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let thief = ada.logs_in().await;
    let body = json!({"email": "eve@example.org", "current_password": PASSWORD});
    ada.sends(Method::PATCH, "/v1/users/me", &thief, Some(body)).await.is(200);
    let eves = inbox.brings_verification("eve@example.org").await;
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    completes(&signet.site, &token, NEW_PASSWORD).await.is(204);
    let verify = json!({"token": eves});
    signet.site.post("/v1/email-verifications/complete").json(&verify).answer().await.problem(400, "invalid_token");
    let account = ada.looks(&ada.tries(NEW_PASSWORD).await.granted()).await.json();
    assert_eq!((&account["email"], &account["email_verified"]), (&json!(ADA), &json!(true)));
}

async fn a_changed_password_is_told_to_the_owner(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let mut ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let mut bob = inbox.registers(&signet, "bob", "bob@example.org").await;
    inbox.delivers_one().await.is(VERIFY, "bob@example.org");
    let (adas, bobs) = (ada.logs_in().await, bob.logs_in().await);
    ada.changes_password(&adas, NEW_PASSWORD).await;
    inbox.delivers_one().await.is(PASSWORD_CHANGED, ADA);
    bob.changes_password(&bobs, NEW_PASSWORD).await;
    inbox.delivers_nothing().await; // nobody has proved that the address is his
}

async fn mails_to_an_account_are_limited(builder: TestEnvBuilder) {
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.mail", "3/1h");
    let signet = builder.open().await;
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    let known = shown(&asks(&signet.site, &json!({"username": "ada"})).await.is(202));
    inbox.brings_reset(ADA).await;
    for body in [json!({"username": "ADA"}), json!({"email": ADA})] {
        signet.clock.advance(seconds(1));
        asks(&signet.site, &body).await.is(202);
        inbox.brings_reset(ADA).await;
    }
    for body in [json!({"username": "ADA"}), json!({"email": ADA})] {
        signet.clock.advance(seconds(1));
        assert_eq!(shown(&asks(&signet.site, &body).await), known, "it is not told either");
        inbox.delivers_nothing().await;
    }
    signet.clock.advance(seconds(3600));
    asks(&signet.site, &json!({"username": "ada"})).await.is(202);
    inbox.brings_reset(ADA).await;
}

async fn a_reset_is_felt_by_every_replica(signet: TestApp) {
    let replica = signet.replica().await;
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let there = ada.at(&replica.site);
    let (mine, theirs) = (ada.logs_in().await, there.logs_in().await);
    asks(&replica.site, &json!({"username": "ada"})).await.is(202);
    let token = inbox.brings_reset(ADA).await;
    completes(&signet.site, &token, NEW_PASSWORD).await.is(204);
    for tokens in [&mine, &theirs] {
        ada.is_logged_out(tokens).await;
        there.refreshes(tokens).await.refused("invalid_grant");
        let patience = std::time::Duration::from_secs(5);
        eventually(patience, "the other replica knows", async || there.looks(tokens).await.status == 401).await;
    }
    there.tries(NEW_PASSWORD).await.granted();
    replica.stop().await;
}

stories![
    a_forgotten_password_is_replaced_and_every_session_ends,
    a_reset_lets_the_owner_in_at_once,
    the_mail_goes_to_the_stored_address,
    what_names_nobody_or_somebody_else_brings_nothing,
    no_answer_tells_whether_there_is_an_account,
    a_refused_password_does_not_use_up_the_link,
    a_link_is_good_for_half_an_hour,
    only_the_newest_link_is_good,
    a_token_opens_nothing_else,
    of_many_at_once_exactly_one_sets_the_password,
    a_link_dies_with_the_account_or_its_address,
    a_reset_drops_the_other_secrets_of_the_account,
    a_changed_password_is_told_to_the_owner,
    mails_to_an_account_are_limited,
];

stories_on![Sqlite: no_header_of_the_request_makes_the_link];

stories_on![Postgres: a_reset_is_felt_by_every_replica];
