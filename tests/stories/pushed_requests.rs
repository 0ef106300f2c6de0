//! Pushed authorization requests (RFC 9126), and what a code carries.

use url::form_urlencoded;

use crate::harness::{
    TestApp,
    browser_session::{BrowserSession, location},
    jwt,
    relying_party::RelyingParty,
    stories, stories_on,
};

/// The path that the browser takes with a reference.
fn path(app: &RelyingParty, reference: &str) -> String {
    let pairs = [("client_id", app.client.id.as_str()), ("request_uri", reference)];
    format!("/oauth/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

async fn push(signet: &TestApp, app: &RelyingParty) -> String {
    app.client.posts(&signet.site, "/oauth/par", &app.request()).await.is(201).string("request_uri")
}

async fn a_reference_is_good_once(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let (ada, eve) = (signet.registers("ada").await, signet.registers("eve").await);
    let (adas, eves) = (BrowserSession::at(&signet), BrowserSession::at(&signet));
    app.gets_a_code(&eves, &eve).await;
    let reference = push(&signet, &app).await;
    // It is good until a code was given for it: a page may be loaded again.
    let login = location(&adas.opens(&path(&app, &reference)).await);
    let login_again = location(&adas.opens(&path(&app, &reference)).await);
    app.is_given_a_code(&adas.logs_in_at(&login, &ada.username, &ada.password).await);
    for browser in [&adas, &eves] {
        let answer = browser.opens(&path(&app, &reference)).await.is(400);
        assert_eq!(answer.header("location"), "", "{answer:?}");
    }
    // Nor does the page that was opened before bring another one.
    let resumed = login_again.replace("/login?request=", "/oauth/authorize?resume=");
    let answer = adas.opens(&resumed).await.is(400);
    assert_eq!(answer.header("location"), "", "{answer:?}");
    app.is_given_a_code(&adas.opens(&path(&app, &push(&signet, &app).await)).await);
}

async fn of_many_browsers_at_once_one_uses_a_reference(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    let reference = push(&signet, &app).await;
    let all: Vec<_> = (0..8)
        .map(|_| {
            let (browser, path) = (browser.clone(), path(&app, &reference));
            tokio::spawn(async move { browser.opens(&path).await.status })
        })
        .collect();
    let mut codes = 0;
    for one in all {
        codes += usize::from(one.await.expect("an answer") == 303);
    }
    assert_eq!(codes, 1);
}

async fn a_reference_is_not_pushed(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let reference = push(&signet, &app).await;
    for uri in [reference.as_str(), "https://app.example.com/request"] {
        let request = [&app.request()[..], &[("request_uri", uri)]].concat();
        app.client.posts(&signet.site, "/oauth/par", &request).await.oauth_error(400, "invalid_request");
    }
}

/// What would not fit into a token is refused before there is a code, never after.
async fn a_nonce_is_as_long_as_a_token_can_carry(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    for nonce in ["\"".repeat(512), "é".repeat(256), "x".repeat(512)] {
        let code = app.gets_a_code_for(&browser, &ada, &[("nonce", &nonce)]).await;
        let answer = app.redeems(&code).await;
        assert_eq!(jwt::claims(&answer.string("id_token"))["nonce"], nonce.as_str());
    }
    for nonce in ["\"".repeat(513), "x".repeat(513), "x".repeat(2048)] {
        let answer = browser.opens(&app.link(&[("nonce", &nonce)])).await;
        app.is_refused(&answer, "invalid_request");
        assert!(location(&answer).contains("nonce"), "{answer:?}");
    }
    // The words of a refusal, once each.
    let code = app.gets_a_code(&browser, &ada).await;
    let answer = app.redeems_with(&code, &[("code_verifier", "short")]).await.is(400);
    assert!(answer.string("error_description").starts_with("code_verifier is 43"), "{answer:?}");
}

stories![a_reference_is_good_once, of_many_browsers_at_once_one_uses_a_reference];

stories_on![Sqlite: a_reference_is_not_pushed, a_nonce_is_as_long_as_a_token_can_carry];
