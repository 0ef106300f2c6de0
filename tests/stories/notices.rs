//! The owner of an account is told by email of every change of who can get in, whatever becomes of the account.

use std::time::Duration;

use entity::{identity, job};
use reqwest::Method;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;

use crate::harness::{
    Answer, Ask, NEW_PASSWORD, PASSWORD, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, location},
    eventually,
    idp::{Idp, leaves},
    inbox::{DELETED, Inbox, PASSWORD_CHANGED},
    seconds,
    smtp::{Behaviour, Smtp},
    stories,
};

const PATIENCE: Duration = Duration::from_mins(1);
const ADA: &str = "ada@example.org";
const BOB: &str = "bob@example.org";
const PROVIDERS: &str = "/account/providers";
const LINKED: &str = "can log in to your account";
const UNLINKED: &str = "can no longer log in to your account";
const RENAMED: &str = "Your username";

/// Links the provider to who is logged in in this browser.
async fn links(idp: &Idp, browser: &BrowserSession) -> Answer {
    let page = browser.opens(PROVIDERS).await.is(200);
    let leaving = browser.sends(&page, PROVIDERS, &[("link", "idp"), ("unlink", "")]).await;
    browser.opens(&idp.logs_in(&leaves(&leaving))).await
}

async fn identities(signet: &TestApp) -> u64 {
    identity::Entity::find().count(&signet.store().await).await.expect("it answers")
}

async fn a_linked_and_an_unlinked_provider_is_told(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    let browser = BrowserSession::at(&signet);
    browser.logs_in_at("/login", "ada", PASSWORD).await;
    assert_eq!(location(&links(&idp, &browser).await), "/account/providers?done=linked");
    let mail = inbox.delivers_one().await.is(LINKED, ADA);
    assert!(mail.text.contains("idp") && mail.text.contains("/forgot-password"), "{mail:?}");
    // What changes nothing is not told.
    links(&idp, &browser).await;
    inbox.delivers_nothing().await;
    let page = browser.opens(PROVIDERS).await.is(200);
    browser.sends(&page, PROVIDERS, &[]).await.is(303);
    inbox.delivers_one().await.is(UNLINKED, ADA);
}

/// A provider whose addresses are trusted links by itself at a login.
async fn a_provider_that_links_by_address_is_told(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder.set("providers.idp.trust_email", "true")).await;
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    idp.script().claims = json!({"email": ADA, "email_verified": true});
    idp.lets_in(&BrowserSession::at(&signet)).await;
    assert_eq!(identities(&signet).await, 1);
    inbox.delivers_one().await.is(LINKED, ADA);
}

async fn the_end_of_an_account_is_told(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    inbox.registers_verified(&signet, "bob", BOB).await;
    let eve = inbox.registers(&signet, "eve", "eve@example.org").await;
    inbox.delivers().await;
    for person in [&eve, &ada] {
        let tokens = person.logs_in().await;
        let body = json!({"password": PASSWORD});
        person.sends(Method::DELETE, "/v1/users/me", &tokens, Some(body)).await.is(204);
    }
    // Nobody has proved that eve's address is hers.
    let mail = inbox.delivers_one().await.is(DELETED, ADA);
    assert!(mail.text.contains("Hello ada,"), "{mail:?}");
    signet.runs(&["user", "delete", "bob"]).await.well();
    // A command's clock runs while the service's stands still.
    signet.clock.advance(seconds(300));
    inbox.delivers_one().await.is(DELETED, BOB);
}

/// Neither while they wait, nor while they are tried again.
async fn who_deletes_the_account_hides_nothing(mut signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let mut ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let smtp = Smtp::start();
    smtp.behaves(Behaviour::Replies("RCPT", "451 come back later"));
    signet.restart_with(&[("smtp_url", &smtp.url())]).await;
    let thief = ada.logs_in().await;
    ada.changes_password(&thief, NEW_PASSWORD).await;
    eventually(PATIENCE, "it is tried", async || smtp.count("clear RCPT") > 0).await;
    ada.sends(Method::DELETE, "/v1/users/me", &thief, Some(json!({"password": NEW_PASSWORD}))).await.is(204);
    smtp.behaves(Behaviour::Good);
    signet.clock.advance(seconds(3600));
    let mails = smtp.waits_for(2).await;
    for subject in [PASSWORD_CHANGED, DELETED] {
        let mail = mails.iter().find(|mail| mail.subject.contains(subject)).expect(subject);
        assert_eq!(mail.to, [ADA]);
        assert!(mail.text.contains("ada"), "{mail:?}");
    }
    // What was sent is forgotten.
    let kept = async || job::Entity::find().count(&signet.store().await).await.expect("it answers");
    eventually(PATIENCE, "nothing is kept of the account", async || kept().await == 0).await;
}

async fn a_changed_username_is_told(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let bob = inbox.registers(&signet, "bob", BOB).await;
    inbox.delivers().await;
    let renames = async |person: &crate::harness::Person, name: &str| {
        let body = json!({"username": name});
        person.sends(Method::PATCH, "/v1/users/me", &person.logs_in().await, Some(body)).await.is(200);
    };
    renames(&bob, "robert").await;
    inbox.delivers_nothing().await; // nobody has proved that the address is his
    renames(&ada, "countess").await;
    let mail = inbox.delivers_one().await.is(RENAMED, ADA);
    assert!(mail.text.contains("from ada to countess"), "{mail:?}");
    let countess = crate::harness::Person { username: "countess".into(), ..ada };
    renames(&countess, "countess").await;
    inbox.delivers_nothing().await;
}

/// A thief may have linked a provider of their own. A reset shows it, and unlinks it if the owner wishes.
async fn a_reset_shows_the_linked_providers_and_unlinks_them(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    let thief = BrowserSession::at(&signet);
    thief.logs_in_at("/login", "ada", PASSWORD).await;
    links(&idp, &thief).await;
    inbox.delivers().await;
    let browser = BrowserSession::at(&signet);
    for (password, unlink, left) in [(NEW_PASSWORD, "", 1), (PASSWORD, "1", 0)] {
        signet.site.post("/v1/password-resets").json(&json!({"username": "ada"})).answer().await.is(202);
        let token = inbox.brings_reset(ADA).await;
        let page = browser.opens(&format!("/reset-password?token={token}")).await.is(200);
        assert!(page.text().contains("Unlink") && page.text().contains("idp"), "{page:?}");
        let mut form = vec![("new_password", password), ("repeated", password)];
        if !unlink.is_empty() {
            form.push(("unlink_providers", unlink));
        }
        browser.sends(&page, "/reset-password", &form).await.is(200);
        assert_eq!(identities(&signet).await, left);
        let mut subjects: Vec<String> = inbox.delivers().await.into_iter().map(|mail| mail.subject).collect();
        subjects.sort();
        assert_eq!(subjects.len(), if left == 0 { 2 } else { 1 }, "{subjects:?}");
    }
    // Without a provider there is nothing to choose.
    signet.site.post("/v1/password-resets").json(&json!({"username": "ada"})).answer().await.is(202);
    let token = inbox.brings_reset(ADA).await;
    let page = browser.opens(&format!("/reset-password?token={token}")).await.is(200);
    assert!(!page.text().contains("Unlink"), "{page:?}");
}

stories![
    a_changed_username_is_told,
    a_linked_and_an_unlinked_provider_is_told,
    a_provider_that_links_by_address_is_told,
    a_reset_shows_the_linked_providers_and_unlinks_them,
    the_end_of_an_account_is_told,
    who_deletes_the_account_hides_nothing,
];
