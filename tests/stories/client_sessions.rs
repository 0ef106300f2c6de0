//! One session a client and browser login: the next code continues it.

use std::{collections::BTreeSet, time::Duration};

use crate::harness::{
    Person, TestApp, Tokens, browser_session::BrowserSession, eventually, jwt, relying_party::RelyingParty, seconds,
    stories,
};

/// The sessions of `person` that have not ended.
async fn live_sessions(signet: &TestApp, person: &Person) -> u64 {
    let shown = signet.runs(&["user", "show", &person.username, "--json"]).await.well().json();
    shown["sessions"].as_u64().unwrap_or_else(|| panic!("no count: {shown}"))
}

/// A further code in the same browser, without a page.
async fn again(app: &RelyingParty, browser: &BrowserSession) -> Tokens {
    let answer = browser.opens(&app.link(&[("prompt", "none")])).await;
    app.redeems(&app.is_given_a_code(&answer)).await.granted()
}

async fn the_next_code_continues_the_clients_session(signet: TestApp) {
    let (app, other) =
        (RelyingParty::registers_first_party(&signet).await, RelyingParty::registers_first_party(&signet).await);
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let (first, _) = app.logs_in(&browser, &ada).await;
    let mut newest = first.clone();
    for _ in 0..6 {
        signet.clock.advance(seconds(60));
        newest = again(&app, &browser).await;
        assert_eq!(jwt::sid(&newest.access), jwt::sid(&first.access));
    }
    assert_eq!(live_sessions(&signet, &ada).await, 2, "the browser's and the client's");
    // Another client, and another browser, have their own.
    let elsewhere = again(&other, &browser).await;
    let (there, _) = app.logs_in(&BrowserSession::at(&signet), &ada).await;
    let sids: BTreeSet<String> = [&first, &elsewhere, &there].map(|tokens| jwt::sid(&tokens.access)).into();
    assert_eq!(sids.len(), 3);

    // The refresh token of an earlier code is an older one of the same session: that it is used tells of a theft.
    app.client.refreshes(&signet.site, &first).await.refused("invalid_grant");
    app.client.refreshes(&signet.site, &newest).await.refused("invalid_grant");
    // The child alone has ended. The login and the other client go on, and the next code begins a new session.
    other.client.refreshes(&signet.site, &elsewhere).await.granted();
    let renewed = again(&app, &browser).await;
    assert_ne!(jwt::sid(&renewed.access), jwt::sid(&first.access));
    app.client.refreshes(&signet.site, &renewed).await.granted();
}

async fn an_answer_that_was_lost_is_repeated_after_a_code_too(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let (first, _) = app.logs_in(&browser, &ada).await;
    let second = again(&app, &browser).await;
    let repeated = app.client.refreshes(&signet.site, &first).await.granted(); // within the grace
    assert_eq!(jwt::claims(&repeated.refresh)["jti"], jwt::claims(&second.refresh)["jti"]);
}

/// What the newest code granted is what the session has: neither more nor less.
async fn the_newest_code_says_what_the_session_may(signet: TestApp) {
    let app = RelyingParty::registers_with(&signet, &["--first-party", "--resource", "https://api.example"]).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let wide = app.redeems(&app.gets_a_code(&browser, &ada).await).await.granted();
    let narrow = [("scope", "openid"), ("resource", "https://api.example")];
    let code = app.gets_a_code_for(&browser, &ada, &narrow).await;
    let tokens = app.redeems(&code).await.granted();
    assert_eq!(jwt::sid(&tokens.access), jwt::sid(&wide.access));
    let tokens = app.client.refreshes(&signet.site, &tokens).await.granted();
    assert_eq!(tokens.scope, "openid");
    assert_eq!(jwt::claims(&tokens.access)["aud"], "https://api.example");
}

async fn eight_codes_at_once_make_one_session(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    for _ in 0..3 {
        let mut codes = vec![app.gets_a_code(&browser, &ada).await];
        for _ in 0..7 {
            codes.push(app.gets_a_code(&browser, &ada).await);
        }
        let all: Vec<_> = codes
            .into_iter()
            .map(|code| {
                let app = app.clone();
                tokio::spawn(async move { app.redeems(&code).await.granted() })
            })
            .collect();
        let mut tokens = Vec::new();
        for one in all {
            tokens.push(one.await.expect("it was granted"));
        }
        let sids: BTreeSet<String> = tokens.iter().map(|tokens| jwt::sid(&tokens.access)).collect();
        assert_eq!(sids.len(), 1, "{sids:?}");
        let jtis: BTreeSet<String> =
            tokens.iter().map(|tokens| jwt::claims(&tokens.refresh)["jti"].to_string()).collect();
        assert_eq!(jtis.len(), 8, "each code has a refresh token of its own: {jtis:?}");
    }
    assert_eq!(live_sessions(&signet, &ada).await, 2);
}

/// A code that is used twice ends the session that it continued, and its tokens everywhere.
async fn the_copy_of_a_later_code_ends_the_session(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let (first, _) = app.logs_in(&browser, &ada).await;
    let code = app.gets_a_code(&browser, &ada).await;
    let second = app.redeems(&code).await.granted();
    app.redeems(&code).await.refused("invalid_grant");
    for tokens in [&first, &second] {
        signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
        app.client.refreshes(&signet.site, tokens).await.refused("invalid_grant");
    }
    again(&app, &browser).await;
}

async fn the_end_of_the_login_ends_what_was_continued(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.logs_in(&browser, &ada).await;
    let tokens = again(&app, &browser).await;
    signet.runs(&["user", "revoke-sessions", "ada"]).await.well();
    app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
    eventually(Duration::from_secs(10), "its access token is refused", async || {
        signet.site.user_info(&tokens.access).await.status == 401
    })
    .await;
    assert_eq!(live_sessions(&signet, &ada).await, 0);
}

stories![
    the_next_code_continues_the_clients_session,
    an_answer_that_was_lost_is_repeated_after_a_code_too,
    the_newest_code_says_what_the_session_may,
    eight_codes_at_once_make_one_session,
    the_copy_of_a_later_code_ends_the_session,
    the_end_of_the_login_ends_what_was_continued,
];
