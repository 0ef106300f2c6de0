//! `resource` (RFC 8707): which spellings are one resource (RFC 3986 §6.2), and which are not.

use crate::harness::{
    Answer, Ask, TestApp, browser_session::BrowserSession, jwt, relying_party::RelyingParty, site::Site, stories_on,
    test_env::Client,
};

/// As the operator registered it.
const API: &str = "https://api.example.com/v2";

const SAME: [&str; 4] =
    [API, "HTTPS://api.example.com/v2", "https://API.Example.COM/v2", "https://api.example.com:443/v2"];

const OTHERS: [&str; 10] = [
    "https://api.example.com",
    "https://api.example.com/",
    "https://api.example.com/v2/",
    "https://api.example.com/V2",
    "https://api.example.com/%762",
    "https://api.example.com/x/../v2",
    "https://api.example.com:8443/v2",
    "http://api.example.com/v2",
    "https://api.example.com/v2?",
    "https://user@api.example.com/v2",
];

async fn asks(site: &Site, client: &Client, resource: &str) -> Answer {
    client.posts(site, "/oauth/token", &[("grant_type", "client_credentials"), ("resource", resource)]).await
}

async fn spellings_of_one_resource_are_one(signet: TestApp) {
    let client = signet.registers_service(&["--resource", API, "--resource", "https://orders.example/"]).await;
    for same in SAME {
        let token = asks(&signet.site, &client, same).await.granted().access;
        assert_eq!(jwt::claims(&token)["aud"], API, "`aud` is what the operator wrote: {same}");
    }
    for same in ["https://orders.example", "https://orders.example/", "https://Orders.example:443"] {
        let token = asks(&signet.site, &client, same).await.granted().access;
        assert_eq!(jwt::claims(&token)["aud"], "https://orders.example/", "{same}");
    }
    for other in OTHERS {
        asks(&signet.site, &client, other).await.refused("invalid_target");
    }

    let app = RelyingParty::registers_with(&signet, &["--first-party", "--resource", API]).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    for same in SAME {
        let code = app.gets_a_code_for(&browser, &ada, &[("resource", same)]).await;
        let answer = app.redeems_with(&code, &[("resource", SAME[1])]).await;
        assert_eq!(jwt::claims(&answer.granted().access)["aud"], API, "{same}");
    }
    for other in OTHERS {
        app.is_refused(&browser.opens(&app.link(&[("resource", other)])).await, "invalid_target");
    }
}

async fn one_resource_may_be_named_twice_and_two_may_not(signet: TestApp) {
    let client = signet.registers_service(&["--resource", API, "--resource", "https://orders.example"]).await;
    let posts = async |form: &str| {
        let request = signet.site.post("/oauth/token").header("content-type", "application/x-www-form-urlencoded");
        let body = format!("grant_type=client_credentials&{form}");
        request.basic_auth(&client.id, Some(&client.secret)).body(body).answer().await
    };
    let once = "resource=https%3A%2F%2Fapi.example.com%2Fv2";
    let tokens = posts(&format!("{once}&{once}")).await.granted();
    assert_eq!(jwt::claims(&tokens.access)["aud"], API);
    posts(&format!("{once}&resource=HTTPS%3A%2F%2FAPI.example.com%2Fv2")).await.granted();
    posts(&format!("{once}&resource=https%3A%2F%2Forders.example")).await.refused("invalid_target");
    posts(&format!("{once}&scope=read&scope=read")).await.refused("invalid_request");

    let app = RelyingParty::registers_with(&signet, &["--first-party", "--resource", API, "--resource", "urn:x"]).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    app.is_given_a_code(&browser.opens(&format!("{}&{once}&{once}", app.link(&[]))).await);
    let answer = browser.opens(&format!("{}&{once}&resource=urn%3Ax", app.link(&[]))).await;
    app.is_refused(&answer, "invalid_target");
}

/// RFC 8707 §2.2: clients name at the token endpoint what they named before, or what they get anyway.
async fn a_resource_that_the_token_has_anyway_may_be_named(signet: TestApp) {
    let app = RelyingParty::registers_with(&signet, &["--resource", API]).await;
    let ada = signet.registers("ada").await;
    let code = app.gets_a_code(&BrowserSession::at(&signet), &ada).await;
    let issuer = format!("{}/", signet.issuer);
    let first = app.redeems_with(&code, &[("resource", &issuer)]).await.granted();
    assert_eq!(jwt::claims(&first.access)["aud"], signet.issuer);
    let refreshes = async |token: &str, resource: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("resource", resource)];
        app.client.posts(&signet.site, "/oauth/token", &form).await
    };
    refreshes(&first.refresh, API).await.refused("invalid_target"); // it may ask for it, and has not
    let second = refreshes(&first.refresh, &signet.issuer).await.granted();
    assert_eq!(jwt::claims(&second.access)["aud"], signet.issuer);
}

stories_on![Sqlite:
    spellings_of_one_resource_are_one,
    one_resource_may_be_named_twice_and_two_may_not,
    a_resource_that_the_token_has_anyway_may_be_named,
];
