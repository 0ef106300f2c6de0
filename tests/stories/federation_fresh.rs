//! Login with providers that still have a session: the freshness of a silent login.

use serde_json::json;
use signet::testing::Clock;

use crate::harness::{
    Ask, TestApp,
    browser_session::{BrowserSession, location, parameter},
    idp::{Idp, presses},
    jwt,
    relying_party::RelyingParty,
    stories_on,
    test_env::TestEnvBuilder,
};

/// The provider says from now on that people proved who they are so long ago.
fn proved(idp: &Idp, signet: &TestApp, seconds_ago: i64) {
    idp.script().claims = json!({"auth_time": signet.clock.now().timestamp() - seconds_ago});
}

/// Opens the login page for a request, and says where the provider's button leads.
async fn leaves_for(idp: &str, session_browser: &BrowserSession, app: &RelyingParty, other: &[(&str, &str)]) -> String {
    let login = session_browser.follows(&session_browser.opens(&app.link(other)).await).await.is(200);
    presses(session_browser, &login, idp).await
}

async fn who_wants_a_fresh_log_in_has_the_provider_ask(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    for (other, word) in [(&[][..], ""), (&[("prompt", "login")], "login"), (&[("max_age", "60")], "login")] {
        let session_browser = BrowserSession::at(&signet);
        let address = leaves_for("idp", &session_browser, &app, other).await;
        assert_eq!(parameter(&address, "prompt"), word, "{other:?}");
        let hinted = session_browser.opens(&app.link(&[other, &[("idp_hint", "idp")]].concat())).await;
        assert_eq!(parameter(&location(&session_browser.follows(&hinted).await), "prompt"), word, "{other:?}");
    }
    // Accounts are changed at our own pages, by who has logged in lately.
    let session_browser = BrowserSession::at(&signet);
    let login = session_browser.opens("/login").await.is(200);
    assert_eq!(parameter(&presses(&session_browser, &login, "idp").await, "prompt"), "login");
}

async fn a_silent_log_in_is_no_fresh_one(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    for other in [("prompt", "login"), ("max_age", "1800")] {
        let session_browser = BrowserSession::at(&signet);
        proved(&idp, &signet, 3600);
        let address = leaves_for("idp", &session_browser, &app, &[other]).await;
        let page = session_browser.opens(&idp.logs_in(&address)).await.is(403);
        assert!(page.text().contains("did not ask you to log in again"), "{page:?}");
        // They may try again from there, and are let on once the provider has asked; its clock may be a little slow.
        let text = page.text();
        let (_, rest) = text.split_once("href=\"/login?request=").expect("a way back");
        let back = format!("/login?request={}", rest.split('"').next().expect("it ends"));
        let login = session_browser.opens(&back).await.is(200);
        proved(&idp, &signet, 30);
        let answer = idp.brings_back(&session_browser, &login, "idp").await;
        app.redeems(&app.is_given_a_code(&answer)).await.granted();
    }
}

async fn a_log_in_is_as_old_as_the_provider_says(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let now = signet.clock.now().timestamp();
    for (said, other, expected) in [
        (json!(now - 3600), &[][..], Some(now - 3600)),
        (json!(now - 3600), &[("max_age", "7200")], Some(now - 3600)),
        // A choice of an account is made there.
        (json!(now - 3600), &[("prompt", "select_account")], Some(now - 3600)),
        (json!(now), &[], Some(now)),
        // Impossible times are ignored, and then nobody knows.
        (json!(now + 3600), &[], None),
        (json!(now + 20), &[], Some(now)),
        (json!((now - 3600).to_string()), &[], None),
        (json!(-1), &[], None),
        (json!(null), &[], None),
    ] {
        idp.script().claims = json!({"auth_time": said});
        let session_browser = BrowserSession::at(&signet);
        let address = leaves_for("idp", &session_browser, &app, other).await;
        let answer = session_browser.opens(&idp.logs_in(&address)).await;
        let tokens = app.redeems(&app.is_given_a_code(&answer)).await.granted();
        assert_eq!(jwt::claims(&tokens.access)["auth_time"], json!(expected), "{said} {other:?}");
        assert_eq!(jwt::claims(&tokens.access).get("auth_time").is_some(), expected.is_some(), "{said}");
        let none = session_browser.opens(&app.link(&[("prompt", "none"), ("max_age", "1800")])).await;
        if expected == Some(now) {
            app.is_given_a_code(&none);
        } else {
            app.is_refused(&none, "login_required");
            // Nor does it stand in for a password that the account does not have.
            let patch = signet.site.request(reqwest::Method::PATCH, "/v1/users/me").bearer_auth(&tokens.access);
            patch.json(&json!({"email": "ada@example.org"})).answer().await.blames_the_sender();
        }
    }
}

stories_on![Sqlite:
    a_log_in_is_as_old_as_the_provider_says,
    who_wants_a_fresh_log_in_has_the_provider_ask,
    a_silent_log_in_is_no_fresh_one,
];
