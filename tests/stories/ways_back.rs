//! The way back to a client in a real browser, which holds our pages to their policy: clients that redirect on to other
//! origins, at every kind of address, in popups, and the browser's Back.

use crate::harness::{
    PASSWORD, TestApp,
    browser::Browser,
    callback::{BACK, Callback},
    driver::FOREIGN_HOST,
    relying_party::RelyingParty,
    seconds, stories_on,
};

const NAME: &str = "Username or email address";

/// A client with this redirect URI, which asks for consent.
async fn client(signet: &TestApp, redirect_uri: &str, more: &[&str]) -> RelyingParty {
    let options = ["--name", "Lighthouse", "--redirect-uri", redirect_uri, "--grant", "authorization_code"];
    let client = signet.registers_client(&[&options[..], &["--scope", "openid"], more].concat()).await;
    RelyingParty::of(signet, client, redirect_uri)
}

fn link(signet: &TestApp, app: &RelyingParty, other: &[(&str, &str)]) -> String {
    format!("{}{}", signet.issuer, app.link(&[&[("scope", "openid")], other].concat()))
}

async fn logs_in(browser: &Browser) {
    browser.types(NAME, "ada").await;
    browser.types("Password", PASSWORD).await;
    browser.presses("Log in").await;
}

/// Chromium and Safari apply `form-action` to every address that a form's answer leads through.
async fn a_client_that_leads_on_to_another_origin_gets_its_browser(signet: TestApp) {
    signet.registers("ada").await;
    let site = Callback::serves().await;
    let bye = ["--post-logout-redirect-uri", &site.hop()];
    let own = client(&signet, &site.hop(), &[&bye[..], &["--first-party"]].concat()).await;
    let other = client(&signet, &site.hop(), &[]).await;
    let browser = Browser::open().await;
    let is_back = async || {
        browser.sees(BACK).await;
        assert_eq!(browser.url().await.host_str(), Some(FOREIGN_HOST));
    };
    for mode in ["query", "form_post"] {
        let mode = ("response_mode", mode);
        // By login, by consent, by registration, and at once.
        browser.visits(&link(&signet, &own, &[mode, ("prompt", "login")])).await;
        logs_in(&browser).await;
        is_back().await;
        browser.visits(&link(&signet, &other, &[mode, ("prompt", "consent")])).await;
        browser.presses("Allow").await;
        is_back().await;
        browser.visits(&link(&signet, &own, &[mode])).await;
        is_back().await;
        signet.clock.advance(seconds(1));
    }
    browser
        .visits(&format!(
            "{}/oauth/logout?client_id={}&post_logout_redirect_uri={}",
            signet.issuer,
            own.client.id,
            site.hop()
        ))
        .await;
    browser.presses("Log out").await;
    is_back().await;
    browser.visits(&link(&signet, &own, &[])).await;
    browser.follows("Create an account").await;
    browser.types("Username", "grace").await;
    browser.types("Password", PASSWORD).await;
    browser.presses("Create the account").await;
    is_back().await;
    browser.closes().await;
}

/// No content security policy can name an IPv6 address (CSP 3 §2.3.1).
async fn a_program_at_an_ipv6_address_gets_its_browser(signet: TestApp) {
    signet.registers("ada").await;
    let site = Callback::serves_on("[::1]").await;
    let app = client(&signet, &site.url, &["--public"]).await;
    let browser = Browser::open().await;
    for mode in ["query", "form_post"] {
        browser.visits(&link(&signet, &app, &[("response_mode", mode), ("prompt", "login")])).await;
        logs_in(&browser).await;
        if mode == "query" {
            browser.presses("Allow").await;
        }
        browser.sees(BACK).await;
        signet.clock.advance(seconds(1));
    }
    browser.closes().await;
}

/// `window.opener` and `popup.closed` are how most libraries for popups talk.
async fn a_popup_keeps_its_opener(signet: TestApp) {
    signet.registers("ada").await;
    let site = Callback::serves().await;
    let app = client(&signet, &site.url, &[]).await;
    for mode in ["query", "form_post"] {
        let browser = Browser::open().await;
        browser.visits(&site.url).await;
        browser.opens_popup(&link(&signet, &app, &[("display", "popup"), ("response_mode", mode)])).await;
        logs_in(&browser).await;
        if mode == "query" {
            browser.presses("Allow").await;
        }
        browser.sees(BACK).await;
        assert_eq!(
            browser.runs("return window.opener !== null && !window.opener.closed", vec![]).await,
            true,
            "{mode}"
        );
        browser.closes().await;
    }
}

async fn back_leads_back(signet: TestApp) {
    signet.registers("ada").await;
    let site = Callback::serves().await;
    let app = client(&signet, &site.url, &["--first-party"]).await;
    let browser = Browser::open().await;
    browser.visits(&link(&signet, &app, &[])).await;
    browser.types(NAME, "ada").await;
    browser.types("Password", "wrong").await;
    browser.presses("Log in").await;
    browser.sees("The name or the password is wrong.").await;
    logs_in(&browser).await;
    browser.sees(BACK).await;
    browser.goes_back().await;
    browser.sees("The name or the password is wrong.").await;
    browser.goes_back().await;
    browser.sees("to go on to Lighthouse").await;
    browser.closes().await;
}

stories_on![Sqlite:
    a_client_that_leads_on_to_another_origin_gets_its_browser,
    a_program_at_an_ipv6_address_gets_its_browser,
    a_popup_keeps_its_opener,
    back_leads_back,
];
