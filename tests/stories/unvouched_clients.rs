//! Clients that nobody vouches for: programs on a device, and apps that registered themselves.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Ask, PASSWORD, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, hidden, location},
    relying_party::{CALLBACK, RelyingParty, registers_public},
    seconds, stories, stories_on,
    test_env::Client,
};

const BYE: &str = "https://app.example.com/bye";

fn metadata(name: &str) -> Value {
    json!({
        "client_name": name, "redirect_uris": [CALLBACK], "post_logout_redirect_uris": [BYE],
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

async fn open(builder: TestEnvBuilder) -> TestApp {
    builder.set("client_registration", "open").set("pages.name", "Harbour").open().await
}

/// An app that registers itself, and its registration access token.
async fn stranger(signet: &TestApp) -> (RelyingParty, String) {
    let answer = signet.site.post("/oauth/register").json(&metadata("Lighthouse")).answer().await.is(201);
    let client = Client { id: answer.string("client_id"), secret: answer.string("client_secret") };
    (RelyingParty::of(signet, client, CALLBACK), answer.string("registration_access_token"))
}

/// RFC 8252 §8.6: any program may listen at such an address, and open the browser.
async fn a_program_on_a_device_gets_no_code_without_a_press(signet: TestApp) {
    signet.registers("ada").await;
    for uri in
        ["http://127.0.0.1:50123/cb", "http://[::1]:50123/cb", "http://localhost:50123/cb", "com.example.app:/cb"]
    {
        let client = registers_public(&signet, uri).await;
        let app = RelyingParty::of(&signet, client, uri);
        let scope = ("scope", "openid");
        let browser = BrowserSession::at(&signet);
        // The first time the person logs in and consents; then they are logged in, and have.
        let login = browser.opens(&app.link(&[scope])).await;
        let consent = browser.logs_in_at(&location(&login), "ada", PASSWORD).await;
        let page = browser.follows(&consent).await.is(200);
        assert!(page.text().contains("Allow Native?"), "{page:?}");
        app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
        for _ in 0..2 {
            app.is_refused(&browser.opens(&app.link(&[scope, ("prompt", "none")])).await, "interaction_required");
            let page = browser.follows(&browser.opens(&app.link(&[scope])).await).await.is(200);
            assert!(page.text().contains("Continue to Native as ada?"), "{page:?}");
            let denied = browser.sends(&page, "/consent", &[("answer", "deny")]).await;
            app.is_refused(&denied, "access_denied");
            app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
        }
    }
    // Where the address proves who listens, or the client has a secret, nothing is asked.
    let web = RelyingParty::of(&signet, registers_public(&signet, CALLBACK).await, CALLBACK);
    let ada = crate::harness::Person {
        username: "ada".to_owned(),
        password: PASSWORD.to_owned(),
        id: String::new(),
        site: signet.site.clone(),
    };
    let browser = BrowserSession::at(&signet);
    web.gets_a_code_for(&browser, &ada, &[("scope", "openid")]).await;
    web.is_given_a_code(&browser.opens(&web.link(&[("scope", "openid"), ("prompt", "none")])).await);
}

/// The operator's own program is no exception; a login for it is a press.
async fn a_first_party_program_is_confirmed_by_the_login_or_by_a_press(signet: TestApp) {
    let uri = "http://127.0.0.1:50123/cb";
    let options =
        ["--name", "Tool", "--public", "--first-party", "--redirect-uri", uri, "--grant", "authorization_code"];
    let client = signet.registers_client(&[&options[..], &["--scope", "openid"]].concat()).await;
    let app = RelyingParty::of(&signet, client, uri);
    signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let scope = ("scope", "openid");
    let login = location(&browser.opens(&app.link(&[scope])).await);
    app.is_given_a_code(&browser.logs_in_at(&login, "ada", PASSWORD).await);
    app.is_refused(&browser.opens(&app.link(&[scope, ("prompt", "none")])).await, "interaction_required");
    let page = browser.follows(&browser.opens(&app.link(&[scope])).await).await.is(200);
    assert!(page.text().contains("Continue to Tool as ada?"), "{page:?}");
    app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    // A press continues as the account, and is enough.
    signet.clock.advance(seconds(1));
    let page = browser.follows(&browser.opens(&app.link(&[scope, ("prompt", "select_account")])).await).await.is(200);
    app.is_given_a_code(&browser.continues(&page).await);
}

/// A link to us would lead anybody anywhere (RFC 9700 §4.11.2).
#[track_caller]
fn is_shown(answer: &Answer, error: &str) {
    assert_eq!((answer.status, answer.header("location"), answer.header("refresh")), (400, "", ""), "{answer:?}");
    let text = answer.text();
    assert!(text.contains(error) && text.contains("https://app.example.com"), "{answer:?}");
    assert!(text.contains("registered itself"), "{answer:?}");
}

async fn errors_of_a_stranger_are_shown_before_a_login(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let (app, _) = stranger(&signet).await;
    let ada = signet.registers("ada").await;
    for (error, other) in [
        ("invalid_request", &[("code_challenge", "")][..]),
        ("unsupported_response_type", &[("response_type", "token")]),
        ("invalid_target", &[("resource", "https://evil.example")]),
        ("invalid_request", &[("response_mode", "fragment")]),
        ("request_not_supported", &[("request", "e30.e30.")]),
        ("invalid_request", &[("max_age", "soon")]),
    ] {
        let browser = BrowserSession::at(&signet);
        let page = browser.opens(&app.link(other)).await;
        is_shown(&page, error);
        assert!(page.text().contains(&format!("href=\"{CALLBACK}?error={error}")), "{page:?}");
        // Silent requests have no page, and the user who is logged in has proved who they are.
        app.is_refused(&browser.opens(&app.link(&[other, &[("prompt", "none")]].concat())).await, error);
        app.gets_a_code(&browser, &ada).await;
        app.is_refused(&browser.opens(&app.link(other)).await, error);
    }
    // By a form, where the client wants one.
    let other = [("response_mode", "form_post"), ("response_type", "token")];
    let page = BrowserSession::at(&signet).opens(&app.link(&other)).await;
    is_shown(&page, "unsupported_response_type");
    assert!(!page.text().contains("<script"), "it does not send itself: {page:?}");
    let fields = hidden(&page.text(), CALLBACK);
    assert!(fields.contains(&("error".to_owned(), "unsupported_response_type".to_owned())), "{fields:?}");
    // The operator's clients get theirs at once.
    let known = RelyingParty::registers(&signet).await;
    known.is_refused(
        &BrowserSession::at(&signet).opens(&known.link(&[("code_challenge", "")])).await,
        "invalid_request",
    );
}

async fn a_stranger_takes_nobody_along_after_a_logout(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let (app, _) = stranger(&signet).await;
    let ada = signet.registers("ada").await;
    let link = |hint: &str| format!("/oauth/logout?client_id={}&post_logout_redirect_uri={BYE}{hint}", app.client.id);
    let page = BrowserSession::at(&signet).opens(&link("")).await.is(200);
    assert_eq!((page.header("location"), page.header("refresh")), ("", ""), "{page:?}");
    assert!(page.text().contains(&format!("href=\"{BYE}\"")) && page.text().contains("registered itself"), "{page:?}");
    // With a token of the person it may; and where they are asked.
    let browser = BrowserSession::at(&signet);
    let (_, hint) = app.logs_in(&browser, &ada).await;
    let asked = browser.follows(&browser.opens(&link("")).await).await.is(200);
    assert_eq!(location(&browser.sends(&asked, "/logout", &[]).await), BYE);
    let (_, _) = app.logs_in(&browser, &ada).await;
    assert_eq!(location(&BrowserSession::at(&signet).opens(&link(&format!("&id_token_hint={hint}"))).await), BYE);
}

async fn a_stranger_passes_for_nobody_else(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let options = ["--name", "Ledger", "--redirect-uri", CALLBACK, "--grant", "authorization_code"];
    signet.registers_client(&options).await;
    let registers = async |name: &str| signet.site.post("/oauth/register").json(&metadata(name)).answer().await;
    for name in [
        "\u{3164}",
        "\u{200b}",
        "Go\u{200b}ogle",
        "\u{61c}abc",
        "a\u{2028}b",
        "a\u{ad}b",
        "\u{feff}App",
        "---",
        // The service's, and the operator's.
        "Signet",
        "signet",
        "S I G N E T",
        "Harbour",
        "harbour!",
        "Ledger",
        "LEDGER",
        "L\u{435}dger",
        "Ledg3r\u{202e}",
        // Of letters that look like others.
        "G\u{43e}ogle",
    ] {
        let answer = registers(name).await.is(400);
        assert_eq!(answer.json()["error"], "invalid_client_metadata", "{name:?}: {answer:?}");
    }
    for name in ["Claude Code", "Café Müller (beta)", "Сергей", "VS Code"] {
        registers(name).await.is(201);
    }
    // Nor by a change of name.
    let (app, token) = stranger(&signet).await;
    let mut change = metadata("Harbour");
    change["client_id"] = json!(app.client.id);
    let path = format!("/oauth/register/{}", app.client.id);
    signet.site.request(Method::PUT, &path).bearer_auth(&token).json(&change).answer().await.is(400);
}

async fn consent_to_a_stranger_is_to_what_was_shown(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let (app, token) = stranger(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let login = browser.opens(&app.link(&[])).await;
    let page = browser.follows(&browser.logs_in_at(&location(&login), "ada", PASSWORD).await).await.is(200);
    let text = page.text();
    assert!(text.contains("registered itself") && text.contains("has not checked it"), "{page:?}");
    assert!(text.contains("https://app.example.com"), "{page:?}");
    app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    let none = app.link(&[("prompt", "none")]);
    let changes = async |change: Value| {
        let path = format!("/oauth/register/{}", app.client.id);
        let request = signet.site.request(Method::PUT, &path).bearer_auth(&token);
        request.json(&change).answer().await.is(200);
    };
    // What says nothing about who it is and where it goes changes nothing.
    let mut same = metadata("Lighthouse");
    same["client_id"] = json!(app.client.id);
    same["post_logout_redirect_uris"] = json!([]);
    changes(same.clone()).await;
    app.is_given_a_code(&browser.opens(&none).await);
    let mut renamed = same.clone();
    renamed["client_name"] = json!("Lantern");
    let mut moved = same.clone();
    moved["redirect_uris"] = json!([CALLBACK, "https://evil.example/cb"]);
    for change in [renamed, moved] {
        changes(same.clone()).await;
        app.gets_a_code(&browser, &ada).await;
        app.is_given_a_code(&browser.opens(&none).await);
        changes(change).await;
        app.is_refused(&browser.opens(&none).await, "consent_required");
    }
    // The operator's own clients keep theirs.
    let known = RelyingParty::registers_with(&signet, &["--id", "known"]).await;
    known.gets_a_code(&browser, &ada).await;
    signet.runs(&["client", "update", "known", "--name", "Renamed"]).await.well();
    known.is_given_a_code(&browser.opens(&known.link(&[("prompt", "none")])).await);
}

async fn consent_is_to_the_resource_that_was_shown(signet: TestApp) {
    let (orders, mails) = ("https://orders.example", "https://mails.example");
    let app = RelyingParty::registers_with(&signet, &["--resource", orders, "--resource", mails]).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    for resource in [orders, mails] {
        let none = app.link(&[("prompt", "none"), ("resource", resource)]);
        app.is_refused(&browser.opens(&none).await, "consent_required");
        let page = browser.follows(&browser.opens(&app.link(&[("resource", resource)])).await).await.is(200);
        assert!(page.text().contains(resource), "{page:?}");
        app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
        app.is_given_a_code(&browser.opens(&none).await);
    }
    let apps = browser.opens("/account/apps").await.is(200).text();
    assert!(apps.contains(orders) && apps.contains(mails), "{apps}");
}

stories![
    a_program_on_a_device_gets_no_code_without_a_press,
    a_stranger_passes_for_nobody_else,
    consent_to_a_stranger_is_to_what_was_shown,
    consent_is_to_the_resource_that_was_shown,
];

stories_on![Sqlite:
    a_first_party_program_is_confirmed_by_the_login_or_by_a_press,
    errors_of_a_stranger_are_shown_before_a_login,
    a_stranger_takes_nobody_along_after_a_logout,
];
