//! The exchange of authorization codes, and who must not succeed at it.

use std::time::Duration;

use crate::harness::{
    Ask, Durability, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, location},
    days, eventually, jwt,
    relying_party::{CALLBACK, CHALLENGE, NONCE, RelyingParty, VERIFIER, registers_public},
    seconds, stories, stories_on,
};

async fn a_person_logs_in_and_the_client_learns_who_it_is(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (tokens, id_token) = app.logs_in(&session_browser, &ada).await;

    let claims = jwt::claims(&id_token);
    assert_eq!(claims["iss"], signet.issuer);
    assert_eq!(claims["aud"], app.client.id);
    assert_eq!(claims["sub"], ada.id);
    assert_eq!(claims["nonce"], NONCE);
    assert_eq!(claims["preferred_username"], "ada");
    assert!(claims["at_hash"].is_string() && claims["auth_time"].is_i64() && claims["sid"].is_string(), "{claims}");
    assert_eq!(jwt::header(&id_token)["alg"], "RS256");
    assert_eq!(jwt::sid(&tokens.access), jwt::sid(&id_token));
    assert_eq!(jwt::claims(&tokens.access)["client_id"], app.client.id);
    assert_eq!(jwt::claims(&tokens.access)["amr"], serde_json::json!(["pwd"]));
    // One factor, in both tokens (OIDC Core §2, RFC 9068 §2.2.1).
    assert_eq!((&claims["acr"], &jwt::claims(&tokens.access)["acr"]), (&"1".into(), &"1".into()));
    let metadata = signet.site.get("/.well-known/openid-configuration").answer().await.json();
    assert_eq!(metadata["acr_values_supported"], serde_json::json!(["1"]));
    assert_eq!((&claims["name"], &claims["name"]), (&"ada".into(), &claims["preferred_username"]));

    let user = signet.site.user_info(&tokens.access).await.is(200).json();
    for same in ["sub", "preferred_username", "name"] {
        assert_eq!(user[same], claims[same], "{same}");
    }

    signet.clock.advance(seconds(60));
    let refreshed = app.client.refreshes(&signet.site, &tokens).await;
    let again = jwt::claims(&refreshed.string("id_token"));
    refreshed.granted();
    // OIDC Core §12.2: the same person, login and session; at_hash is of the new token.
    for same in ["iss", "aud", "sub", "auth_time", "sid"] {
        assert_eq!(again[same], claims[same], "{same}");
    }
    assert_ne!(again["at_hash"], claims["at_hash"]);
}

async fn each_scope_brings_its_claims_and_no_other(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    for (scope, has, lacks) in [
        ("openid", &[][..], &["name", "preferred_username", "email", "email_verified"][..]),
        ("openid profile", &["name", "preferred_username"], &["email", "email_verified"]),
    ] {
        let code = app.gets_a_code_for(&session_browser, &ada, &[("scope", scope)]).await;
        let answer = app.redeems(&code).await.is(200);
        let claims = jwt::claims(&answer.string("id_token"));
        let user = signet.site.user_info(&answer.string("access_token")).await.is(200).json();
        for said in [&claims, &user] {
            assert!(has.iter().all(|name| !said[name].is_null()), "{scope}: {said}");
            assert!(lacks.iter().all(|name| said[name].is_null()), "{scope}: {said}");
        }
    }
    // Without openid, it is OAuth alone.
    let code = app.gets_a_code_for(&session_browser, &ada, &[("scope", "profile")]).await;
    assert!(app.redeems(&code).await.is(200).json()["id_token"].is_null());
}

async fn an_id_token_is_signed_as_its_client_registered(signet: TestApp) {
    let ada = signet.registers("ada").await;
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let app = RelyingParty::registers_with(&signet, &["--first-party", "--id-token-alg", algorithm]).await;
        let (tokens, id_token) = app.logs_in(&BrowserSession::at(&signet), &ada).await;
        let header = jwt::header(&id_token);
        assert_eq!(header["alg"], algorithm);
        let keys = signet.site.get("/.well-known/jwks.json").answer().await.json();
        let keys = keys["keys"].as_array().expect("keys").clone();
        assert!(keys.iter().any(|key| key["kid"] == header["kid"] && key["alg"] == algorithm), "{header}: {keys:?}");
        // Neither is taken for the other.
        signet.site.user_info(&id_token).await.challenges(401, "invalid_token");
        assert_eq!(jwt::header(&tokens.access)["typ"], "at+jwt");
    }
}

async fn a_code_is_used_once_and_its_copy_ends_the_session(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    let code = app.gets_a_code(&BrowserSession::at(&signet), &ada).await;
    let tokens = app.redeems(&code).await.granted();
    signet.site.user_info(&tokens.access).await.is(200);
    app.redeems(&code).await.refused("invalid_grant");
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
}

async fn a_code_is_nobody_elses(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let other = RelyingParty::registers(&signet).await;
    let public = registers_public(&signet, CALLBACK).await;
    let public = RelyingParty::of(&signet, public, CALLBACK);
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let code = app.gets_a_code(&session_browser, &ada).await;

    other.redeems(&code).await.refused("invalid_grant");
    public.redeems(&code).await.refused("invalid_grant");
    let wrong = format!("{}A", &VERIFIER[..42]);
    for (error, name, value) in [
        ("invalid_grant", "code_verifier", wrong.as_str()),
        ("invalid_grant", "code_verifier", CHALLENGE),
        ("invalid_request", "code_verifier", ""),
        ("invalid_request", "code_verifier", "short"),
        ("invalid_request", "redirect_uri", ""),
        ("invalid_grant", "redirect_uri", "https://app.example.com/callback/"),
        ("invalid_grant", "redirect_uri", "https://evil.example/callback"),
        ("invalid_target", "resource", "https://evil.example"),
        ("invalid_grant", "code", "guess"),
        ("invalid_grant", "code", &code.to_lowercase()),
        ("invalid_request", "code", ""),
    ] {
        app.redeems_with(&code, &[(name, value)]).await.refused(error);
    }
    let form = [("grant_type", "authorization_code"), ("code", code.as_str()), ("client_id", app.client.id.as_str())];
    signet.site.token(&form).answer().await.refused("invalid_client");
    // None of that has used it up.
    app.redeems(&code).await.granted();
}

/// Tokens issued late in a login end with the login.
async fn a_clients_session_does_not_outlast_the_log_in(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.logs_in(&session_browser, &ada).await;
    for _ in 0..4 {
        signet.clock.advance(days(22));
        app.gets_a_code(&session_browser, &ada).await;
    }
    let (mut tokens, _) = app.logs_in(&session_browser, &ada).await;
    signet.clock.advance(days(1));
    tokens = app.client.refreshes(&signet.site, &tokens).await.granted();
    signet.clock.advance(days(2));
    app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
}

async fn a_code_lives_a_minute(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let (early, late) = (app.gets_a_code(&session_browser, &ada).await, app.gets_a_code(&session_browser, &ada).await);
    signet.clock.advance(seconds(59));
    app.redeems(&early).await.granted();
    signet.clock.advance(seconds(1));
    app.redeems(&late).await.refused("invalid_grant");
}

async fn a_code_dies_with_the_log_in_it_came_from(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let code = app.gets_a_code(&session_browser, &ada).await;
    signet.runs(&["user", "revoke-sessions", "ada"]).await.well();
    app.redeems(&code).await.refused("invalid_grant");
    let code = app.gets_a_code(&session_browser, &ada).await;
    signet.runs(&["user", "disable", "ada"]).await.well();
    app.redeems(&code).await.refused("invalid_grant");
    // And the browser is logged out.
    assert!(location(&session_browser.opens(&app.link(&[])).await).starts_with("/login?request="));
}

async fn trouble_is_blamed_on_nobody(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let code = app.gets_a_code(&session_browser, &ada).await;
    signet.cluster().stop();
    app.redeems(&code).await.unavailable();
    let page = session_browser.opens(&app.link(&[])).await.unavailable();
    assert!(page.text().contains("Please try again"), "{page:?}");
    signet.cluster().start();
    eventually(Duration::from_secs(30), "it is ready again, by itself", async || {
        signet.site.get("/readyz").answer().await.status == 200
    })
    .await;
    app.redeems(&code).await.granted();
}

stories![
    a_person_logs_in_and_the_client_learns_who_it_is,
    a_code_is_used_once_and_its_copy_ends_the_session,
    a_code_is_nobody_elses,
    a_code_lives_a_minute,
    a_clients_session_does_not_outlast_the_log_in,
    a_code_dies_with_the_log_in_it_came_from,
];

stories_on![Sqlite:
    each_scope_brings_its_claims_and_no_other,
    an_id_token_is_signed_as_its_client_registered,
];

stories_on![Postgres: trouble_is_blamed_on_nobody];
