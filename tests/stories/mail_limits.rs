//! The limits of emails: nobody's mailbox can be flooded, and nothing that its owner needs is lost to a limit.

use std::time::Duration;

use entity::job;
use reqwest::Method;
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use serde_json::json;

use crate::harness::{
    Ask, PASSWORD, Person, Site, TestApp, TestEnvBuilder,
    browser_session::BrowserSession,
    eventually,
    inbox::{Inbox, Mail, VERIFY},
    jwt,
    receiver::{Manner, Receiver},
    seconds,
    smtp::{Behaviour, Smtp},
    stories, stories_on,
};

const PATIENCE: Duration = Duration::from_secs(30);
const VICTIM: &str = "victim@example.org";

/// Limits emails to this many an hour; the routes themselves are as good as unlimited.
fn limited(builder: TestEnvBuilder, mails: u32) -> TestEnvBuilder {
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.mail", &format!("{mails}/1h"));
    builder.set("rate_limits.registration", "1000/1s").set("rate_limits.token", "1000/1s")
}

/// Waits for the next emails.
async fn next(inbox: &mut Inbox) -> Vec<Mail> {
    let mut mails = Vec::new();
    eventually(PATIENCE, "an email comes", async || {
        mails.extend(inbox.delivers().await);
        !mails.is_empty()
    })
    .await;
    mails
}

/// Deletes the account with its name and password.
async fn deletes(person: &Person) {
    let body = json!({"username": person.username, "password": person.password});
    person.site.request(Method::DELETE, "/users/delete").json(&body).answer().await.is(200);
}

/// The count of an address outlives the accounts that named it.
async fn deleting_accounts_frees_no_mailbox_for_more(builder: TestEnvBuilder) {
    let signet = limited(builder, 3).open().await;
    let mut inbox = Inbox::of(&signet).await;
    for n in 0..3 {
        let stranger = inbox.registers(&signet, &format!("stranger{n}"), VICTIM).await;
        inbox.brings_verification(VICTIM).await;
        deletes(&stranger).await;
    }
    for n in 3..8 {
        let stranger = inbox.registers(&signet, &format!("stranger{n}"), VICTIM).await;
        inbox.delivers_nothing().await;
        deletes(&stranger).await;
    }
    signet.clock.advance(seconds(3600));
    inbox.registers(&signet, "owner", VICTIM).await;
    inbox.brings_verification(VICTIM).await;
}

/// The same for the notices to an address that is verified.
async fn deleting_accounts_frees_no_verified_mailbox_either(builder: TestEnvBuilder) {
    let signet = limited(builder, 3).open().await;
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "owner", VICTIM).await;
    for n in 0..6 {
        let stranger = inbox.registers(&signet, &format!("stranger{n}"), VICTIM).await;
        let mails = inbox.delivers().await;
        // The owner's own verification counts too.
        assert_eq!(mails.len(), usize::from(n < 2), "{mails:?}");
        deletes(&stranger).await;
    }
}

/// A mailbox has any number of addresses with a tag.
async fn a_tag_makes_no_other_mailbox(builder: TestEnvBuilder) {
    let signet = limited(builder, 3).open().await;
    let mut inbox = Inbox::of(&signet).await;
    for email in ["victim+1@example.org", "Victim+a+b@example.org", VICTIM] {
        inbox.registers(&signet, &format!("n{}", email.len()), email).await;
        inbox.brings_verification(email).await;
    }
    for (name, email) in [("one", "victim+2@example.org"), ("two", "VICTIM@example.org"), ("three", VICTIM)] {
        inbox.registers(&signet, name, email).await;
        inbox.delivers_nothing().await;
    }
    inbox.registers(&signet, "four", "+victim@example.org").await;
    inbox.brings_verification("+victim@example.org").await;
}

/// Ten times the limit of a mailbox is that of a network, on every route that causes an email.
async fn what_names_an_address_counts_as_an_email_of_its_network(builder: TestEnvBuilder) {
    let signet = limited(builder, 1).open().await;
    let mut inbox = Inbox::of(&signet).await;
    let registers = async |name: &str, email: Option<&str>| {
        let body = json!({"username": name, "password": PASSWORD, "email": email});
        signet.site.post("/v1/users").json(&body).answer().await
    };
    let ada = inbox.registers(&signet, "ada", "ada@example.org").await;
    let tokens = ada.logs_in().await;
    for n in 0..8 {
        registers(&format!("person{n}"), Some(&format!("person{n}@example.org"))).await.is(201);
    }
    let changes = async |body| ada.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await;
    changes(json!({"email": "ada@example.com", "current_password": PASSWORD})).await.is(200);
    // Ten. What is refused for another reason, or names no address, counts nothing.
    registers("eve", Some("not an address")).await.is(429);
    let refused = registers("eve", Some("eve@example.org")).await.problem(429, "too_many_requests");
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    registers("eve", None).await.is(201);
    changes(json!({"email": "ada@example.net", "current_password": PASSWORD})).await.is(429);
    changes(json!({"username": "ada2"})).await.is(200);
    signet.site.post("/v1/password-resets").json(&json!({"username": "ada"})).answer().await.is(429);

    let browser = BrowserSession::at(&signet);
    let page = browser.opens("/register").await.is(200);
    let form = [("username", "mallory"), ("password", PASSWORD), ("email", "mallory@example.org")];
    let refused = browser.sends(&page, "/register", &form).await.is(429);
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
    browser.sends(&page, "/register", &[("username", "mallory"), ("password", PASSWORD)]).await.is(303);
    let page = browser.opens("/account/email").await.is(200);
    let form = [("email", "mallory@example.org"), ("current_password", PASSWORD)];
    browser.sends(&page, "/account/email", &form).await.is(429);
}

/// Strangers who name an address all the time keep nobody from proving it.
async fn a_verification_over_the_limit_is_put_off_and_not_dropped(builder: TestEnvBuilder) {
    let signet = limited(builder, 2).open().await;
    let mut inbox = Inbox::of(&signet).await;
    for n in 0..2 {
        inbox.registers(&signet, &format!("stranger{n}"), VICTIM).await;
        inbox.brings_verification(VICTIM).await;
    }
    let owner = inbox.registers(&signet, "owner", VICTIM).await;
    inbox.delivers_nothing().await;
    // However often they ask, one email waits for them.
    let tokens = owner.logs_in().await;
    for _ in 0..3 {
        owner.sends(Method::POST, "/v1/email-verifications", &tokens, None).await.is(202);
        inbox.delivers_nothing().await;
    }
    signet.clock.advance(seconds(3599));
    inbox.delivers_nothing().await;
    signet.clock.advance(seconds(2));
    let mails = next(&mut inbox).await;
    let [mail] = &mails[..] else { panic!("one email: {mails:?}") };
    let token = mail.clone().is(VERIFY, VICTIM).token(&format!("{}/verify-email", signet.issuer));
    let verifies = signet.site.post("/v1/email-verifications/complete").json(&json!({"token": token}));
    verifies.answer().await.is(204);
    assert_eq!(owner.looks(&owner.logs_in().await).await.json()["email_verified"], true);
    signet.clock.advance(seconds(7200));
    inbox.delivers_nothing().await;
}

/// Mail programs make a link of a username with dots; the address may be anybody's.
async fn nothing_that_a_stranger_chose_stands_in_a_mail_to_an_unproved_address(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let name = "www.evil-login.example";
    let mallory = inbox.registers_verified(&signet, name, "mallory@example.org").await;
    let tokens = mallory.logs_in().await;
    inbox.registers(&signet, "a.evil-login.example", VICTIM).await;
    let first = inbox.delivers_one().await.is(VERIFY, VICTIM);
    let body = json!({"email": "other@example.org", "current_password": PASSWORD});
    mallory.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await.is(200);
    let second = inbox.delivers_one().await.is(VERIFY, "other@example.org");
    mallory.sends(Method::POST, "/v1/email-verifications", &tokens, None).await.is(202);
    let third = inbox.delivers_one().await.is(VERIFY, "other@example.org");
    for mail in [first, second, third] {
        assert!(!mail.text.contains("evil-login"), "{mail:?}");
    }
}

/// The schema with one table for emails and one for logout notices, and back to it.
async fn the_step_to_one_queue_and_back_loses_nothing(builder: TestEnvBuilder) {
    let (smtp, receiver) = (Smtp::start(), Receiver::starts().await);
    let mut signet = limited(builder, 2).set("smtp_url", &smtp.url()).open().await;
    let uri = receiver.uri();
    let client = signet.registers_public_client(&["--backchannel-logout-uri", &uri]).await;
    let registers = async |site: &Site, name: &str, email: &str| {
        let body = json!({"username": name, "password": PASSWORD, "email": email});
        site.post("/v1/users").json(&body).answer().await.is(201);
    };
    registers(&signet.site, "one", "one@example.org").await;
    registers(&signet.site, "two", "two@example.org").await;
    smtp.waits_for(2).await;
    let jobs = async |signet: &TestApp| job::Entity::find().all(&signet.store().await).await.expect("it answers");
    eventually(PATIENCE, "they are done", async || jobs(&signet).await.is_empty()).await;
    smtp.behaves(Behaviour::Replies("RCPT", "451 come back later"));
    receiver.behaves(Manner::Answers(503));
    registers(&signet.site, "ada", "ada@example.org").await;
    let kim = signet.registers("kim").await;
    let tokens = kim.logs_in_at(&client, &[]).await;
    client.revokes(&signet.site, &tokens.access).await.is(200);
    eventually(PATIENCE, "both have failed", async || {
        let jobs = jobs(&signet).await;
        jobs.len() == 2 && jobs.iter().all(|job| job.last_error.is_some() && job.claim.is_none())
    })
    .await;
    signet.stop().await;

    let store = signet.store().await;
    let count = async |sql: &str| {
        let row = store.query_one_raw(Statement::from_string(store.get_database_backend(), sql)).await.ok()?;
        row?.try_get_by_index::<i64>(0).ok()
    };
    // Until the step is taken back, behind later ones.
    while count("SELECT count(*) FROM outbox").await.is_none() {
        signet.runs(&["migrate", "down", "--yes"]).await.well();
    }
    assert_eq!(count("SELECT count(*) FROM outbox").await, Some(3));
    assert_eq!(count("SELECT count(*) FROM outbox WHERE sent_at IS NULL AND due_at IS NOT NULL").await, Some(1));
    assert_eq!(count("SELECT count(*) FROM logout_notice").await, Some(1));
    // As the earlier version wrote them.
    let sent = "UPDATE outbox SET address_key = 'victim+a@example.org' WHERE sent_at IS NOT NULL";
    store.execute_unprepared(sent).await.expect("it is SQL");
    smtp.behaves(Behaviour::Good);
    receiver.behaves(Manner::Good);
    signet.restart().await;
    signet.clock.advance(seconds(600));
    let mails = smtp.waits_for(3).await;
    assert_eq!(mails[2].to, ["ada@example.org"]);
    let told = receiver.waits_for(2).await;
    assert_eq!(jwt::sid(&told[1]), jwt::sid(&tokens.access));
    // Two emails went to that mailbox within the hour.
    registers(&signet.site, "late", "victim@example.org").await;
    eventually(
        PATIENCE,
        "it is put off",
        async || matches!(&jobs(&signet).await[..], [job] if job.last_error.as_deref() == Some("rate_limit")),
    )
    .await;
    assert_eq!(smtp.mails().len(), 3);
}

stories![
    the_step_to_one_queue_and_back_loses_nothing,
    a_verification_over_the_limit_is_put_off_and_not_dropped,
    deleting_accounts_frees_no_mailbox_for_more,
    deleting_accounts_frees_no_verified_mailbox_either,
];

stories_on![Sqlite:
    a_tag_makes_no_other_mailbox,
    nothing_that_a_stranger_chose_stands_in_a_mail_to_an_unproved_address,
    what_names_an_address_counts_as_an_email_of_its_network,
];
