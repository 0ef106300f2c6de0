//! A client that the operator narrows: its sessions get no more than it may still ask for, from the next refresh on.

use crate::harness::{
    Answer, TestApp, Tokens, browser_session::BrowserSession, jwt, relying_party::RelyingParty, site::Site, stories,
    test_env::Client,
};

const PAY: &str = "https://pay.example";
const OTHER: &str = "https://other.example";

/// Tokens of a third party's client, for a scope of the operator's and a resource.
async fn begins(signet: &TestApp) -> (RelyingParty, Tokens) {
    let options = ["--scope", "orders:read", "--scope", "orders:write", "--resource", PAY, "--resource", OTHER];
    let app = RelyingParty::registers_with(signet, &options).await;
    let ada = signet.registers("ada").await;
    let other = [("scope", "openid orders:read orders:write"), ("resource", PAY)];
    let code = app.gets_a_code_for(&BrowserSession::at(signet), &ada, &other).await;
    let tokens = app.redeems(&code).await.granted();
    assert_eq!(jwt::claims(&tokens.access)["aud"], PAY);
    (app, tokens)
}

/// The operator changes the client. The service is started again, so that it knows at once.
async fn updates(signet: &mut TestApp, client: &Client, options: &[&str]) {
    signet.runs(&[&["client", "update", &client.id][..], options].concat()).await.well();
    signet.restart().await;
}

async fn refreshes_with(site: &Site, client: &Client, tokens: &Tokens, more: &[(&str, &str)]) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    client.posts(site, "/oauth/token", &[&form[..], more].concat()).await
}

async fn what_is_taken_from_its_scope_is_gone_from_its_sessions(mut signet: TestApp) {
    let (app, first) = begins(&signet).await;
    updates(&mut signet, &app.client, &["--scope", "openid orders:read"]).await;
    refreshes_with(&signet.site, &app.client, &first, &[("scope", "orders:write")]).await.refused("invalid_scope");
    let second = app.client.refreshes(&signet.site, &first).await.granted();
    assert_eq!(second.scopes(), ["openid", "orders:read"]);
    assert_eq!(jwt::claims(&second.access)["scope"].as_str(), Some(second.scope.as_str()));

    // Given back by the operator, it is there again: the person's consent has not changed.
    updates(&mut signet, &app.client, &["--scope", "openid orders:read orders:write"]).await;
    let third = app.client.refreshes(&signet.site, &second).await.granted();
    assert_eq!(third.scopes(), ["openid", "orders:read", "orders:write"]);

    updates(&mut signet, &app.client, &["--scope", "unrelated"]).await;
    app.client.refreshes(&signet.site, &third).await.refused("invalid_grant");
}

async fn a_resource_that_is_taken_away_gets_no_more_tokens(mut signet: TestApp) {
    let (app, first) = begins(&signet).await;
    updates(&mut signet, &app.client, &["--resource", OTHER]).await;
    for more in [&[][..], &[("resource", PAY)], &[("resource", OTHER)], &[("scope", "openid")]] {
        refreshes_with(&signet.site, &app.client, &first, more).await.refused("invalid_target");
    }
    // The refusals used nothing up; and the operator may spell it differently.
    updates(&mut signet, &app.client, &["--resource", "HTTPS://Pay.Example:443/"]).await;
    let second = app.client.refreshes(&signet.site, &first).await.granted();
    assert_eq!(jwt::claims(&second.access)["aud"], PAY);
    // A repeat of the token before is held to the same.
    updates(&mut signet, &app.client, &["--resource", OTHER]).await;
    app.client.refreshes(&signet.site, &first).await.refused("invalid_target");
}

async fn a_client_that_is_first_party_no_more_gets_a_third_partys_tokens(mut signet: TestApp) {
    let ada = signet.registers("ada").await;
    signet.runs(&["user", "grant-role", "ada", "admin"]).await.well();
    let app = RelyingParty::registers_first_party(&signet).await;
    let code = app.gets_a_code_for(&BrowserSession::at(&signet), &ada, &[("scope", "openid")]).await;
    let first = app.redeems(&code).await.granted();
    assert_eq!(jwt::claims(&first.access)["roles"], serde_json::json!(["admin"]));
    updates(&mut signet, &app.client, &["--first-party=false"]).await;
    let second = app.client.refreshes(&signet.site, &first).await.granted();
    let claims = jwt::claims(&second.access);
    assert!(claims.get("roles").is_none() && claims.get("preferred_username").is_none(), "{claims}");
    ada.looks(&second).await.challenges(403, "insufficient_scope");
}

stories![
    what_is_taken_from_its_scope_is_gone_from_its_sessions,
    a_resource_that_is_taken_away_gets_no_more_tokens,
    a_client_that_is_first_party_no_more_gets_a_third_partys_tokens,
];
