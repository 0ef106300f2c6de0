//! Scopes as clients in the field send them: what is not theirs is left out, and the answer says what was given.

use serde_json::json;

use crate::harness::{
    Ask, TestApp,
    browser_session::{BrowserSession, location},
    jwt,
    relying_party::{CALLBACK, RelyingParty},
    stories_on,
};

async fn scopes_that_are_not_the_clients_are_left_out(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    for asked in ["openid email groups", "groups openid   email", " openid email ", "openid email https://x.example/y"]
    {
        let code = app.gets_a_code_for(&browser, &ada, &[("scope", asked)]).await;
        let tokens = app.redeems(&code).await.granted();
        assert_eq!(tokens.scopes(), ["email", "openid"], "{asked:?}");
        assert_eq!(jwt::claims(&tokens.access)["scope"].as_str(), Some(tokens.scope.as_str()));
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str()), ("scope", asked)];
        let tokens = app.client.posts(&signet.site, "/oauth/token", &form).await.granted();
        assert_eq!(tokens.scopes(), ["email", "openid"], "{asked:?}");
        // What the client may have, and this session has not.
        let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("scope", "openid profile")];
        app.client.posts(&signet.site, "/oauth/token", &form).await.refused("invalid_scope");
    }
    for asked in ["groups", "groups admin", "openid gro\"ups", "OPENID"] {
        let answer = browser.opens(&app.link(&[("scope", asked), ("prompt", "none")])).await;
        app.is_refused(&answer, "invalid_scope");
    }
    // White space asks for nothing.
    for asked in [" ", "   ", "\t", "\r\n"] {
        let code = app.is_given_a_code(&browser.opens(&app.link(&[("scope", asked), ("prompt", "none")])).await);
        assert_eq!(
            app.redeems(&code).await.granted().scopes(),
            ["email", "offline_access", "openid", "profile"],
            "{asked:?}"
        );
    }
}

async fn a_pushed_scope_and_a_clients_own_are_read_alike(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let mut request = app.request();
    request.retain(|(name, _)| *name != "scope");
    request.push(("scope", "openid groups"));
    app.client.posts(&signet.site, "/oauth/par", &request).await.is(201);
    request.retain(|(name, _)| *name != "scope");
    request.push(("scope", "groups"));
    app.client.posts(&signet.site, "/oauth/par", &request).await.oauth_error(400, "invalid_scope");

    let service = signet.registers_service(&["--scope", "write"]).await;
    let asks = async |scope: &str| {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        service.posts(&signet.site, "/oauth/token", &form).await
    };
    assert_eq!(asks("read  admin openid").await.granted().scope, "read");
    asks("openid offline_access").await.refused("invalid_scope");

    let ada = signet.registers("ada").await;
    let form = [("grant_type", "password"), ("username", "ada"), ("password", &ada.password), ("scope", "openid root")];
    assert_eq!(signet.site.token(&form).answer().await.granted().scope, "openid");
}

/// Clients that ask several issuers for all that they may want.
async fn words_that_are_left_out_do_not_count_for_the_length(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let fill = |length: usize| {
        let mut text = "openid ".to_owned();
        while text.len() < length {
            text.push_str("https://graph.example/Mail.Read ");
        }
        text.truncate(length - 6);
        format!("{text} email")
    };
    for length in [512, 513, 700, 1024] {
        let asked = fill(length);
        assert_eq!(asked.len(), length);
        let code = app.gets_a_code_for(&browser, &ada, &[("scope", &asked)]).await;
        let tokens = app.redeems(&code).await.granted();
        assert_eq!(tokens.scopes(), ["email", "openid"], "{length}");
        let mut request = app.request();
        request.retain(|(name, _)| *name != "scope");
        request.push(("scope", &asked));
        app.client.posts(&signet.site, "/oauth/par", &request).await.is(201);
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str()), ("scope", &asked)];
        app.client.posts(&signet.site, "/oauth/token", &form).await.granted();
    }
    let service = signet.registers_service(&["--scope", "write"]).await;
    for length in [513, 1024, 20_000] {
        let asked = fill(length).replace("openid", "read");
        let form = [("grant_type", "client_credentials"), ("scope", asked.as_str())];
        assert_eq!(service.posts(&signet.site, "/oauth/token", &form).await.granted().scope, "read", "{length}");
        let form =
            [("grant_type", "password"), ("username", "ada"), ("password", &ada.password), ("scope", &fill(length))];
        assert_eq!(signet.site.token(&form).answer().await.granted().scopes(), ["email", "openid"], "{length}");
    }
}

/// The consent page and the consent are about what would be given.
async fn nobody_is_asked_for_what_is_left_out(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code_for(&browser, &ada, &[("scope", "openid groups")]).await;
    app.is_given_a_code(&browser.opens(&app.link(&[("scope", "openid"), ("prompt", "none")])).await);
    let answer = browser.opens(&app.link(&[("scope", "openid email groups")])).await;
    assert!(location(&answer).starts_with("/consent"), "{answer:?}");
    let page = browser.follows(&answer).await.is(200);
    assert!(!page.text().contains("groups"), "{page:?}");
}

/// The shortest command registers a client that can do OpenID Connect.
async fn a_client_of_the_code_flow_has_the_usual_scopes(signet: TestApp) {
    let create = ["client", "create", "--name", "Lighthouse", "--redirect-uri", CALLBACK];
    let made = signet.runs(&create).await.well().json();
    let shown = signet.runs(&["client", "show", made["client_id"].as_str().expect("an id")]).await.well().json();
    assert_eq!(shown["scope"], "openid profile email");
    for (options, scope) in [
        (&["--redirect-uri", CALLBACK, "--scope", ""][..], ""),
        (&["--redirect-uri", CALLBACK, "--scope", "openid"], "openid"),
        (&["--grant", "client_credentials"], ""),
    ] {
        let made = signet.runs(&[&["client", "create", "--name", "x"][..], options].concat()).await.well().json();
        let shown = signet.runs(&["client", "show", made["client_id"].as_str().expect("an id")]).await.well().json();
        assert_eq!(shown["scope"], json!(scope), "{options:?}");
    }
}

stories_on![Sqlite:
    scopes_that_are_not_the_clients_are_left_out,
    words_that_are_left_out_do_not_count_for_the_length,
    a_pushed_scope_and_a_clients_own_are_read_alike,
    nobody_is_asked_for_what_is_left_out,
    a_client_of_the_code_flow_has_the_usual_scopes,
];
