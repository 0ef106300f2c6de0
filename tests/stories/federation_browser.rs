//! Login with a provider that is no part of this repository, in a real browser: from the login page to a client's
//! tokens.

use serde_json::json;

use crate::harness::{
    PASSWORD, Person, browser::Browser, browser_session::parameter, jwt, node_provider::NodeProvider,
    other_origin::OtherOrigin, relying_party::RelyingParty, stories_on, test_app::TestApp, test_env::TestEnvBuilder,
};

/// An app with the provider configured as `node`.
async fn signet(builder: TestEnvBuilder) -> (TestApp, NodeProvider) {
    let mut provider = NodeProvider::opens();
    let signet = builder
        .set("providers.node.kind", "oidc")
        .set("providers.node.issuer", &provider.issuer)
        .set("providers.node.client_id", "signet")
        .set("providers.node.client_secret", "0123456789abcdef0123456789abcdef")
        .open()
        .await;
    let redirect = format!("{}/federation/node/callback", signet.issuer);
    provider.serves("signet", "0123456789abcdef0123456789abcdef", &redirect);
    (signet, provider)
}

/// A client whose redirect URI is a real page.
async fn client(signet: &TestApp, page: &OtherOrigin) -> RelyingParty {
    let redirect = page.at("127.0.0.1");
    let options =
        ["--name", "Lighthouse", "--first-party", "--redirect-uri", &redirect, "--grant", "authorization_code"];
    let scopes = ["--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "offline_access"];
    let client = signet.registers_client(&[&options[..], &scopes[..], &["--grant", "refresh_token"]].concat()).await;
    RelyingParty::of(signet, client, &redirect)
}

/// Logs in at the provider, and consents there.
async fn logs_in_there(browser: &Browser, name: &str) {
    browser.fills("input[name=login]", name).await;
    browser.fills("input[name=password]", "anything").await;
    browser.presses("Sign-in").await;
    browser.presses("Continue").await;
}

/// Closes the browser. Console messages about the provider's pages do not count.
async fn closes(browser: Browser, signet: &TestApp) {
    let complaints = browser.complaints().await;
    assert!(!complaints.iter().any(|complaint| complaint.contains(&signet.issuer)), "{complaints:?}");
    browser.closes().await;
}

async fn gets_tokens(builder: TestEnvBuilder, browser: Browser) {
    let (signet, _provider) = signet(builder).await;
    let page = OtherOrigin::serves("<!doctype html><title>x</title>this is the app").await;
    let app = client(&signet, &page).await;
    browser.visits(&format!("{}{}", signet.issuer, app.link(&[]))).await;
    browser.sees("Continue with node").await;
    browser.resizes(390, 844).await;
    assert!(browser.fits().await);
    browser.screenshot("login-with-provider").await;
    browser.presses("Continue with node").await;
    logs_in_there(&browser, "ada").await;
    browser.sees("this is the app").await;
    let code = parameter(browser.url().await.as_str(), "code");
    let answer = app.redeems(&code).await.is(200);
    let claims = jwt::claims(&answer.string("id_token"));
    assert_eq!(claims["preferred_username"], "ada");
    assert_eq!(claims["amr"], json!(["fed"]));
    answer.granted();
    closes(browser, &signet).await;
}

async fn a_log_in_by_a_provider_leads_to_a_clients_tokens(builder: TestEnvBuilder) {
    gets_tokens(builder, Browser::open().await).await;
}

async fn a_log_in_by_a_provider_needs_no_script(builder: TestEnvBuilder) {
    gets_tokens(builder, Browser::without_javascript().await).await;
}

async fn a_provider_is_linked_and_a_new_name_chosen_in_a_browser(builder: TestEnvBuilder) {
    let (signet, provider) = signet(builder).await;
    Person::registers(&signet.site, "ada").await;
    let browser = Browser::open().await;
    let at = |path: &str| format!("{}{path}", signet.issuer);
    // Her name is taken: somebody else of the same name registered before.
    browser.visits(&at("/register")).await;
    browser.presses("Continue with node").await;
    logs_in_there(&browser, "ada").await;
    browser.sees("Choose a username").await;
    browser.resizes(1280, 900).await;
    browser.screenshot("federation-name").await;
    browser.hears_at("Username", "This name is taken. Choose another one.").await;
    browser.types("Username", "lovelace").await;
    browser.presses("Create the account").await;
    browser.is_at("/account").await;
    browser.visits(&at("/account/providers")).await;
    browser.sees("It is the only way into your account").await;
    browser.screenshot("providers-last").await;
    browser.forgets_cookies().await;
    browser.visits(&provider.issuer).await;
    browser.forgets_cookies().await;

    browser.visits(&at("/login?return_to=/account/providers")).await;
    browser.types("Username or email address", "ada").await;
    browser.types("Password", PASSWORD).await;
    browser.presses("Log in").await;
    browser.sees("None is linked yet").await;
    browser.presses("Link node").await;
    logs_in_there(&browser, "countess").await;
    browser.sees("It is linked now.").await;
    assert!(browser.fits().await);
    browser.screenshot("providers-linked").await;
    browser.presses("Unlink node").await;
    browser.sees("It is unlinked now.").await;
    closes(browser, &signet).await;
}

stories_on![Sqlite:
    a_log_in_by_a_provider_leads_to_a_clients_tokens,
    a_log_in_by_a_provider_needs_no_script,
    a_provider_is_linked_and_a_new_name_chosen_in_a_browser,
];
