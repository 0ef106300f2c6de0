//! Browser apps made with oidc-client-ts, with nothing patched, in a real browser: by redirect, by popup, and renewed
//! without a page.

use serde_json::json;

use crate::harness::{
    PASSWORD, Person, TestApp, TestEnvBuilder,
    browser::Browser,
    browser_app::{BrowserApp, CALLBACKS},
    stories_on,
    test_env::Client,
};

const NAME: &str = "Username or email address";

/// Registers a first-party client for the app at `origin`.
async fn client(signet: &TestApp, origin: &str, options: &[&str]) -> Client {
    let uris: Vec<String> = CALLBACKS.iter().map(|path| format!("{origin}{path}")).collect();
    let bye = format!("{origin}/");
    let mut all = vec!["--name", "Lighthouse", "--first-party", "--scope", "openid", "--scope", "profile"];
    all.extend(uris.iter().flat_map(|uri| ["--redirect-uri", uri.as_str()]));
    all.extend(["--post-logout-redirect-uri", bye.as_str(), "--grant", "authorization_code"]);
    signet.registers_client(&[&all[..], options].concat()).await
}

async fn logs_in(browser: &Browser) {
    browser.types(NAME, "ada").await;
    browser.types("Password", PASSWORD).await;
    browser.presses("Log in").await;
}

fn told(step: &str, ada: &Person) -> String {
    format!("{step}: ada of {}", ada.id)
}

/// The newest version, and the last one that waits for the popup's `window.opener` and for `popup.closed`.
async fn an_app_logs_people_in_by_redirect_and_popup_and_renews_by_refresh(builder: TestEnvBuilder) {
    let apps = [BrowserApp::serves("oidc-client-ts").await, BrowserApp::serves("oidc-client-ts-2").await];
    let origins = apps.each_ref().map(|app| app.origin("127.0.0.1"));
    let signet = builder.set("cors_origins", &origins.join(",")).open().await;
    let ada = signet.registers("ada").await;
    let browser = Browser::open().await;
    for (app, origin) in apps.iter().zip(&origins) {
        let refresh = ["--public", "--grant", "refresh_token", "--scope", "offline_access"];
        let client = client(&signet, origin, &refresh).await;
        app.is_told(json!({
            "authority": signet.issuer, "client_id": client.id, "scope": "openid profile offline_access",
        }));
        browser.visits(&format!("{origin}/")).await;
        browser.sees("nobody is logged in").await;
        browser.presses("Log in by redirect").await;
        logs_in(&browser).await;
        browser.sees(&told("redirect", &ada)).await;
        browser.presses("Renew").await;
        browser.sees(&told("renewed by refresh", &ada)).await;
        browser.presses("Log out of the app").await;
        browser.sees("nobody is logged in").await;

        let first = browser.presses_for_popup("Log in by popup").await;
        logs_in(&browser).await;
        browser.turns_to(first).await;
        browser.sees(&told("popup", &ada)).await;
        // Somebody is logged in: one press, since nothing proves which program listens at 127.0.0.1.
        let first = browser.presses_for_popup("Log in by popup").await;
        browser.sees("Continue to Lighthouse as ada?").await;
        browser.presses("Continue").await;
        browser.turns_to(first).await;
        browser.sees(&told("popup", &ada)).await;
        browser.presses("Revoke").await;
        browser.sees("revoked").await;
        browser.presses("Log out of the app").await;
        browser.sees("nobody is logged in").await;
    }
    browser.closes().await;
}

/// `prompt=none` in a frame: the answer is a redirect, which no rule against frames holds back. Browsers send our cookie
/// in a frame of the same site alone (`SameSite=Lax`), so that an app of another site is told `login_required`. The client
/// has a secret, because a public one at `http` is told `interaction_required`; at `https` it would need none.
async fn an_app_of_the_same_site_renews_in_a_frame(builder: TestEnvBuilder) {
    let app = BrowserApp::serves("oidc-client-ts").await;
    let (same, other) = (app.origin("127.0.0.1"), app.origin("localhost"));
    let signet = builder.set("cors_origins", &format!("{same},{other}")).open().await;
    let ada = signet.registers("ada").await;
    let browser = Browser::open().await;
    let mut has_logged_in = false;
    for (origin, options, outcome) in [
        (&same, &[][..], told("renewed in a frame", &ada)),
        (&other, &[], "renew failed: login_required".to_owned()),
        (&same, &["--public"], "renew failed: interaction_required".to_owned()),
    ] {
        let client = client(&signet, origin, options).await;
        let mut settings = json!({"authority": signet.issuer, "client_id": client.id, "scope": "openid profile"});
        if !client.secret.is_empty() {
            settings["client_secret"] = json!(client.secret);
        }
        app.is_told(settings);
        browser.visits(&format!("{origin}/")).await;
        browser.presses("Log in by redirect").await;
        if !has_logged_in {
            logs_in(&browser).await;
            has_logged_in = true;
        } else if !options.is_empty() {
            browser.presses("Continue").await;
        }
        browser.sees(&told("redirect", &ada)).await;
        browser.presses("Renew").await;
        browser.sees(&outcome).await;
    }
    browser.closes().await;
}

stories_on![Sqlite:
    an_app_logs_people_in_by_redirect_and_popup_and_renews_by_refresh,
    an_app_of_the_same_site_renews_in_a_frame,
];
