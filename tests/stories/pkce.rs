//! PKCE: for all clients, but those confidential ones that the operator registered without (RFC 9700 §2.1.1, §4.8.2).

use crate::harness::{
    Ask, TestApp,
    browser_session::BrowserSession,
    relying_party::{CALLBACK, RelyingParty, VERIFIER},
    stories, stories_on,
};

const WITHOUT: [(&str, &str); 2] = [("code_challenge", ""), ("code_challenge_method", "")];

async fn a_confidential_client_may_be_registered_without(signet: TestApp) {
    let app = RelyingParty::registers_with(&signet, &["--pkce", "optional", "--first-party"]).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let code = app.gets_a_code_for(&browser, &ada, &WITHOUT).await;
    // Somebody else's code with a verifier of one's own (RFC 9700 §4.8.2).
    app.redeems(&code).await.refused("invalid_grant");
    app.redeems_with(&code, &[("code_verifier", "short")]).await.refused("invalid_grant");
    app.redeems_with(&code, &[("code_verifier", "")]).await.granted();
    // A challenge that was made holds: leaving the verifier out is no way around it.
    let code = app.gets_a_code(&browser, &ada).await;
    app.redeems_with(&code, &[("code_verifier", "")]).await.refused("invalid_request");
    app.redeems_with(&code, &[("code_verifier", &VERIFIER.to_uppercase())]).await.refused("invalid_grant");
    app.redeems(&code).await.granted();
    // Half a challenge is a mistake, not a request without one.
    for (name, value) in [("code_challenge", ""), ("code_challenge_method", ""), ("code_challenge_method", "plain")] {
        app.is_refused(&browser.opens(&app.link(&[(name, value)])).await, "invalid_request");
    }
}

async fn once_it_is_required_earlier_codes_without_are_worth_nothing(mut signet: TestApp) {
    let app = RelyingParty::registers_with(&signet, &["--pkce", "optional", "--first-party"]).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let code = app.gets_a_code_for(&browser, &ada, &WITHOUT).await;
    signet.runs(&["client", "update", &app.client.id, "--pkce", "required"]).await.well();
    signet.restart().await;
    app.redeems_with(&code, &[("code_verifier", "")]).await.refused("invalid_grant");
    let answer = signet.site.get(&app.link(&WITHOUT)).answer().await;
    app.is_refused(&answer, "invalid_request");
}

async fn the_looser_setting_is_named_and_not_for_everybody(signet: TestApp) {
    let app = RelyingParty::registers_with(&signet, &["--pkce", "optional"]).await;
    let shown = signet.runs(&["client", "show", &app.client.id]).await.well().json();
    assert_eq!(shown["pkce"], "optional");
    assert!(shown["looser_settings"][0].as_str().is_some_and(|text| text.contains("pkce")), "{shown}");
    let usual = RelyingParty::registers(&signet).await;
    let shown = signet.runs(&["client", "show", &usual.client.id]).await.well().json();
    assert_eq!((&shown["pkce"], &shown["looser_settings"]), (&"required".into(), &serde_json::json!([])));
    let create = ["client", "create", "--name", "x", "--redirect-uri", CALLBACK, "--pkce"];
    signet.runs(&[&create[..], &["optional", "--public"]].concat()).await.with(2, &["public"]);
    signet.runs(&[&create[..], &["never"]].concat()).await.with(2, &["--pkce"]);
    let update = ["client", "update", &app.client.id, "--public"];
    signet.runs(&update).await.with(2, &["pkce"]);
    signet.runs(&[&update[..], &["--pkce", "required"]].concat()).await.well();
}

stories![a_confidential_client_may_be_registered_without];

stories_on![Sqlite:
    once_it_is_required_earlier_codes_without_are_worth_nothing,
    the_looser_setting_is_named_and_not_for_everybody,
];
