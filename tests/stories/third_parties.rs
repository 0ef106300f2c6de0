//! Tokens of clients that are not the operator's own: they tell that client who somebody is, and open nothing else.

use serde_json::{Value, json};

use crate::harness::{
    Ask, Person, TestApp, TestEnvBuilder, Tokens,
    browser_session::BrowserSession,
    jwt,
    relying_party::{CALLBACK, RelyingParty},
    stories, stories_on,
    test_env::Client,
};

/// The operator's own API.
const API: &str = "https://api.example.com";

/// An administrator of the operator's API.
async fn ada_the_admin(signet: &TestApp) -> Person {
    let ada = signet.registers("ada").await;
    signet.runs(&["user", "grant-role", "ada", "admin"]).await.well();
    ada
}

/// A public client that anybody might have registered.
async fn strangers_app(signet: &TestApp) -> RelyingParty {
    let metadata = json!({
        "client_name": "Cat pictures",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "scope": "openid profile email roles",
    });
    let answer = signet.site.post("/oauth/register").json(&metadata).answer().await.is(201);
    assert_eq!(answer.json()["scope"], "openid profile email", "roles are the operator's to give");
    RelyingParty::of(signet, Client { id: answer.string("client_id"), secret: String::new() }, CALLBACK)
}

async fn tokens_of(app: &RelyingParty, browser: &BrowserSession, person: &Person, other: &[(&str, &str)]) -> Value {
    let code = app.gets_a_code_for(browser, person, other).await;
    app.redeems(&code).await.is(200).json()
}

fn access(tokens: &Value) -> String {
    tokens["access_token"].as_str().expect("a token").to_owned()
}

/// A consent to "know that it is you" must not be a login at the operator's API.
async fn a_strangers_app_gets_no_token_for_the_operators_api(builder: TestEnvBuilder) {
    let signet = builder.set("client_registration", "open").set("audience", API).open().await;
    let ada = ada_the_admin(&signet).await;
    let gateway = signet.registers_client(&["--name", "API", "--grant", "client_credentials", "--audience", API]).await;
    let app = strangers_app(&signet).await;
    let browser = BrowserSession::at(&signet);
    let token = access(&tokens_of(&app, &browser, &ada, &[("scope", "openid")]).await);
    let claims = jwt::claims(&token);
    assert_eq!(claims["aud"], signet.issuer, "{claims}");
    assert!(claims.get("roles").is_none() && claims.get("preferred_username").is_none(), "{claims}");
    gateway.introspects(&signet.site, &token).await.inactive();
    for resource in [API, "https://API.example.com/", "https://api.example.com:443"] {
        let link = app.link(&[("scope", "openid"), ("resource", resource), ("prompt", "none")]);
        app.is_refused(&browser.opens(&link).await, "invalid_target");
    }
    signet.site.get("/v1/users/me").bearer_auth(&token).answer().await.challenges(403, "insufficient_scope");
    assert_eq!(signet.site.user_info(&token).await.is(200).json(), json!({"sub": ada.id}));
}

/// MCP clients register themselves, and always name the server's resource.
async fn an_open_resource_is_every_strangers_to_ask_for(builder: TestEnvBuilder) {
    const MCP: &str = "https://mcp.example.com/mcp";
    let builder = builder.set("client_registration", "open").set("audience", API);
    let signet = builder.set("open_resources", &format!("{MCP},urn:example:orders")).open().await;
    let ada = ada_the_admin(&signet).await;
    let (app, own) = (strangers_app(&signet).await, RelyingParty::registers(&signet).await);
    let browser = BrowserSession::at(&signet);
    let other = [("scope", "openid"), ("resource", "HTTPS://mcp.example.com:443/mcp")];
    let tokens = tokens_of(&app, &browser, &ada, &other).await;
    let claims = jwt::claims(&access(&tokens));
    assert_eq!(claims["aud"], MCP);
    assert!(claims.get("roles").is_none(), "{claims}");
    signet.site.user_info(&access(&tokens)).await.challenges(403, "insufficient_scope");
    for resource in
        [API, "https://mcp.example.com", "https://mcp.example.com/mcp/", "urn:example:orders urn:example:orders/"]
    {
        let link = app.link(&[("scope", "openid"), ("resource", resource), ("prompt", "none")]);
        app.is_refused(&browser.opens(&link).await, "invalid_target");
    }
    // A client of the operator's has what is registered for it.
    let answer = browser.opens(&own.link(&[("resource", MCP), ("prompt", "none")])).await;
    own.is_refused(&answer, "invalid_target");
}

/// The same rule for a client that the operator registered for somebody else.
async fn a_third_party_gets_roles_and_name_by_scope(builder: TestEnvBuilder) {
    let signet = builder.set("audience", API).open().await;
    let ada = ada_the_admin(&signet).await;
    let app = RelyingParty::registers_with(&signet, &["--scope", "roles"]).await;
    let browser = BrowserSession::at(&signet);
    for (scope, name, roles) in [
        ("openid", false, false),
        ("openid profile", true, false),
        ("openid roles", false, true),
        ("openid profile roles", true, true),
    ] {
        let tokens = tokens_of(&app, &browser, &ada, &[("scope", scope)]).await;
        let said = [
            jwt::claims(tokens["access_token"].as_str().expect("a token")),
            jwt::claims(tokens["id_token"].as_str().expect("a token")),
            signet.site.user_info(&access(&tokens)).await.is(200).json(),
        ];
        assert_eq!(said[0]["aud"], signet.issuer, "{scope}");
        for said in said {
            assert_eq!(said["preferred_username"], if name { json!("ada") } else { Value::Null }, "{scope}: {said}");
            assert_eq!(said["roles"], if roles { json!(["admin"]) } else { Value::Null }, "{scope}: {said}");
        }
    }
    let answer = browser.opens(&app.link(&[("resource", API), ("prompt", "none")])).await;
    app.is_refused(&answer, "invalid_target");
    let registered = RelyingParty::registers_with(&signet, &["--resource", API]).await;
    let tokens = tokens_of(&registered, &browser, &ada, &[("resource", API), ("scope", "openid")]).await;
    let claims = jwt::claims(&access(&tokens));
    assert_eq!(claims["aud"], API);
    assert!(claims.get("roles").is_none(), "{claims}");
}

async fn the_operators_own_apps_need_not_ask(builder: TestEnvBuilder) {
    let signet = builder.set("audience", API).open().await;
    let ada = ada_the_admin(&signet).await;
    let app = RelyingParty::registers_first_party(&signet).await;
    let tokens = tokens_of(&app, &BrowserSession::at(&signet), &ada, &[("scope", "openid")]).await;
    let claims = jwt::claims(&access(&tokens));
    assert_eq!(claims["aud"], json!([API, signet.issuer]));
    assert_eq!((&claims["roles"], &claims["preferred_username"]), (&json!(["admin"]), &json!("ada")));
    let id_token = jwt::claims(tokens["id_token"].as_str().expect("a token"));
    assert!(id_token.get("roles").is_none() && id_token.get("preferred_username").is_none(), "{id_token}");
}

/// A token that is bound to another resource is not for us.
async fn userinfo_is_for_tokens_of_this_service(builder: TestEnvBuilder) {
    const ORDERS: &str = "https://orders.example.com";
    let signet = builder.set("audience", API).open().await;
    let ada = ada_the_admin(&signet).await;
    let own = signet.registers_public_client(&["--scope", "orders", "--resource", ORDERS]).await;
    let asks = async |more: &[(&str, &str)]| -> Tokens { ada.logs_in_at(&own, more).await };
    let bound = asks(&[("resource", ORDERS)]).await;
    signet.site.user_info(&bound.access).await.challenges(403, "insufficient_scope");
    for more in [&[][..], &[("resource", API)], &[("resource", &signet.issuer)], &[("scope", "orders")]] {
        let tokens = asks(more).await;
        assert_eq!(signet.site.user_info(&tokens.access).await.is(200).json()["sub"], ada.id.as_str(), "{more:?}");
    }
    let app =
        RelyingParty::registers_with(&signet, &["--scope", "orders", "--resource", ORDERS, "--resource", API]).await;
    let browser = BrowserSession::at(&signet);
    for (status, other) in [
        (200, &[("scope", "openid"), ("resource", API)][..]),
        (200, &[("scope", "openid")]),
        (403, &[("scope", "orders")]),
        (403, &[("scope", "openid"), ("resource", ORDERS)]),
    ] {
        let token = access(&tokens_of(&app, &browser, &ada, other).await);
        signet.site.user_info(&token).await.is(status);
    }
}

async fn discovery_names_the_scope_and_the_claim(signet: TestApp) {
    let found = signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    let has = |member: &str| found[member].as_array().expect("a list").contains(&json!("roles"));
    assert!(has("scopes_supported") && has("claims_supported"), "{found}");
}

stories![a_strangers_app_gets_no_token_for_the_operators_api];

stories_on![Sqlite:
    a_third_party_gets_roles_and_name_by_scope,
    the_operators_own_apps_need_not_ask,
    userinfo_is_for_tokens_of_this_service,
    discovery_names_the_scope_and_the_claim,
    an_open_resource_is_every_strangers_to_ask_for,
];
