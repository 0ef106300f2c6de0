//! Login with providers: which users it accepts, and their accounts.

use entity::{identity, user};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;

use crate::harness::{
    Ask, Fixture, PASSWORD, Person, TestApp,
    browser_session::{BrowserSession, location, parameter},
    idp::{Idp, leaves, presses},
    inbox::{Inbox, VERIFY},
    jwt,
    relying_party::RelyingParty,
    seconds, stories, stories_on,
    test_env::TestEnvBuilder,
};

/// How many accounts there are.
async fn accounts(signet: &TestApp) -> u64 {
    user::Entity::find().count(&signet.store().await).await.expect("the database answers")
}

/// The account of this name.
async fn account(signet: &TestApp, username: &str) -> user::Model {
    let found = user::Entity::find().filter(user::Column::Username.eq(username)).one(&signet.store().await).await;
    found.expect("the database answers").unwrap_or_else(|| panic!("there is no {username}"))
}

async fn somebody_new_gets_an_account_and_comes_back_to_it(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let mut subjects = Vec::new();
    for _ in 0..2 {
        let session_browser = BrowserSession::at(&signet);
        let login = session_browser.follows(&session_browser.opens(&app.link(&[])).await).await.is(200);
        assert!(login.text().contains("Continue with idp"), "{login:?}");
        let answer = idp.brings_back(&session_browser, &login, "idp").await;
        let tokens = app.redeems(&app.is_given_a_code(&answer)).await.granted();
        let claims = jwt::claims(&tokens.access);
        assert_eq!(claims["preferred_username"], "ada");
        assert_eq!(claims["amr"], json!(["fed"]));
        subjects.push(claims["sub"].clone());
        signet.clock.advance(seconds(60));
    }
    assert_eq!(subjects[0], subjects[1]);
    assert_eq!(accounts(&signet).await, 1);
    assert_eq!(account(&signet, "ada").await.password_hash, None);
    // A login without a client leads to the account page.
    assert_eq!(location(&idp.lets_in(&BrowserSession::at(&signet)).await), "/account");
}

async fn an_address_alone_opens_no_account(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder.set("providers.idp.trust_email", "true")).await;
    let mut inbox = Inbox::of(&signet).await;
    verified(&signet, &mut inbox, "grace").await;
    let subject = |subject: &str| json!({"sub": subject, "email": "grace@example.org", "preferred_username": subject});
    // The provider does not say that it proved it, or not truly.
    for (index, lie) in [json!(null), json!(false), json!("true"), json!(1)].into_iter().enumerate() {
        let mut claims = subject(&format!("stranger{index}"));
        claims["email_verified"] = lie.clone();
        idp.script().claims = claims;
        let session_browser = BrowserSession::at(&signet);
        assert_eq!(location(&idp.lets_in(&session_browser).await), "/account", "{lie}");
        let stranger = account(&signet, &format!("stranger{index}")).await;
        assert!(!stranger.email_verified, "{lie}");
    }
    assert_eq!(links(&signet, "grace").await, 0);
    // It does: both sides proved it.
    let mut claims = subject("grace-at-idp");
    claims["email_verified"] = json!(true);
    idp.script().claims = claims;
    assert_eq!(location(&idp.lets_in(&BrowserSession::at(&signet)).await), "/account");
    assert_eq!(links(&signet, "grace").await, 1);
    // Another subject with the same address, as when the provider gives an address to somebody else.
    idp.script().claims = json!({"sub": "another", "email": "grace@example.org", "preferred_username": "another"});
    idp.lets_in(&BrowserSession::at(&signet)).await;
    assert_eq!(links(&signet, "grace").await, 1);
    assert!(!account(&signet, "another").await.email_verified);
}

async fn an_untrusted_provider_links_nothing_whatever_it_says(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let mut inbox = Inbox::of(&signet).await;
    verified(&signet, &mut inbox, "grace").await;
    idp.script().claims = json!({"email": "grace@example.org", "email_verified": true});
    assert_eq!(location(&idp.lets_in(&BrowserSession::at(&signet)).await), "/account");
    assert_eq!(links(&signet, "grace").await, 0);
    assert!(!account(&signet, "ada").await.email_verified, "it is yet to be proved, by a mail");
    assert!(account(&signet, "grace").await.email_verified);
}

/// An attacker registers with the victim's address and waits. The victim comes by a provider.
async fn a_pre_hijacked_address_is_worth_nothing(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder.set("providers.idp.trust_email", "true")).await;
    let mut inbox = Inbox::of(&signet).await;
    let body = json!({"username": "mallory", "password": PASSWORD, "email": "victim@example.org"});
    signet.site.post("/v1/users").json(&body).answer().await.is(201);
    let mallory = Person {
        username: "mallory".to_owned(),
        password: PASSWORD.to_owned(),
        id: String::new(),
        site: signet.site.clone(),
    };
    let session = mallory.logs_in().await;
    let secret = inbox.delivers_one().await.is(VERIFY, "victim@example.org").token("/verify-email");

    idp.script().claims =
        json!({"email": "victim@example.org", "email_verified": true, "preferred_username": "victim"});
    let victim = BrowserSession::at(&signet);
    assert_eq!(location(&idp.lets_in(&victim).await), "/account");
    let (ours, theirs) = (account(&signet, "victim").await, account(&signet, "mallory").await);
    assert_ne!(ours.id, theirs.id);
    assert!(ours.email_verified && ours.password_hash.is_none());
    assert_eq!(theirs.email, None, "what was only claimed is taken away");
    assert_eq!(links(&signet, "mallory").await, 0);
    // The earlier verification link is void for everybody.
    let token = json!({"token": secret});
    signet.site.post("/v1/email-verifications/complete").json(&token).answer().await.problem(400, "invalid_token");
    // The attacker's session and password open the attacker's account alone, and the address names the victim's.
    assert_eq!(signet.site.user_info(&session.access).await.is(200).json()["sub"], json!(theirs.id));
    let by_address = [("grant_type", "password"), ("username", "victim@example.org"), ("password", PASSWORD)];
    signet.site.token(&by_address).answer().await.refused("invalid_grant");
}

async fn a_name_is_asked_for_where_there_is_none_to_take(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let login = session_browser.follows(&session_browser.opens(&app.link(&[])).await).await.is(200);
    let page = idp.brings_back(&session_browser, &login, "idp").await.is(422);
    assert!(page.text().contains("This name is taken"), "{page:?}");
    assert_eq!(accounts(&signet).await, 1);
    let form = "/federation/idp/username";
    let again = session_browser.sends(&page, form, &[("username", "a b")]).await.is(422);
    assert!(again.text().contains("username-error"), "{again:?}");
    // The form is void in another browser, and for a second use in this one.
    session_browser.sends(&page, form, &[("username", "thief")]).await.is(400);
    let other = BrowserSession::at(&signet);
    other.opens("/login").await.is(200);
    let stolen = crate::harness::browser_session::hidden(&again.text(), form);
    let fields: Vec<(&str, &str)> = stolen.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    other.posts(form, &[&fields[..], &[("username", "thief")]].concat()).await.is(403);
    let answer = session_browser.sends(&again, form, &[("username", "lovelace")]).await;
    let tokens = app.redeems(&app.is_given_a_code(&answer)).await.granted();
    assert_eq!(jwt::claims(&tokens.access)["preferred_username"], "lovelace");
    // The form in the browser's history does not log anybody in.
    session_browser.sends(&again, form, &[("username", "lovelace")]).await.is(400);
    assert_eq!(accounts(&signet).await, 2);
}

/// A person's own name is not made public unasked, and an address never.
async fn what_is_not_public_there_is_not_made_public_here(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    for (claims, proposal) in [
        (json!({"preferred_username": null, "name": "Ada Lovelace", "sub": "1"}), "Ada.Lovelace"),
        (json!({"preferred_username": "ada@example.org", "sub": "2"}), ""),
    ] {
        idp.script().claims = claims;
        let page = idp.lets_in(&BrowserSession::at(&signet)).await.is(200);
        assert!(page.text().contains(&format!("value=\"{proposal}\"")), "{page:?}");
    }
    assert_eq!(accounts(&signet).await, 0);
}

async fn a_client_may_name_the_provider(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    idp.lets_in(&BrowserSession::at(&signet)).await;
    let session_browser = BrowserSession::at(&signet);
    let lead = session_browser.opens(&app.link(&[("idp_hint", "idp")])).await;
    assert!(location(&lead).starts_with("/federation/idp?request="), "{lead:?}");
    let back = idp.logs_in(&leaves(&session_browser.follows(&lead).await));
    app.is_given_a_code(&session_browser.opens(&back).await);
    // One that is not there is passed over.
    let other = BrowserSession::at(&signet);
    let lead = other.opens(&app.link(&[("idp_hint", "../evil")])).await;
    assert!(location(&lead).starts_with("/login?request="), "{lead:?}");
}

async fn several_tabs_log_in_each_by_itself(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens("/login").await.is(200);
    let first = presses(&session_browser, &page, "idp").await;
    let second = presses(&session_browser, &page, "idp").await;
    assert_ne!(parameter(&first, "state"), parameter(&second, "state"));
    for address in [first, second] {
        assert_eq!(location(&session_browser.opens(&idp.logs_in(&address)).await), "/account");
    }
    // However many are begun, the browser's requests stay small.
    for _ in 0..20 {
        let page = BrowserSession::opens(&session_browser, "/register").await.is(200);
        presses(&session_browser, &page, "idp").await;
    }
    let bytes: usize = session_browser.cookies().iter().map(String::len).sum();
    assert!(bytes < 5000, "{bytes} bytes of cookies");
}

async fn a_provider_may_answer_by_a_form(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens("/login").await.is(200);
    let back = idp.logs_in(&presses(&session_browser, &page, "idp").await);
    let fields = crate::harness::browser_session::query(&back);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // The browser posts it from the provider's page, without our cookies.
    let posted = signet.site.post("/federation/idp/callback").header("origin", idp.issuer()).form(&fields);
    let answer = posted.header("sec-fetch-site", "cross-site").answer().await;
    assert!(answer.header("set-cookie").is_empty(), "{answer:?}");
    assert_eq!(location(&session_browser.follows(&answer).await), "/account");
}

async fn any_replica_takes_who_comes_back(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let replica = signet.replica_with(&[("issuer", &signet.issuer)]).await;
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens("/login").await.is(200);
    let back = idp.logs_in(&presses(&session_browser, &page, "idp").await);
    let path = back.strip_prefix(&signet.issuer).expect("it leads to us");
    let cookies = session_browser.cookies().join("; ");
    let answer = replica.site.get(path).header("cookie", &cookies).answer().await;
    assert_eq!(location(&answer), "/account");
    // And the first one knows that it was used.
    session_browser.opens(&back).await.is(400);
    replica.stop().await;
}

async fn where_registration_is_closed_nobody_new_gets_in(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder.set("registration", "closed")).await;
    let page = idp.lets_in(&BrowserSession::at(&signet)).await.is(403);
    assert!(page.text().contains("There is no account for you yet"), "{page:?}");
    assert_eq!(accounts(&signet).await, 0);
}

async fn a_disabled_account_stays_shut_and_a_deleted_one_is_forgotten(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    idp.lets_in(&BrowserSession::at(&signet)).await;
    let first = account(&signet, "ada").await.id;
    signet.runs(&["user", "disable", "ada"]).await.well();
    let session_browser = BrowserSession::at(&signet);
    let page = idp.lets_in(&session_browser).await.is(403);
    assert!(page.text().contains("This account cannot be used"), "{page:?}");
    assert_eq!(session_browser.cookie("session"), None);
    signet.runs(&["user", "delete", "ada"]).await.well();
    let left = identity::Entity::find().count(&signet.store().await).await.expect("the database answers");
    assert_eq!(left, 0, "its links go with it");
    assert_eq!(location(&idp.lets_in(&BrowserSession::at(&signet)).await), "/account");
    assert_ne!(account(&signet, "ada").await.id, first);
}

async fn github_and_facebook_tell_it_their_own_way(builder: TestEnvBuilder) {
    let (github, facebook) = (Idp::opens().await, Idp::opens().await);
    let builder = facebook.configure(github.configure(builder, "github", "github"), "facebook", "facebook");
    let builder = builder.set("providers.github.trust_email", "true").set("providers.facebook.trust_email", "true");
    let signet = builder.open().await;
    github.keeps_time_with(&signet);
    facebook.keeps_time_with(&signet);
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens("/login").await.is(200);
    assert!(page.text().contains("Continue with GitHub") && page.text().contains("Continue with Facebook"), "{page:?}");
    github.script().userinfo = json!({"id": 583_231, "login": "octocat", "name": "Mona", "email": "x@example.org"});
    github.script().emails = json!([
        {"email": "old@example.org", "primary": false, "verified": true},
        {"email": "mona@example.org", "primary": true, "verified": true}
    ]);
    assert_eq!(location(&github.brings_back(&session_browser, &page, "github").await), "/account");
    let octocat = account(&signet, "octocat").await;
    assert_eq!((octocat.email.as_deref(), octocat.email_verified), (Some("mona@example.org"), true));

    // Facebook's addresses are as good as unverified, whatever the operator trusts.
    facebook.script().userinfo =
        json!({"id": "10", "name": "Zuck", "email": "mona@example.org", "email_verified": true});
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens("/login").await.is(200);
    let asked = facebook.brings_back(&session_browser, &page, "facebook").await.is(200);
    let answer = session_browser.sends(&asked, "/federation/facebook/username", &[("username", "zuck")]).await;
    assert_eq!(location(&answer), "/account");
    assert!(!account(&signet, "zuck").await.email_verified);
    assert_eq!(links(&signet, "octocat").await, 1);
    assert_eq!(facebook.asked_for("/userinfo/emails"), 0);
}

async fn an_account_without_a_password_may_set_one_by_mail(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder.set("providers.idp.trust_email", "true")).await;
    let mut inbox = Inbox::of(&signet).await;
    idp.script().claims = json!({"email": "ada@example.org", "email_verified": true});
    idp.lets_in(&BrowserSession::at(&signet)).await;
    let nothing = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    signet.site.token(&nothing).answer().await.refused("invalid_grant");
    signet.site.post("/v1/password-resets").json(&json!({"username": "ada"})).answer().await.is(202);
    let token = inbox.delivers_one().await.token("/reset-password");
    let body = json!({"token": token, "new_password": PASSWORD});
    signet.site.post("/v1/password-resets/complete").json(&body).answer().await.is(204);
    signet.site.token(&nothing).answer().await.granted();
}

/// Without an address there would be no way to a password, and without a password none to an address.
async fn an_account_without_a_password_changes_its_address_by_a_recent_log_in(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let session_browser = BrowserSession::at(&signet);
    // The provider is asked to say when.
    let link = app.link(&[("prompt", "login")]);
    let login = session_browser.follows(&session_browser.opens(&link).await).await.is(200);
    let answer = idp.brings_back(&session_browser, &login, "idp").await;
    let tokens = app.redeems(&app.is_given_a_code(&answer)).await.granted();
    let patch = async |body| {
        let request = signet.site.request(reqwest::Method::PATCH, "/v1/users/me").bearer_auth(&tokens.access);
        request.json(&body).answer().await
    };
    patch(json!({"email": "ada@example.org", "current_password": PASSWORD})).await.blames_the_sender();
    let changed = patch(json!({"email": "ada@example.org"})).await.is(200);
    assert_eq!(changed.string("email"), "ada@example.org");
    signet.clock.advance(seconds(301));
    patch(json!({"email": "eve@example.org"})).await.blames_the_sender();
    // With a password there is no way round it, however recent the login.
    let grace = signet.registers("grace").await;
    let tokens = grace.logs_in().await;
    let body = json!({"email": "grace@example.org"});
    grace.sends(reqwest::Method::PATCH, "/v1/users/me", &tokens, Some(body)).await.blames("current_password");
}

async fn used_attempts_are_forgotten_when_they_are_over(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    idp.lets_in(&BrowserSession::at(&signet)).await;
    let store = signet.store().await;
    let kept = async || entity::federation_attempt::Entity::find().count(&store).await.expect("the database answers");
    assert_eq!(kept().await, 1);
    let prune = signet::testing::Prune {
        db: signet.store().await.into(),
        clock: std::sync::Arc::new(signet.clock.clone()),
        refresh_token_ttl: crate::harness::days(30),
        outbox_folder: signet.folder.join("data/outbox"),
        status_indexes: signet::testing::StatusIndexes::new(signet::testing::Random),
    };
    prune.once().await.expect("the database answers");
    assert_eq!(kept().await, 1, "it could still be tried again");
    signet.clock.advance(seconds(20 * 60));
    prune.once().await.expect("the database answers");
    assert_eq!(kept().await, 0);
}

/// Another Signet is the provider: by its own discovery, keys, codes and ID tokens.
async fn another_signet_is_a_provider(builder: TestEnvBuilder) {
    let there = TestApp::on(crate::harness::Database::Sqlite).await;
    let redirect = "http://127.0.0.1/federation/there/callback";
    let options = ["--name", "Here", "--first-party", "--redirect-uri", redirect, "--grant", "authorization_code"];
    let scopes = ["--scope", "openid", "--scope", "email", "--scope", "profile"];
    let client = there.registers_client(&[&options[..], &scopes[..]].concat()).await;
    let here = builder
        .set("providers.there.kind", "oidc")
        .set("providers.there.issuer", &there.issuer)
        .set("providers.there.authorize_url", &format!("{}/oauth/authorize", there.issuer))
        .set("providers.there.client_id", &client.id)
        .set("providers.there.client_secret", &client.secret)
        .open()
        .await;
    let ada = there.registers("ada").await;
    let (session_browser, at_provider) = (BrowserSession::at(&here), BrowserSession::at(&there));
    let page = session_browser.opens("/login").await.is(200);
    let address = presses(&session_browser, &page, "there").await;
    let login = at_provider.opens(&address).await;
    let back = location(&at_provider.logs_in_at(&location(&login), &ada.username, &ada.password).await);
    assert!(back.starts_with(&format!("{}/federation/there/callback?", here.issuer)), "{back}");
    assert_eq!(location(&session_browser.opens(&back).await), "/account");
    let linked = identity::Entity::find().one(&here.store().await).await.expect("the database answers");
    let linked = linked.expect("it is linked");
    assert_eq!((linked.issuer, linked.subject), (there.issuer.clone(), ada.id));
}

/// An account whose owner has proved `NAME@example.org`.
async fn verified(signet: &TestApp, inbox: &mut Inbox, name: &str) {
    let email = format!("{name}@example.org");
    let body = json!({"username": name, "password": PASSWORD, "email": email});
    signet.site.post("/v1/users").json(&body).answer().await.is(201);
    let token = inbox.delivers_one().await.is(VERIFY, &email).token("/verify-email");
    signet.site.post("/v1/email-verifications/complete").json(&json!({"token": token})).answer().await.is(204);
}

/// How many identities open this account.
async fn links(signet: &TestApp, username: &str) -> u64 {
    let id = account(signet, username).await.id;
    let links = identity::Entity::find().filter(identity::Column::UserId.eq(id));
    links.count(&signet.store().await).await.expect("the database answers")
}

stories![
    somebody_new_gets_an_account_and_comes_back_to_it,
    an_address_alone_opens_no_account,
    a_pre_hijacked_address_is_worth_nothing,
    a_name_is_asked_for_where_there_is_none_to_take,
    a_disabled_account_stays_shut_and_a_deleted_one_is_forgotten,
    used_attempts_are_forgotten_when_they_are_over,
    an_account_without_a_password_may_set_one_by_mail,
    an_account_without_a_password_changes_its_address_by_a_recent_log_in,
];

stories_on![Postgres:
    any_replica_takes_who_comes_back,
];

stories_on![Sqlite:
    an_untrusted_provider_links_nothing_whatever_it_says,
    what_is_not_public_there_is_not_made_public_here,
    a_client_may_name_the_provider,
    several_tabs_log_in_each_by_itself,
    a_provider_may_answer_by_a_form,
    where_registration_is_closed_nobody_new_gets_in,
    github_and_facebook_tell_it_their_own_way,
    another_signet_is_a_provider,
];
