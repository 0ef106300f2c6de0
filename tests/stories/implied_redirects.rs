//! Requests without `redirect_uri` (RFC 6749 §3.1.2.3, §4.1.3): the client has one alone, and the request is no OpenID one.

use crate::harness::{
    Answer, Ask, Person, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, location},
    document_host::DocumentHost,
    relying_party::{CALLBACK, RelyingParty, registers_public},
    stories, stories_on,
    test_env::Client,
};
use serde_json::json;

const OTHER: &str = "https://app.example.com/other";

/// A request of OAuth alone that names no redirect URI.
const BARE: [(&str, &str); 2] = [("redirect_uri", ""), ("scope", "profile")];

async fn opens(browser: &BrowserSession, app: &RelyingParty, other: &[(&str, &str)]) -> Answer {
    browser.opens(&app.link(&[&BARE[..], other].concat())).await
}

fn stays_here(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.header("location")), (400, ""), "{what}: {answer:?}");
}

/// It goes to the one that is registered, and the token request names the address as the authorization request did.
async fn one_that_is_never_another_may_be_left_out(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    for scope in ["profile", "email profile", "profile offline_access", ""] {
        let bare = [("redirect_uri", ""), ("scope", scope)];
        for presented in ["", CALLBACK] {
            let code = app.is_given_a_code(&browser.opens(&app.link(&bare)).await);
            app.redeems_with(&code, &[("redirect_uri", presented)]).await.granted();
        }
        for wrong in [OTHER, "https://evil.example/callback", "https://app.example.com/callback/"] {
            let code = app.is_given_a_code(&browser.opens(&app.link(&bare)).await);
            app.redeems_with(&code, &[("redirect_uri", wrong)]).await.refused("invalid_grant");
            // A refused request does not use up the code.
            app.redeems_with(&code, &[("redirect_uri", "")]).await.granted();
        }
    }
    // An address that was given must be given again, whatever else the request asked for.
    for scope in ["profile", "openid"] {
        let code = app.is_given_a_code(&browser.opens(&app.link(&[("scope", scope)])).await);
        app.redeems_with(&code, &[("redirect_uri", "")]).await.refused("invalid_request");
        app.redeems(&code).await.granted();
    }
    // Empty is not sent.
    let link = app.link(&BARE) + "&redirect_uri=&redirect_uri=";
    let code = app.is_given_a_code(&browser.opens(&link).await);
    app.redeems_with(&code, &[("redirect_uri", "")]).await.granted();
    // Errors go there too.
    app.is_refused(&opens(&browser, &app, &[("response_type", "token")]).await, "unsupported_response_type");
}

/// OIDC Core §3.1.2.1 requires it, and a client with several must choose.
async fn elsewhere_it_is_required(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let one = RelyingParty::registers_first_party(&signet).await;
    one.gets_a_code(&browser, &ada).await;
    for scope in ["openid", "openid profile", "profile  openid", " openid"] {
        let bare = [("redirect_uri", ""), ("scope", scope)];
        stays_here(&browser.opens(&one.link(&bare)).await, scope);
        for more in [("prompt", "none"), ("response_mode", "form_post"), ("response_type", "token")] {
            stays_here(&browser.opens(&one.link(&[&bare[..], &[more]].concat())).await, scope);
        }
    }
    let two = RelyingParty::registers_with(&signet, &["--first-party", "--redirect-uri", OTHER]).await;
    stays_here(&opens(&browser, &two, &[]).await, "two");
    let none = signet.registers_client(&["--name", "x", "--grant", "client_credentials"]).await;
    stays_here(&opens(&browser, &RelyingParty::of(&signet, none, CALLBACK), &[]).await, "none");
    // One that came twice was not left out, and neither was one that cannot be read.
    for more in [
        "redirect_uri=https%3A%2F%2Fevil.example&redirect_uri=https%3A%2F%2Fevil.example",
        "redirect_uri=%ff",
        "redirect_uri=https%3A%2F%2Fevil.example",
        "redirect_uri=%20",
        "scope=openid",
    ] {
        stays_here(&browser.opens(&format!("{}&{more}", one.link(&BARE))).await, more);
    }
}

async fn a_pushed_request_may_leave_it_out_too(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    let pushes = async |scope: &str| {
        let mut request = app.request();
        request.retain(|(name, _)| !["redirect_uri", "scope"].contains(name));
        request.push(("scope", scope));
        app.client.posts(&signet.site, "/oauth/par", &request).await
    };
    let reference = pushes("profile").await.is(201).string("request_uri");
    let answer = browser.opens(&app.link(&[("request_uri", reference.as_str()), ("redirect_uri", OTHER)])).await;
    let code = app.is_given_a_code(&answer);
    app.redeems_with(&code, &[("redirect_uri", "")]).await.granted();
    pushes("openid").await.oauth_error(400, "invalid_request");
}

/// The request waits for a login and a consent in between, and the answer may be posted.
async fn it_stays_left_out_while_somebody_is_asked(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let options = ["--name", "Native", "--public", "--redirect-uri", "http://127.0.0.1:50123/cb"];
    let more = ["--grant", "authorization_code", "--scope", "profile"];
    let public = signet.registers_client(&[&options[..], &more[..]].concat()).await;
    let app = RelyingParty::of(&signet, public, "http://127.0.0.1:50123/cb");
    let code = asked(&signet, &app, &ada).await;
    app.redeems_with(&code, &[("redirect_uri", "")]).await.granted();
    // A public client, whose code anybody may bring, still needs its verifier.
    let code = asked(&signet, &app, &ada).await;
    app.redeems_with(&code, &[("redirect_uri", ""), ("code_verifier", "")]).await.refused("invalid_request");
    let web = RelyingParty::of(&signet, registers_public(&signet, CALLBACK).await, CALLBACK);
    let code = asked(&signet, &web, &ada).await;
    app.redeems_with(&code, &[("redirect_uri", "")]).await.refused("invalid_grant");
}

/// Logs in, and consents where that is asked for.
async fn asked(signet: &TestApp, app: &RelyingParty, ada: &Person) -> String {
    let browser = BrowserSession::at(signet);
    let login = location(&browser.opens(&app.link(&[("redirect_uri", ""), ("scope", "")])).await);
    let mut answer = browser.logs_in_at(&login, &ada.username, &ada.password).await;
    if location(&answer).starts_with("/consent") {
        let page = browser.follows(&answer).await.is(200);
        answer = browser.sends(&page, "/consent", &[("answer", "allow")]).await;
    }
    app.is_given_a_code(&answer)
}

/// The client's document names one.
async fn a_document_may_name_one(builder: TestEnvBuilder) {
    const URL: &str = "https://app.example/client.json";
    let host = DocumentHost::starts().await;
    host.publishes(&json!({
        "client_id": URL, "client_name": "Editor", "redirect_uris": [CALLBACK], "scope": "profile",
        "grant_types": ["authorization_code"], "token_endpoint_auth_method": "none",
    }));
    let signet = builder.with_documents(host.network()).open().await;
    let ada = signet.registers("ada").await;
    let app = RelyingParty::of(&signet, Client { id: URL.to_owned(), secret: String::new() }, CALLBACK);
    let code = asked(&signet, &app, &ada).await;
    app.redeems_with(&code, &[("redirect_uri", "")]).await.granted();
    // Its id is a URL, which some libraries do not encode in a Basic field.
    let code = asked(&signet, &app, &ada).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", crate::harness::relying_party::VERIFIER),
    ];
    let field = format!("Basic {}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{URL}:")));
    signet.site.token(&form).header("authorization", field).answer().await.granted();
}

stories![one_that_is_never_another_may_be_left_out];

stories_on![Sqlite:
    elsewhere_it_is_required,
    a_pushed_request_may_leave_it_out_too,
    it_stays_left_out_while_somebody_is_asked,
    a_document_may_name_one,
];
