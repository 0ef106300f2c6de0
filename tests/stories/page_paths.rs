//! Addresses that people type: with a slash too many, or with a mistake.

use reqwest::Method;

use crate::harness::{
    Ask, PASSWORD, TestApp,
    browser_session::{BrowserSession, location},
    relying_party::RelyingParty,
    stories_on,
};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

async fn a_slash_behind_a_page_leads_to_it(signet: TestApp) {
    for (path, page) in [
        ("/account/", "/account"),
        ("/account/password/", "/account/password"),
        ("/login/", "/login"),
        ("/login//", "/login"),
        ("/register/", "/register"),
        ("/consent/", "/consent"),
        ("/logout/", "/logout"),
        ("/forgot-password/", "/forgot-password"),
        ("/reset-password/?token=a", "/reset-password?token=a"),
        ("/verify-email/?token=a&token=b", "/verify-email?token=a&token=b"),
        ("/oauth/authorize/?client_id=x&utm=%ff", "/oauth/authorize?client_id=x&utm=%ff"),
        ("/oauth/logout/", "/oauth/logout"),
        ("/federation/google/", "/federation/google"),
        ("/federation/google/callback/?state=x", "/federation/google/callback?state=x"),
        ("/.well-known/change-password/", "/.well-known/change-password"),
        ("/docs/", "/docs"),
        ("/login/?", "/login?"),
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let answer = signet.site.request(method, path).header("accept", BROWSER).answer().await.is(308);
            assert_eq!(answer.header("location"), page, "{path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        }
    }
    // A form keeps what was typed.
    signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let page = browser.opens("/login").await.is(200);
    let fields = crate::harness::browser_session::hidden(&page.text(), "/login");
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let all = [&fields[..], &[("username", "ada"), ("password", PASSWORD)]].concat();
    let moved = browser.posts("/login/", &all).await.is(308);
    assert_eq!(location(&browser.posts(moved.header("location"), &all).await), "/account");
    // A client that is configured so logs people in.
    let app = RelyingParty::registers_first_party(&signet).await;
    let moved = browser.opens(&app.link(&[]).replace("authorize?", "authorize/?")).await.is(308);
    app.is_given_a_code(&browser.opens(moved.header("location")).await);
    // Nobody is led elsewhere, and programs are told that they are mistaken.
    for path in ["//evil.example/", "//evil.example/login/", "//login/", "/%2flogin/", "/nowhere/"] {
        let answer = signet.site.get(path).answer().await.is(404);
        assert_eq!(answer.header("location"), "", "{path}");
    }
    signet.site.get("/v1/users/").answer().await.some_problem(404);
    signet.site.post("/oauth/token/").answer().await.oauth_error(404, "invalid_request");
}

async fn a_browser_that_is_lost_gets_a_page(signet: TestApp) {
    for path in
        ["/nowhere", "/accounts", "/login.php", "/v1/nowhere", "/oauth/nowhere", "/docs/nowhere", "//", "/a/b?x=1"]
    {
        let answer = signet.site.get(path).header("accept", BROWSER).answer().await.is(404);
        assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
        let text = answer.text();
        assert!(text.contains("There is no such page") && text.contains("href=\"/account\""), "{answer:?}");
        assert!(!text.contains("nowhere"), "{answer:?}");
        // As on every page.
        let page = signet.site.get("/login").answer().await;
        for field in ["content-security-policy", "x-content-type-options", "referrer-policy", "cache-control"] {
            assert_eq!(answer.header(field), page.header(field), "{field}: {answer:?}");
        }
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        signet.site.request(Method::HEAD, path).header("accept", BROWSER).answer().await.is(404);
        for accept in
            ["*/*", "application/json", "application/json, text/plain, */*", "application/json, text/html", ""]
        {
            let answer = signet.site.get(path).header("accept", accept).answer().await.is(404);
            assert!(answer.header("content-type").contains("json"), "{accept}: {answer:?}");
        }
    }
    let posted = signet.site.post("/").header("accept", BROWSER).answer().await.is(405);
    assert_eq!(posted.header("allow"), "GET");
    // What is there answers browsers as it answers programs.
    signet.site.get("/v1/users/me").header("accept", BROWSER).answer().await.some_problem(401);
    signet.site.get("/oauth/token").header("accept", BROWSER).answer().await.oauth_error(405, "invalid_request");
    let federation = signet.site.get("/federation/a/b/c").answer().await.is(404);
    assert!(federation.text().contains("There is no such page"), "{federation:?}");
}

stories_on![Sqlite: a_slash_behind_a_page_leads_to_it, a_browser_that_is_lost_gets_a_page];
