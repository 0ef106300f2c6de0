//! Links from elsewhere: whatever leads a browser here, nobody's login is replaced, no account made and nothing said to be
//! newer than it is, without a page of ours and a press.

use chrono::TimeDelta;
use entity::user;
use reqwest::Method;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;
use signet::testing::Clock;

use crate::harness::{
    Ask, PASSWORD, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, parameter},
    idp::{Idp, leaves, presses},
    jwt,
    relying_party::RelyingParty,
    seconds, stories_on,
};

const HINT: (&str, &str) = ("idp_hint", "idp");

async fn accounts(signet: &TestApp) -> u64 {
    user::Entity::find().count(&signet.store().await).await.expect("it answers")
}

/// The name of who is logged in in this browser.
async fn is_logged_in_as(browser: &BrowserSession, name: &str) {
    assert!(browser.opens("/account").await.is(200).text().contains(name));
}

async fn a_hint_replaces_nobodys_login_without_a_press(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    // Carol is known at the provider; Ada is logged in here.
    idp.script().claims = json!({"sub": "carol", "preferred_username": "carol"});
    idp.lets_in(&BrowserSession::at(&signet)).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let (tokens, _) = app.logs_in(&browser, &ada).await;
    signet.clock.advance(seconds(1));
    for prompt in ["login", "select_account"] {
        let lead = browser.opens(&app.link(&[HINT, ("prompt", prompt)])).await;
        let page = browser.follows(&lead).await.is(200);
        assert_eq!(page.header("refresh"), "", "{page:?}");
        let text = page.text();
        assert!(text.contains("Continue with idp") && text.contains("You are logged in as"), "{page:?}");
        signet.site.user_info(&tokens.access).await.is(200);
        is_logged_in_as(&browser, "ada").await;
        // With the press the person is who the provider says.
        if prompt == "select_account" {
            let back = idp.logs_in(&presses(&browser, &page, "idp").await);
            app.is_given_a_code(&browser.opens(&back).await);
            is_logged_in_as(&browser, "carol").await;
            signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
        }
    }
}

async fn a_login_that_began_meanwhile_is_not_replaced_by_a_hint(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    idp.script().claims = json!({"sub": "carol", "preferred_username": "carol"});
    idp.lets_in(&BrowserSession::at(&signet)).await;
    signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let lead = browser.opens(&app.link(&[HINT])).await;
    let back = idp.logs_in(&leaves(&browser.follows(&lead).await));
    // In another tab.
    browser.logs_in_at("/login", "ada", PASSWORD).await;
    let page = browser.opens(&back).await.is(200);
    assert!(page.text().contains("Continue with idp"), "{page:?}");
    is_logged_in_as(&browser, "ada").await;
}

async fn a_hint_makes_no_account_without_a_press(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder.set("providers.idp.trust_email", "true")).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let browser = BrowserSession::at(&signet);
    let lead = browser.opens(&app.link(&[HINT])).await;
    let page = browser.opens(&idp.logs_in(&leaves(&browser.follows(&lead).await))).await.is(200);
    assert!(page.text().contains("Choose a username") && page.text().contains("value=\"ada\""), "{page:?}");
    assert_eq!(accounts(&signet).await, 0);
    assert_eq!(browser.cookie("session"), None);
    let answer = browser.sends(&page, "/federation/idp/username", &[("username", "ada")]).await;
    app.is_given_a_code(&answer);
    assert_eq!(accounts(&signet).await, 1);
    // Who has an account, and is not logged in, is led straight through.
    let browser = BrowserSession::at(&signet);
    let lead = browser.opens(&app.link(&[HINT])).await;
    app.is_given_a_code(&browser.opens(&idp.logs_in(&leaves(&browser.follows(&lead).await))).await);
}

async fn a_head_request_changes_nothing(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let (tokens, hint) = app.logs_in(&browser, &ada).await;
    let cookies = browser.cookies().join("; ");
    let head = async |path: &str| signet.site.request(Method::HEAD, path).header("cookie", &cookies).answer().await;
    for path in [
        app.link(&[]),
        app.link(&[("prompt", "none")]),
        app.link(&[HINT]),
        format!("/oauth/logout?id_token_hint={hint}"),
        "/federation/idp".to_owned(),
        "/federation/idp/callback?state=x&code=y".to_owned(),
    ] {
        let answer = head(&path).await.is(405);
        assert_eq!(answer.header("allow"), "GET, POST", "{path}");
        assert_eq!((answer.header("location"), answer.header("set-cookie")), ("", ""), "{path}");
    }
    let body = json!({"username": "ada", "password": PASSWORD});
    signet.site.request(Method::HEAD, "/users/auth").json(&body).answer().await.is(405);
    signet.site.user_info(&tokens.access).await.is(200);
    for path in ["/login", "/account", "/verify-email?token=x", "/reset-password?token=x"] {
        let answer = head(path).await;
        assert!([200, 303, 400].contains(&answer.status), "{path}: {answer:?}");
    }
}

/// Neither has the provider said when, nor can anybody else.
async fn a_login_of_which_nobody_says_when_is_never_fresh(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    idp.script().claims = json!({"auth_time": null});
    for other in [("prompt", "login"), ("max_age", "1"), ("max_age", "0"), ("max_age", "100000")] {
        let browser = BrowserSession::at(&signet);
        let login = browser.follows(&browser.opens(&app.link(&[other])).await).await.is(200);
        let address = presses(&browser, &login, "idp").await;
        assert_eq!((parameter(&address, "prompt"), parameter(&address, "max_age")), ("login".into(), "0".into()));
        let page = browser.opens(&idp.logs_in(&address)).await.is(403);
        assert!(page.text().contains("did not ask you to log in again"), "{other:?}: {page:?}");
    }
    // Without such a wish it is a login, and no token says when it was.
    let browser = BrowserSession::at(&signet);
    let login = browser.follows(&browser.opens(&app.link(&[])).await).await.is(200);
    let answer = app.redeems(&app.is_given_a_code(&idp.brings_back(&browser, &login, "idp").await)).await;
    let id_token = jwt::claims(&answer.string("id_token"));
    let tokens = answer.granted();
    assert!(id_token.get("auth_time").is_none(), "{id_token}");
    assert!(jwt::claims(&tokens.access).get("auth_time").is_none());
    let ask = async |other: (&str, &str)| browser.opens(&app.link(&[("prompt", "none"), other])).await;
    app.is_given_a_code(&ask(("scope", "openid")).await);
    app.is_refused(&ask(("max_age", "100000")).await, "login_required");
    // Nor does it stand in for the password that the account does not have.
    let page = browser.opens("/account/delete").await.is(200);
    browser.sends(&page, "/account/delete", &[]).await.is(422);
    let page = browser.opens("/account/providers").await.is(200);
    assert!(page.text().contains("the only way into your account"), "{page:?}");
    assert_eq!(accounts(&signet).await, 1);
    let bearer = signet.site.request(Method::DELETE, "/v1/users/me").bearer_auth(&tokens.access);
    bearer.json(&json!({})).answer().await.blames_the_sender();
    // Where the provider says when, it does.
    let browser = BrowserSession::at(&signet);
    idp.script().claims = json!({"auth_time": signet.clock.now().timestamp()});
    idp.lets_in(&browser).await;
    let page = browser.opens("/account/delete").await.is(200);
    browser.sends(&page, "/account/delete", &[]).await.is(200);
    assert_eq!(accounts(&signet).await, 0);
}

/// Providers without ID tokens are asked in their own words.
async fn every_provider_is_asked_for_a_fresh_login_in_its_words(builder: TestEnvBuilder) {
    let (github, facebook) = (Idp::opens().await, Idp::opens().await);
    let builder = facebook.configure(github.configure(builder, "github", "github"), "facebook", "facebook");
    let signet = builder.open().await;
    let browser = BrowserSession::at(&signet);
    let page = browser.opens("/login").await.is(200);
    let address = presses(&browser, &page, "github").await;
    assert_eq!(parameter(&address, "prompt"), "select_account");
    let address = presses(&browser, &page, "facebook").await;
    assert_eq!(parameter(&address, "auth_type"), "reauthenticate");
}

/// OpenID Connect: `max_age=0` is `prompt=login`, within the same second too.
async fn no_login_is_younger_than_zero_seconds(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    app.is_refused(&browser.opens(&app.link(&[("max_age", "0"), ("prompt", "none")])).await, "login_required");
    signet.clock.advance(TimeDelta::milliseconds(1));
    let link = app.link(&[("max_age", "0"), ("prompt", "select_account")]);
    let page = browser.follows(&browser.opens(&link).await).await.is(200);
    assert!(!page.text().contains("Continue as"), "{page:?}");
}

stories_on![Sqlite:
    a_hint_replaces_nobodys_login_without_a_press,
    a_login_that_began_meanwhile_is_not_replaced_by_a_hint,
    a_hint_makes_no_account_without_a_press,
    a_head_request_changes_nothing,
    a_login_of_which_nobody_says_when_is_never_fresh,
    every_provider_is_asked_for_a_fresh_login_in_its_words,
    no_login_is_younger_than_zero_seconds,
];
