//! Login with other providers: hostile ones, broken ones, and people who come back with what is not theirs. No account
//! is touched, and nobody is asked but the provider.

use std::time::Instant;

use entity::{federation_attempt, identity, session, user};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use signet::testing::Clock;

use crate::harness::{
    Ask, TestApp,
    browser_session::{BrowserSession, location, parameter},
    idp::{Conduct, Idp, Signer, presses},
    seconds, stories, stories_on,
    test_env::TestEnvBuilder,
};

/// Nobody is logged in, and nothing is in the database that a login leaves.
async fn nothing_came_of_it(signet: &TestApp, session_browser: &BrowserSession) {
    let store = signet.store().await;
    assert_eq!(session_browser.cookie("session"), None);
    assert_eq!(user::Entity::find().count(&store).await.expect("it answers"), 0, "accounts");
    assert_eq!(identity::Entity::find().count(&store).await.expect("it answers"), 0, "identities");
    assert_eq!(session::Entity::find().count(&store).await.expect("it answers"), 0, "sessions");
}

async fn a_forged_or_foreign_token_lets_nobody_in(builder: TestEnvBuilder) {
    let (idp, evil) = (Idp::opens().await, Idp::opens().await);
    let signet = idp.open_app(builder.set("providers.idp.trust_email", "true")).await;
    let now = signet.clock.now().timestamp();
    let jwks = format!("{}/jwks", evil.issuer());
    let own = |edit: Value| (Signer::Own, json!({}), edit);
    let headed = |signer: Signer, edit: Value| (signer, edit, json!({}));
    for (signer, header, claims) in [
        own(json!({"nonce": "another"})),
        own(json!({"nonce": null})),
        own(json!({"aud": "another-client"})),
        own(json!({"aud": ["our-client", "another-client"]})),
        own(json!({"azp": "another-client"})),
        own(json!({"iss": evil.issuer()})),
        own(json!({"iss": null})),
        own(json!({"exp": now - 31})),
        own(json!({"exp": (now + 300).to_string()})),
        own(json!({"exp": null})),
        own(json!({"iat": now + 100})),
        own(json!({"nbf": now + 100})),
        own(json!({"sub": ""})),
        own(json!({"sub": null})),
        headed(Signer::Nobody, json!({})),
        headed(Signer::PublicKey, json!({})),
        headed(Signer::Forger, json!({})),
        headed(Signer::Forger, json!({"jku": jwks, "kid": "second"})),
        headed(Signer::Forger, json!({"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}})),
        headed(Signer::Forger, json!({"x5u": jwks, "x5c": ["AAAA"]})),
        headed(Signer::Own, json!({"crit": ["exp"]})),
        headed(Signer::Own, json!({"typ": "at+jwt"})),
        headed(Signer::Own, json!({"alg": "ES384"})),
    ] {
        let what = format!("{signer:?} {header} {claims}");
        {
            let mut script = idp.script();
            (script.signer, script.header, script.claims) = (signer, header, claims);
        }
        let session_browser = BrowserSession::at(&signet);
        let answer = idp.lets_in(&session_browser).await;
        assert_eq!(answer.status, 502, "{what}: {answer:?}");
        assert!(answer.text().contains("could not tell who you are") && answer.text().contains("/login"), "{answer:?}");
        nothing_came_of_it(&signet, &session_browser).await;
    }
    assert_eq!(evil.script().asked, Vec::<String>::new(), "nobody else is ever asked");
    {
        let mut script = idp.script();
        (script.signer, script.header, script.claims) = (Signer::Own, json!({}), json!({}));
    }
    assert_eq!(location(&idp.lets_in(&BrowserSession::at(&signet)).await), "/account", "the honest one is believed");
}

async fn a_broken_provider_is_told_apart_and_led_nowhere(builder: TestEnvBuilder) {
    let (idp, evil) = (Idp::opens().await, Idp::opens().await);
    let signet = idp.open_app(builder).await;
    let other_origin = format!("{}/token", evil.issuer());
    for (conduct, status) in [
        (Conduct::Says(500, "{}"), 503),
        (Conduct::Says(503, ""), 503),
        (Conduct::Says(429, "{}"), 503),
        (Conduct::Says(400, r#"{"error":"invalid_grant"}"#), 502),
        (Conduct::Says(401, "<html>"), 502),
        (Conduct::Says(200, "<html>"), 502),
        (Conduct::Says(200, "{}"), 502),
        (Conduct::Says(200, r#"{"access_token":"a","token_type":"Bearer"}"#), 502),
        (Conduct::Says(200, r#"{"access_token":"a","token_type":"Bearer","id_token":"a.b.c"}"#), 502),
        (Conduct::Leads(other_origin), 502),
        (Conduct::Floods, 502),
    ] {
        idp.script().token = conduct.clone();
        let session_browser = BrowserSession::at(&signet);
        let answer = idp.lets_in(&session_browser).await;
        assert_eq!(answer.status, status, "{conduct:?}: {answer:?}");
        assert!(answer.text().contains("href=\"/login\""), "there is a way back: {answer:?}");
        assert_eq!(answer.header("retry-after").is_empty(), status != 503, "{answer:?}");
        nothing_came_of_it(&signet, &session_browser).await;
    }
    assert_eq!(evil.script().asked, Vec::<String>::new(), "nobody else is ever asked");
}

async fn a_slow_provider_holds_nobody_for_long(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    idp.script().token = Conduct::Hangs;
    let session_browser = BrowserSession::at(&signet);
    let begun = Instant::now();
    idp.lets_in(&session_browser).await.unavailable();
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    nothing_came_of_it(&signet, &session_browser).await;
    // Everything else goes on.
    signet.registers("grace").await.logs_in().await;
}

async fn metadata_lead_nowhere_else(builder: TestEnvBuilder) {
    let (idp, evil) = (Idp::opens().await, Idp::opens().await);
    let signet = idp.open_app(builder).await;
    let at = |path: &str| format!("{}{path}", evil.issuer());
    for edit in [
        json!({"issuer": evil.issuer()}),
        json!({"issuer": format!("{}/", idp.issuer())}),
        json!({"token_endpoint": at("/token")}),
        json!({"jwks_uri": at("/jwks")}),
        json!({"userinfo_endpoint": at("/userinfo")}),
        json!({"authorization_endpoint": at("/authorize")}),
        json!({"token_endpoint": "file:///etc/passwd"}),
        json!({"token_endpoint": idp.issuer().replace("http://", "http://user:pw@")}),
        json!({"jwks_uri": null}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
    ] {
        idp.script().metadata = edit.clone();
        let session_browser = BrowserSession::at(&signet);
        let page = session_browser.opens("/login").await.is(200);
        let answer = session_browser.sends(&page, "/federation/idp", &[]).await;
        assert_eq!(answer.status, 502, "{edit}: {answer:?}");
        nothing_came_of_it(&signet, &session_browser).await;
    }
    assert_eq!(evil.script().asked, Vec::<String>::new(), "nobody else is ever asked");
    idp.script().metadata = json!({});
    assert_eq!(
        location(&idp.lets_in(&BrowserSession::at(&signet)).await),
        "/account",
        "a mended one is believed again"
    );
}

async fn an_attempt_is_of_one_browser_one_provider_and_one_use(builder: TestEnvBuilder) {
    let (idp, other) = (Idp::opens().await, Idp::opens().await);
    let signet = idp.open_app(other.configure(builder, "other", "oidc")).await;
    other.keeps_time_with(&signet);
    let session_browser = BrowserSession::at(&signet);
    let begin = async || {
        let page = session_browser.opens("/login").await.is(200);
        idp.logs_in(&presses(&session_browser, &page, "idp").await)
    };
    // Login CSRF: somebody else's way back, in the victim's browser, which has been here before.
    let back = begin().await;
    let victim = BrowserSession::at(&signet);
    victim.opens("/login").await.is(200);
    victim.opens(&back).await.is(400);
    for cookie in session_browser.cookies().iter().filter(|cookie| cookie.contains("federation-")) {
        victim.is_given(cookie);
    }
    victim.opens(&back).await.is(400);
    nothing_came_of_it(&signet, &victim).await;
    assert_eq!(idp.asked_for("/token"), 0, "no code is redeemed for them");
    // At another provider's callback: a mix-up.
    session_browser.opens(&back.replace("/federation/idp/", "/federation/other/")).await.is(400);
    session_browser.opens(&back.replace("/federation/idp/", "/federation/nobody/")).await.is(404);
    assert_eq!(other.asked_for("/token"), 0);

    // With another state, or none.
    let back = begin().await;
    let state = parameter(&back, "state");
    // (Its last character holds four bits, so that this one is none of its own.)
    for bad in [String::new(), "x".repeat(43), format!("{}B", &state[..42]), state[..8].to_owned()] {
        session_browser.opens(&back.replace(&state, &bad)).await.is(400);
    }
    // An answer with another `iss` (RFC 9207), or without the promised one.
    let encoded: String = url::form_urlencoded::byte_serialize(idp.issuer().as_bytes()).collect();
    session_browser.opens(&back.replace(&encoded, "https%3A%2F%2Fevil.example")).await.is(502);
    let back = begin().await;
    session_browser.opens(&back.replace(&format!("&iss={encoded}"), "")).await.is(502);
    // Too late.
    let back = begin().await;
    signet.clock.advance(seconds(600));
    session_browser.opens(&back).await.is(400);
    assert_eq!(idp.asked_for("/token"), 0);
    nothing_came_of_it(&signet, &session_browser).await;
    // Once, and once only, even for the browser that kept the cookie.
    let back = begin().await;
    let cookies = session_browser.cookies();
    assert_eq!(location(&session_browser.opens(&back).await), "/account");
    for cookie in &cookies {
        session_browser.is_given(cookie);
    }
    session_browser.opens(&back).await.is(400);
    assert_eq!(idp.asked_for("/token"), 1);
}

async fn a_refusal_is_told_and_may_be_repaired(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let session_browser = BrowserSession::at(&signet);
    for error in ["access_denied", "server_error", "<script>alert(1)</script>"] {
        let page = session_browser.opens("/login").await.is(200);
        let back = idp.logs_in(&presses(&session_browser, &page, "idp").await);
        let error: String = url::form_urlencoded::byte_serialize(error.as_bytes()).collect();
        let back = back.replace("code=SplxlOBeZQQYbYS6WxSbIA", &format!("error={error}&error_description={error}"));
        let answer = session_browser.opens(&back).await.is(403);
        assert!(!answer.text().contains("<script") && !answer.text().contains("alert(1)"), "{answer:?}");
        nothing_came_of_it(&signet, &session_browser).await;
    }
    assert_eq!(idp.asked_for("/token"), 0);
    assert_eq!(location(&idp.lets_in(&session_browser).await), "/account");
}

async fn no_link_and_no_foreign_form_begins_a_log_in(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens("/login").await.is(200);
    for link in ["/federation/idp", "/federation/idp?return_to=/account"] {
        assert!(location(&session_browser.opens(link).await).starts_with("/login"), "{link}");
    }
    session_browser.opens("/federation/idp?request=AAAA").await.is(400);
    session_browser.posts("/federation/idp", &[]).await.is(403);
    let csrf = crate::harness::browser_session::hidden(&page.text(), "/federation/idp").remove(0).1;
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "null"), ("origin", "https://evil.example")] {
        let request = signet.site.post("/federation/idp").header("cookie", session_browser.cookies().join("; "));
        request.header(name, value).form(&[("csrf", &csrf)]).answer().await.is(403);
    }
    assert!(!session_browser.cookies().iter().any(|cookie| cookie.contains("federation-")), "no attempt was begun");
    assert_eq!(idp.script().asked, Vec::<String>::new());
    let attempts = federation_attempt::Entity::find().count(&signet.store().await).await;
    assert_eq!(attempts.expect("it answers"), 0);
    session_browser.posts("/federation/nobody", &[("csrf", &csrf)]).await.is(404);
}

async fn new_keys_are_read_but_not_over_and_over(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder).await;
    idp.lets_in(&BrowserSession::at(&signet)).await;
    assert_eq!(idp.asked_for("/jwks"), 1);
    assert_eq!(idp.asked_for("/.well-known/openid-configuration"), 1);
    idp.lets_in(&BrowserSession::at(&signet)).await;
    assert_eq!(idp.asked_for("/jwks"), 1, "they are remembered");
    idp.changes_keys();
    // The keys were just read: unknown key ids cause no flood of requests.
    let answer = idp.lets_in(&BrowserSession::at(&signet)).await;
    assert_eq!((answer.status, idp.asked_for("/jwks")), (502, 1), "{answer:?}");
    signet.clock.advance(seconds(60));
    assert_eq!(location(&idp.lets_in(&BrowserSession::at(&signet)).await), "/account");
    assert_eq!(idp.asked_for("/jwks"), 2);
    idp.script().header = json!({"kid": "unknown"});
    for _ in 0..3 {
        idp.lets_in(&BrowserSession::at(&signet)).await.is(502);
    }
    assert_eq!(idp.asked_for("/jwks"), 2);
}

async fn user_info_is_of_whom_the_token_names(builder: TestEnvBuilder) {
    let idp = Idp::opens().await;
    let signet = idp.open_app(builder.set("providers.idp.trust_email", "true")).await;
    idp.script().userinfo = json!({"sub": "somebody-else", "email": "ada@example.org", "email_verified": true});
    let session_browser = BrowserSession::at(&signet);
    idp.lets_in(&session_browser).await.is(502);
    nothing_came_of_it(&signet, &session_browser).await;
    idp.script().userinfo = json!({"sub": "ada-at-idp", "email": "ada@example.org", "email_verified": true});
    idp.lets_in(&session_browser).await;
    let ada = user::Entity::find().one(&signet.store().await).await.expect("it answers").expect("she is there");
    assert_eq!((ada.email.as_deref(), ada.email_verified), (Some("ada@example.org"), true));
}

stories![an_attempt_is_of_one_browser_one_provider_and_one_use,];

stories_on![Sqlite:
    a_forged_or_foreign_token_lets_nobody_in,
    a_broken_provider_is_told_apart_and_led_nowhere,
    a_slow_provider_holds_nobody_for_long,
    metadata_lead_nowhere_else,
    a_refusal_is_told_and_may_be_repaired,
    no_link_and_no_foreign_form_begins_a_log_in,
    new_keys_are_read_but_not_over_and_over,
    user_info_is_of_whom_the_token_names,
];
