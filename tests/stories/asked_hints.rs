//! Parameters of authorization requests that hint or bound, as clients in the field send them, and requests that are longer
//! than a URL.

use reqwest::RequestBuilder;

use crate::harness::{
    Answer, Ask, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, location, parameter},
    relying_party::{CALLBACK, RelyingParty, STATE},
    seconds, stories_on,
    test_env::Client,
};
use crate::long_requests::incompressible;

/// No login is older than the longest number says (OIDC Core §3.1.2.1).
async fn the_longest_age_is_any_age(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    signet.clock.advance(seconds(60));
    let asks = async |age: &str| browser.opens(&app.link(&[("max_age", age), ("prompt", "none")])).await;
    let nines = "9".repeat(300);
    for age in [
        "1000000000",
        "2147483648",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        &nines,
        "0000086400",
        "+86400",
        " 86400 ",
    ] {
        app.is_given_a_code(&asks(age).await);
        let mut pushed = app.request();
        pushed.push(("max_age", age));
        app.client.posts(&signet.site, "/oauth/par", &pushed).await.is(201);
    }
    for age in ["0", "00", "+0", "5", "+5", "005", "59"] {
        app.is_refused(&asks(age).await, "login_required");
    }
    for age in ["-1", "-0", "soon", "1.5", "1e9", "0x10", "++5", "+", " ", "5 s", "NaN", "Infinity", "\u{665}"] {
        app.is_refused(&asks(age).await, "invalid_request");
    }
    // As a browser's address has it, a plus is a space.
    app.is_given_a_code(&browser.opens(&format!("{}&max_age=+86400", app.link(&[("prompt", "none")]))).await);
}

async fn a_hint_that_hints_at_nobody_is_left_out(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let long = "x".repeat(5000);
    let link = app.link(&[]);
    for more in [
        "login_hint=%00",
        "login_hint=%ff",
        "login_hint=%",
        "login_hint=%0d%0aSet-Cookie:x",
        "login_hint=%7Bjson%7D",
        &format!("login_hint={long}"),
        "idp_hint=%ff",
        "idp_hint=nonesuch",
        "idp_hint=%0a",
        "ui_locales=%ff",
        "ui_locales=xx-nonsense+%00&ui_locales=de",
        "display=hologram",
        "display=page&display=popup",
        "acr_values=urn:mace:gold+%ff",
        "acr_values=9&acr_values=8",
        "claims_locales=-&claims=%7B",
        "id_token_hint=nonsense",
        "id_token_hint=a.b.c",
        "id_token_hint=%ff",
        "id_token_hint=%",
        &format!("id_token_hint={long}"),
    ] {
        let login = BrowserSession::at(&signet).opens(&format!("{link}&{more}")).await;
        assert!(location(&login).starts_with("/login?request="), "{more}: {login:?}");
        let page = BrowserSession::at(&signet);
        let page = page.follows(&page.opens(&format!("{link}&{more}")).await).await.is(200);
        assert!(!page.text().contains('\u{fffd}'), "{more}: {page:?}");
    }
    // A client that asks silently, and hints at somebody, must not be told of another (OIDC Core §3.1.2.1).
    app.gets_a_code(&browser, &ada).await;
    let silent = app.link(&[("prompt", "none")]);
    app.is_given_a_code(&browser.opens(&format!("{silent}&login_hint=%ff&acr_values=9&display=x")).await);
    for hint in ["nonsense", "a.b.c", "%ff", "%", &long] {
        let answer = browser.opens(&format!("{silent}&id_token_hint={hint}")).await;
        app.is_refused(&answer, "login_required");
    }
    // Hints are read once, as all that is read.
    for more in ["login_hint=a&login_hint=b", "id_token_hint=a&id_token_hint=%ff", "idp_hint=a&idp_hint=b"] {
        app.is_refused(&browser.opens(&format!("{silent}&{more}")).await, "invalid_request");
    }
    let mut pushed = app.request();
    pushed.extend([("login_hint", "\0"), ("id_token_hint", "x"), ("display", "x"), ("acr_values", "9")]);
    app.client.posts(&signet.site, "/oauth/par", &pushed).await.is(201);
}

/// A client of which nobody vouches asks for what other issuers have: it gets what it registered.
async fn a_stranger_that_asks_for_nothing_known_gets_its_own(builder: TestEnvBuilder) {
    let signet = builder.set("client_registration", "open").open().await;
    let ada = signet.registers("ada").await;
    let body = serde_json::json!({
        "client_name": "Editor", "redirect_uris": [CALLBACK], "scope": "openid profile offline_access",
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
    });
    let made = signet.site.post("/oauth/register").json(&body).answer().await.is(201);
    let app = RelyingParty::of(&signet, Client { id: made.string("client_id"), secret: String::new() }, CALLBACK);
    let own = made.string("scope");
    let browser = BrowserSession::at(&signet);
    let all = own.split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    for asked in ["mcp:tools", "read write", "user:email repo", "OPENID", " ", "   "] {
        let code = app.gets_a_code_for(&browser, &ada, &[("scope", asked)]).await;
        let tokens = app.redeems(&code).await.granted();
        assert_eq!(
            tokens.scopes().into_iter().map(str::to_owned).collect::<std::collections::BTreeSet<_>>(),
            all,
            "{asked}"
        );
        let form = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("scope", asked)];
        let tokens = app.client.posts(&signet.site, "/oauth/token", &form).await.granted();
        assert_eq!(tokens.scopes().len(), all.len(), "{asked}");
    }
    // One that is known narrows, and a malformed one is an error as before.
    let code = app.gets_a_code_for(&browser, &ada, &[("scope", "mcp:tools openid")]).await;
    let narrow = app.redeems(&code).await.granted();
    assert_eq!(narrow.scope, "openid");
    // A refresh never widens what the person granted.
    let form = [("grant_type", "refresh_token"), ("refresh_token", &narrow.refresh), ("scope", "mcp:tools")];
    assert_eq!(app.client.posts(&signet.site, "/oauth/token", &form).await.granted().scope, "openid");
    let bad = browser.opens(&app.link(&[("scope", "mcp\"tools"), ("prompt", "none")])).await;
    app.is_refused(&bad, "invalid_scope");
}

fn posts(signet: &TestApp, form: String) -> RequestBuilder {
    let request = signet.site.post("/oauth/authorize").header("origin", "https://app.example.com");
    request.header("content-type", "application/x-www-form-urlencoded").body(form)
}

/// A form may be longer than a URL (OIDC Core §3.1.2.1). The bounds of each parameter are the same.
async fn a_long_form_is_answered_as_a_short_one(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let browser = BrowserSession::at(&signet);
    let (_, id_token) = app.logs_in(&browser, &ada).await;
    let (random, spaces, quotes) = (incompressible(2048), " ".repeat(2048), "\"<é>".repeat(409));
    let filler = "f".repeat(50_000);
    let scope = ["openid", "profile", &"other ".repeat(70)].join(" ");
    for other in [
        &[("claims", filler.as_str())][..],
        &[("request_context", &filler), ("state", &random)],
        &[("state", &spaces), ("scope", &scope), ("id_token_hint", &id_token)],
        &[("state", &quotes), ("nonce", &quotes[..400]), ("id_token_hint", &id_token)],
        &[("state", &random), ("id_token_hint", &id_token), ("login_hint", &filler)],
        &[("login_hint", &filler[..20_000]), ("idp_hint", &filler[..20_000])],
    ] {
        let link = app.link(other);
        let (_, form) = link.split_once('?').expect("a query");
        assert!(form.len() > 7 * 1024 || other.len() > 2, "{}", form.len());
        let answer = posts(&signet, form.to_owned()).answer().await;
        assert_eq!(answer.header("set-cookie"), "", "the browser has its cookies: {answer:?}");
        let answer = browser.follows(&answer).await;
        let address = location(&answer);
        let state = other.iter().find(|(name, _)| *name == "state").map_or(STATE, |(_, value)| value);
        assert!(address.starts_with(CALLBACK) && !parameter(&address, "code").is_empty(), "{answer:?}");
        assert_eq!(parameter(&address, "state"), state);
        // Somebody who is not logged in comes to the login.
        let fresh = BrowserSession::at(&signet);
        let login = fresh.follows(&posts(&signet, form.to_owned()).answer().await).await;
        assert!(location(&login).starts_with("/login?request="), "{login:?}");
    }
}

async fn a_form_that_is_too_long_tells_its_client(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let browser = BrowserSession::at(&signet);
    let long = incompressible(40_000);
    let told = async |other: &[(&str, &str)]| -> Answer {
        let link = app.link(other);
        let answer = posts(&signet, link.split_once('?').expect("a query").1.to_owned()).answer().await;
        let leads_within = |answer: &Answer| !location(answer).starts_with(CALLBACK);
        if leads_within(&answer) { browser.follows(&answer).await } else { answer }
    };
    for name in ["nonce", "scope", "resource", "code_challenge"] {
        app.is_refused(&told(&[(name, &long)]).await, "invalid_request");
    }
    let address = location(&told(&[("state", &long)]).await);
    assert_eq!((parameter(&address, "error"), parameter(&address, "state")), ("invalid_request".into(), long.clone()));
    // What came twice is told there as well.
    let filler = "f".repeat(5000);
    let link = format!("{}&state={filler}&nonce=x&resource={filler}", app.link(&[("state", ""), ("scope", &filler)]));
    let answer = posts(&signet, link.split_once('?').expect("a query").1.to_owned()).answer().await;
    let address = location(&browser.follows(&answer).await);
    assert!(address.starts_with(CALLBACK) && parameter(&address, "error") == "invalid_request", "{address}");
    // And nobody is sent where nothing is registered.
    for other in [("redirect_uri", "https://evil.example/cb"), ("redirect_uri", &long), ("client_id", "nobody")] {
        let link = app.link(&[other, ("nonce", &long[..9000])]);
        let answer = posts(&signet, link.split_once('?').expect("a query").1.to_owned()).answer().await;
        assert_eq!((answer.status, answer.header("location"), answer.header("refresh")), (400, "", ""), "{answer:?}");
    }
    browser.opens("/oauth/authorize?posted=nonsense").await.is(400);
}

stories_on![Sqlite:
    the_longest_age_is_any_age,
    a_hint_that_hints_at_nobody_is_left_out,
    a_stranger_that_asks_for_nothing_known_gets_its_own,
    a_long_form_is_answered_as_a_short_one,
    a_form_that_is_too_long_tells_its_client,
];
