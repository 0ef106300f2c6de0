//! Email addresses: only the link in a verification email proves ownership.

use std::sync::Arc;

use entity::{counted_email, job, one_use_secret};
use reqwest::Method;
use sea_orm::{EntityTrait, PaginatorTrait};
use secrecy::SecretString;
use serde_json::{Value, json};
use signet::testing::{ChangeFeed, Database, EntityCache, Outbox, Random, RefusedNames, Revocations, VerifyEmail};

use crate::harness::{
    Answer, Ask, PASSWORD, Person, Site, TestApp, TestEnvBuilder, Tokens,
    inbox::{DELETED, EMAIL_CHANGED, Inbox, TRIED, VERIFY},
    seconds, stories, stories_on,
};

const ADA: &str = "ada@example.org";
const NEW: &str = "ada@example.com";

async fn verifies(site: &Site, token: &str) -> Answer {
    site.post("/v1/email-verifications/complete").json(&json!({"token": token})).answer().await
}

/// Asks for another email.
async fn asks_again(person: &Person, tokens: &Tokens) -> Answer {
    person.sends(Method::POST, "/v1/email-verifications", tokens, None).await.is(202)
}

/// Names another address.
async fn names(person: &Person, tokens: &Tokens, email: &str) -> Answer {
    let body = json!({"email": email, "current_password": PASSWORD});
    person.sends(Method::PATCH, "/v1/users/me", tokens, Some(body)).await.is(200)
}

/// The address in force, and whether it is verified.
async fn address(person: &Person, tokens: &Tokens) -> (Value, Value) {
    let account = person.looks(tokens).await.is(200).json();
    (account["email"].clone(), account["email_verified"].clone())
}

fn verified(email: &str) -> (Value, Value) {
    (json!(email), json!(true))
}

fn unverified(email: &str) -> (Value, Value) {
    (json!(email), json!(false))
}

async fn an_address_is_proved_by_the_mail_that_went_there(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers(&signet, "ada", ADA).await;
    let tokens = ada.logs_in().await;
    let token = inbox.brings_verification(ADA).await;
    assert_eq!(address(&ada, &tokens).await, unverified(ADA));
    let by_address = Person { username: ADA.into(), ..ada.clone() };
    by_address.tries(PASSWORD).await.refused("invalid_grant");
    verifies(&signet.site, &token).await.is(204);
    assert_eq!(address(&ada, &tokens).await, verified(ADA));
    by_address.tries(PASSWORD).await.granted();
    verifies(&signet.site, &token).await.problem(400, "invalid_token");
    inbox.delivers_nothing().await;
}

async fn a_link_is_good_for_a_day_and_the_newest_alone(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers(&signet, "ada", ADA).await;
    let first = inbox.brings_verification(ADA).await;
    signet.clock.advance(seconds(24 * 3600));
    verifies(&signet.site, &first).await.problem(400, "invalid_token");
    let tokens = ada.logs_in().await;
    asks_again(&ada, &tokens).await;
    let second = inbox.brings_verification(ADA).await;
    signet.clock.advance(seconds(1));
    asks_again(&ada, &tokens).await;
    let third = inbox.brings_verification(ADA).await;
    verifies(&signet.site, &second).await.problem(400, "invalid_token");
    for bad in ["", "x", &"A".repeat(43), &third[1..]] {
        verifies(&signet.site, bad).await.blames_the_sender();
    }
    signet.clock.advance(seconds(24 * 3600 - 1));
    verifies(&signet.site, &third).await.is(204);
}

/// Whether there was anything to verify shows in no answer.
async fn where_nothing_is_to_be_verified_nothing_is_sent(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let bob = signet.registers("bob").await;
    let kim = inbox.registers(&signet, "kim", "kim@example.org").await;
    inbox.delivers_one().await.is(VERIFY, "kim@example.org");
    let [adas, bobs, kims] = [ada.logs_in().await, bob.logs_in().await, kim.logs_in().await];
    let answers = [asks_again(&ada, &adas).await, asks_again(&bob, &bobs).await, asks_again(&kim, &kims).await];
    for answer in &answers {
        assert_eq!((answer.text(), answer.fields()), (answers[2].text(), answers[2].fields()));
    }
    inbox.brings_verification("kim@example.org").await;
    signet.site.post("/v1/email-verifications").answer().await.asks_for_a_token();
}

async fn a_new_address_waits_for_its_proof(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let tokens = ada.logs_in().await;
    let answer = names(&ada, &tokens, NEW).await.json();
    assert_eq!((&answer["email"], &answer["email_verified"]), (&json!(ADA), &json!(true)));
    let first = inbox.brings_verification(NEW).await;
    assert_eq!(address(&ada, &tokens).await, verified(ADA));
    signet.clock.advance(seconds(1));
    asks_again(&ada, &tokens).await;
    let token = inbox.brings_verification(NEW).await;
    verifies(&signet.site, &first).await.problem(400, "invalid_token");
    let by = |address: &str| Person { username: address.into(), ..ada.clone() };
    by(ADA).tries(PASSWORD).await.granted();
    by(NEW).tries(PASSWORD).await.refused("invalid_grant");

    verifies(&signet.site, &token).await.is(204);
    assert_eq!(address(&ada, &tokens).await, verified(NEW));
    let notice = inbox.delivers_one().await.is(EMAIL_CHANGED, ADA);
    assert!(notice.text.contains(NEW), "{notice:?}");
    by(NEW).tries(PASSWORD).await.granted();
    by(ADA).tries(PASSWORD).await.refused("invalid_grant");
}

async fn an_unproved_address_is_replaced_at_once(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers(&signet, "ada", ADA).await;
    let tokens = ada.logs_in().await;
    let old = inbox.brings_verification(ADA).await;
    signet.clock.advance(seconds(1));
    let answer = names(&ada, &tokens, NEW).await.json();
    assert_eq!((&answer["email"], &answer["email_verified"]), (&json!(NEW), &json!(false)));
    verifies(&signet.site, &old).await.problem(400, "invalid_token");
    verifies(&signet.site, &inbox.brings_verification(NEW).await).await.is(204);
    assert_eq!(address(&ada, &tokens).await, verified(NEW));
    inbox.delivers_nothing().await; // there was no owner to tell
}

async fn naming_the_present_address_takes_the_pending_one_back(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let tokens = ada.logs_in().await;
    names(&ada, &tokens, NEW).await;
    let token = inbox.brings_verification(NEW).await;
    names(&ada, &tokens, ADA).await;
    verifies(&signet.site, &token).await.problem(400, "invalid_token");
    asks_again(&ada, &tokens).await;
    inbox.delivers_nothing().await;
    assert_eq!(address(&ada, &tokens).await, verified(ADA));
}

/// Neither a registration nor a change reveals that an email address is taken; its owner gets an email instead.
async fn an_address_that_is_somebodys_is_told_to_its_owner_alone(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", "Ada@example.org").await;
    let register = async |username: &str, email: &str| {
        let body = json!({"username": username, "password": PASSWORD, "email": email});
        signet.site.post("/v1/users").json(&body).answer().await.is(201)
    };
    let free = register("bob", "bob@example.org").await;
    inbox.delivers_one().await.is(VERIFY, "bob@example.org");
    let taken = register("eve", "ADA@example.org").await;
    inbox.delivers_one().await.is(TRIED, "Ada@example.org");
    let members = |answer: &Answer| {
        let json = answer.json();
        let object = json.as_object().expect("an object");
        object.iter().map(|(name, value)| (name.clone(), value.is_string())).collect::<Vec<_>>()
    };
    assert_eq!((members(&free), free.fields()), (members(&taken), taken.fields()));

    let eve =
        Person { username: "eve".into(), password: PASSWORD.into(), id: String::new(), site: signet.site.clone() };
    let tokens = eve.logs_in().await;
    asks_again(&eve, &tokens).await;
    inbox.delivers_one().await.is(TRIED, "Ada@example.org");
    names(&eve, &tokens, "eve@example.org").await;
    verifies(&signet.site, &inbox.brings_verification("eve@example.org").await).await.is(204);
    names(&eve, &tokens, "ada@example.org").await;
    inbox.delivers_one().await.is(TRIED, "Ada@example.org");
    assert_eq!(address(&eve, &tokens).await, verified("eve@example.org"));
    assert_eq!(address(&ada, &ada.logs_in().await).await, verified("Ada@example.org"));
}

/// Registering with the email address of somebody else first gains nothing.
async fn who_proves_an_address_takes_it_from_all_who_claimed_it(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let eve = inbox.registers(&signet, "eve", ADA).await;
    let eves = inbox.brings_verification(ADA).await;
    let mallory = inbox.registers_verified(&signet, "mallory", "mallory@example.org").await;
    let (eve_in, mallory_in) = (eve.logs_in().await, mallory.logs_in().await);
    names(&mallory, &mallory_in, "ADA@example.org").await;
    let mallorys = inbox.brings_verification("ADA@example.org").await;

    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    assert_eq!(address(&eve, &eve_in).await, (Value::Null, json!(false)));
    for token in [&eves, &mallorys] {
        verifies(&signet.site, token).await.problem(400, "invalid_token");
    }
    assert_eq!(address(&mallory, &mallory_in).await, verified("mallory@example.org"));
    asks_again(&eve, &eve_in).await;
    inbox.delivers_nothing().await;
    signet.site.post("/v1/password-resets").json(&json!({"email": ADA})).answer().await.is(202);
    let token = inbox.brings_reset(ADA).await;
    let body = json!({"token": token, "new_password": crate::harness::NEW_PASSWORD});
    signet.site.post("/v1/password-resets/complete").json(&body).answer().await.is(204);
    ada.tries(crate::harness::NEW_PASSWORD).await.granted();
    eve.tries(PASSWORD).await.granted();
}

async fn of_many_who_prove_one_address_one_has_it(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let mut claims = Vec::new();
    for n in 0..8 {
        let person = inbox.registers(&signet, &format!("person{n}"), ADA).await;
        claims.push((person, inbox.brings_verification(ADA).await));
    }
    let all: Vec<_> = claims
        .iter()
        .map(|(_, token)| {
            let (site, token) = (signet.site.clone(), token.clone());
            tokio::spawn(async move { verifies(&site, &token).await })
        })
        .collect();
    let mut winners = 0;
    for ((person, _), one) in claims.iter().zip(all) {
        let answer = one.await.expect("it was answered");
        let tokens = person.logs_in().await;
        if answer.status == 204 {
            winners += 1;
            assert_eq!(address(person, &tokens).await, verified(ADA));
        } else {
            answer.problem(400, "invalid_token");
            assert_eq!(address(person, &tokens).await, (Value::Null, json!(false)));
        }
    }
    assert_eq!(winners, 1);
}

/// The flow of the page behind the link, which looks before anybody decides.
async fn flow(signet: &TestApp) -> VerifyEmail {
    let (db, clock) = (Database::from(signet.store().await), Arc::new(signet.clock.clone()));
    let changes = ChangeFeed {
        keyring: None,
        db: db.clone(),
        revocations: Revocations::default(),
        entities: EntityCache::default(),
        refused: RefusedNames::default(),
        clock: clock.clone(),
    };
    let outbox = Outbox { db: db.clone(), random: Random, clock: clock.clone(), awake: Arc::default() };
    VerifyEmail { db, changes, outbox, clock }
}

async fn looking_uses_nothing_up_and_not_me_takes_the_address_away(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let page = flow(&signet).await;
    let ada = inbox.registers(&signet, "ada", ADA).await;
    let token: SecretString = inbox.brings_verification(ADA).await.into();
    for _ in 0..10 {
        let claim = page.peek(&token).await.expect("the database answers").expect("it is live");
        assert_eq!((claim.user.username.as_written(), claim.email.as_str()), ("ada", ADA));
    }
    page.disown(&token).await.expect("it is live");
    assert!(page.peek(&token).await.expect("the database answers").is_none());
    page.complete(&token).await.expect_err("it was used");
    let tokens = ada.logs_in().await;
    assert_eq!(address(&ada, &tokens).await, (Value::Null, json!(false)));
    asks_again(&ada, &tokens).await;
    inbox.delivers_nothing().await;

    names(&ada, &tokens, NEW).await;
    let token: SecretString = inbox.brings_verification(NEW).await.into();
    page.complete(&token).await.expect("it is live");
    names(&ada, &tokens, "bob@example.org").await;
    let token: SecretString = inbox.brings_verification("bob@example.org").await.into();
    page.disown(&token).await.expect("it is live");
    assert_eq!(address(&ada, &tokens).await, verified(NEW), "the one in force stays");
}

async fn a_deleted_account_leaves_nothing_behind(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    let ada = inbox.registers_verified(&signet, "ada", ADA).await;
    let tokens = ada.logs_in().await;
    names(&ada, &tokens, NEW).await;
    signet.site.post("/v1/password-resets").json(&json!({"email": ADA})).answer().await.is(202);
    inbox.delivers().await;
    ada.sends(Method::DELETE, "/v1/users/me", &tokens, Some(json!({"password": PASSWORD}))).await.is(204);
    let store = signet.store().await;
    let secrets = one_use_secret::Entity::find().count(&store).await.expect("the database answers");
    assert_eq!(secrets, 0);
    // The owner is told, and then nothing is left of the account.
    inbox.delivers_one().await.is(DELETED, ADA);
    assert_eq!(job::Entity::find().count(&store).await.expect("the database answers"), 0);
    let counted = counted_email::Entity::find().all(&store).await.expect("the database answers");
    assert!(!counted.is_empty() && counted.iter().all(|row| row.user_id.is_none()), "{counted:?}");
}

/// One account cannot have the world written to, nor many accounts one mailbox.
async fn mails_to_unproved_addresses_are_limited(builder: TestEnvBuilder) {
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.mail", "3/1h");
    let signet = builder.open().await;
    let mut inbox = Inbox::of(&signet).await;
    for n in 0..3 {
        inbox.registers(&signet, &format!("person{n}"), ADA).await;
        inbox.brings_verification(ADA).await;
    }
    let eve = inbox.registers(&signet, "eve", ADA).await;
    inbox.delivers_nothing().await;
    let tokens = eve.logs_in().await;
    for n in 0..3 {
        let email = format!("victim{n}@example.org");
        names(&eve, &tokens, &email).await;
        inbox.brings_verification(&email).await;
    }
    names(&eve, &tokens, "victim3@example.org").await;
    inbox.delivers_nothing().await;
    signet.clock.advance(seconds(3600));
    asks_again(&eve, &eve.logs_in().await).await;
    inbox.brings_verification("victim3@example.org").await;
}

stories![
    an_address_is_proved_by_the_mail_that_went_there,
    a_link_is_good_for_a_day_and_the_newest_alone,
    a_new_address_waits_for_its_proof,
    an_unproved_address_is_replaced_at_once,
    naming_the_present_address_takes_the_pending_one_back,
    an_address_that_is_somebodys_is_told_to_its_owner_alone,
    who_proves_an_address_takes_it_from_all_who_claimed_it,
    of_many_who_prove_one_address_one_has_it,
    looking_uses_nothing_up_and_not_me_takes_the_address_away,
    a_deleted_account_leaves_nothing_behind,
    mails_to_unproved_addresses_are_limited,
];

stories_on![Sqlite: where_nothing_is_to_be_verified_nothing_is_sent];
