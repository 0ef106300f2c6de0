//! The authorization endpoint: where it sends browsers, and where it never does.

use serde_json::Value;

use crate::harness::{
    Answer, Ask, PASSWORD, TestApp,
    browser_session::{BrowserSession, hidden, location},
    days, jwt,
    relying_party::{CALLBACK, CHALLENGE, RelyingParty, STATE, registers_public},
    seconds, stories_on,
    test_env::Client,
};

/// The browser is not redirected, and sees an error page.
fn stays_here(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {answer:?}");
    assert_eq!(answer.header("location"), "", "{what}");
    assert!(answer.header("content-type").starts_with("text/html"), "{what}: {answer:?}");
    assert!(answer.text().contains("Tell the operator of the app"), "{what}: {answer:?}");
    assert!(!answer.text().contains("evil"), "{what} is shown: {answer:?}");
}

/// What makes two readers of an address see two hosts, and whatever else is almost the registered one (RFC 9700 §4.1).
const ALMOST: &[&str] = &[
    "",
    "https://evil.example/callback",
    "https://app.example.com",
    "https://app.example.com/",
    "https://app.example.com/callback/",
    "https://app.example.com/callback/evil",
    "https://app.example.com/callbackevil",
    "https://app.example.com/Callback",
    "https://APP.example.com/callback",
    "HTTPS://app.example.com/callback",
    "http://app.example.com/callback",
    "https://app.example.com:443/callback",
    "https://app.example.com:8443/callback",
    "https://app.example.com./callback",
    "https://app.example.com/./callback",
    "https://app.example.com/x/../callback",
    "https://app.example.com/callback/..",
    "https://app.example.com//callback",
    "https://app.example.com/%63allback",
    "https://app.example.com/callback%00",
    "https://app.example.com/callback%2f..%2fevil",
    "https://app.example.com/callback?",
    "https://app.example.com/callback?next=https://evil.example",
    "https://app.example.com/callback#",
    "https://app.example.com/callback#evil",
    "https://app.example.com/callback ",
    " https://app.example.com/callback",
    "https://app.example.com/callback\t",
    "https://app.example.com/callback;evil",
    "https://app.example.com/callback\\evil",
    "https:/app.example.com/callback",
    "https:app.example.com/callback",
    "https:\\\\app.example.com\\callback",
    "//app.example.com/callback",
    "/callback",
    "https://user@app.example.com/callback",
    "https://app.example.com@evil.example/callback",
    "https://app.example.com%40evil.example/callback",
    "https://evil.example#@app.example.com/callback",
    "https://evil.example\\@app.example.com/callback",
    "https://evil.example/?https://app.example.com/callback",
    "https://app.example.com.evil.example/callback",
    "https://evilapp.example.com/callback",
    "https://evil.app.example.com/callback",
    "https://аpp.example.com/callback",
    "https://app。example.com/callback",
    "https://ａpp.example.com/callback",
    "https://app.example.com/callback\u{200b}",
    "javascript:alert(1)//https://app.example.com/callback",
    "data:text/html,evil",
    "https://app.example.com/callback,https://evil.example/callback",
    "https://app.example.com/callback https://evil.example/callback",
    "https://*.example.com/callback",
    "https://127.0.0.1/callback",
    "http://127.0.0.1/callback",
];

async fn no_browser_is_sent_where_nobody_registered(signet: TestApp) {
    assert!(ALMOST.len() > 50);
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.gets_a_code(&session_browser, &ada).await;
    for uri in ALMOST {
        for more in [&[][..], &[("prompt", "none")], &[("response_type", "token")], &[("response_mode", "form_post")]] {
            let link = app.link(&[&[("redirect_uri", *uri)], more].concat());
            let link = if uri.is_empty() { link + "&redirect_uri=" } else { link };
            stays_here(&session_browser.opens(&link).await, uri);
        }
        let form =
            app.request().into_iter().map(|(name, value)| (name, if name == "redirect_uri" { uri } else { value }));
        let pushed = app.client.posts(&signet.site, "/oauth/par", &form.collect::<Vec<_>>()).await;
        assert_eq!(pushed.status, 400, "{uri}: {pushed:?}");
    }
    let twice = app.link(&[]) + "&redirect_uri=https%3A%2F%2Fevil.example%2Fcallback";
    let answer = session_browser.opens(&twice).await.is(400);
    assert_eq!(answer.header("location"), "");
}

async fn a_native_app_chooses_its_port_and_nothing_else(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    for registered in ["http://127.0.0.1/callback", "http://[::1]:1234/callback"] {
        let client = registers_public(&signet, registered).await;
        let host = if registered.contains('[') { "[::1]" } else { "127.0.0.1" };
        for port in ["", ":1", ":8080", ":65535"] {
            let app = RelyingParty::of(&signet, client.clone(), &format!("http://{host}{port}/callback"));
            let code = app.gets_a_code_for(&session_browser, &ada, &[("scope", "openid")]).await;
            app.redeems(&code).await.granted();
        }
        for bad in [
            format!("http://{host}:0x50/callback"),
            format!("http://{host}:65536/callback"),
            format!("http://{host}:080/callback"),
            format!("http://{host}:/callback"),
            format!("http://{host}:80:80/callback"),
            format!("http://{host}:80@evil.example/callback"),
            format!("http://{host}.evil.example/callback"),
            format!("http://{host}:8080/callback/evil"),
            format!("https://{host}:8080/callback"),
            "http://localhost:8080/callback".to_owned(),
            "http://127.1:8080/callback".to_owned(),
            "http://127.0.0.2:8080/callback".to_owned(),
            "http://[0:0:0:0:0:0:0:1]:8080/callback".to_owned(),
        ] {
            let app = RelyingParty::of(&signet, client.clone(), &bad);
            stays_here(&session_browser.opens(&app.link(&[])).await, &bad);
        }
    }
}

async fn an_unknown_client_gets_no_browser(signet: TestApp) {
    let app = RelyingParty::registers(&signet).await;
    let session_browser = BrowserSession::at(&signet);
    for client in ["", "nobody", "first-party", "pages", "evil\"><script>", "\0", &"x".repeat(300)] {
        stays_here(&session_browser.opens(&app.link(&[("client_id", client)])).await, client);
    }
    signet.runs(&["client", "delete", &app.client.id]).await.well();
    stays_here(&session_browser.opens(&app.link(&[])).await, "deleted");
}

async fn what_a_client_asks_wrongly_it_is_told(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.gets_a_code(&session_browser, &ada).await;
    let long = "x".repeat(2049);
    for (error, other) in [
        ("invalid_request", &[("response_type", "")][..]),
        ("unsupported_response_type", &[("response_type", "token")]),
        ("unsupported_response_type", &[("response_type", "code id_token")]),
        ("unsupported_response_type", &[("response_type", "none")]),
        // The challenge stripped, downgraded or malformed (RFC 9700 §4.8).
        ("invalid_request", &[("code_challenge", "")]),
        ("invalid_request", &[("code_challenge", ""), ("code_challenge_method", "")]),
        ("invalid_request", &[("code_challenge_method", "")]),
        ("invalid_request", &[("code_challenge_method", "plain")]),
        ("invalid_request", &[("code_challenge_method", "s256")]),
        ("invalid_request", &[("code_challenge", "short")]),
        ("invalid_request", &[("code_challenge", &CHALLENGE[1..])]),
        ("invalid_scope", &[("scope", "admin")]),
        ("invalid_scope", &[("scope", "openid  profile\"")]),
        ("invalid_target", &[("resource", "https://evil.example")]),
        ("invalid_request", &[("prompt", "none login")]),
        ("invalid_request", &[("prompt", "create")]),
        ("invalid_request", &[("max_age", "-1")]),
        ("invalid_request", &[("max_age", "soon")]),
        ("invalid_request", &[("response_mode", "fragment")]),
        ("invalid_request", &[("nonce", &long)]),
        ("request_not_supported", &[("request", "e30.e30.")]),
        ("request_uri_not_supported", &[("request_uri", "https://evil.example/request")]),
        ("login_required", &[("prompt", "none"), ("max_age", "0")]),
    ] {
        if error == "login_required" {
            signet.clock.advance(seconds(2));
        }
        app.is_refused(&session_browser.opens(&app.link(other)).await, error);
    }
    app.is_refused(&BrowserSession::at(&signet).opens(&app.link(&[("prompt", "none")])).await, "login_required");
}

async fn a_client_without_the_grant_gets_no_code(signet: TestApp) {
    let options = ["--name", "Machine", "--grant", "client_credentials", "--scope", "read"];
    let client = signet.registers_client(&options).await;
    stays_here(
        &BrowserSession::at(&signet).opens(&RelyingParty::of(&signet, client, CALLBACK).link(&[])).await,
        "no URI",
    );
}

async fn a_client_may_ask_for_the_person_it_knows(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let (ada, grace) = (signet.registers("ada").await, signet.registers("grace").await);
    let (adas, graces) = (BrowserSession::at(&signet), BrowserSession::at(&signet));
    let (tokens, id_token) = app.logs_in(&adas, &ada).await;
    app.logs_in(&graces, &grace).await;
    signet.clock.advance(days(2)); // a hint may be old
    let hint = ("id_token_hint", id_token.as_str());
    app.is_given_a_code(&adas.opens(&app.link(&[("prompt", "none"), hint])).await);
    app.is_refused(&graces.opens(&app.link(&[("prompt", "none"), hint])).await, "login_required");
    // A login as another user is an error for the client, so that nobody is asked for ever.
    signet.clock.advance(seconds(1));
    let fresh = BrowserSession::at(&signet);
    let login = location(&fresh.opens(&app.link(&[hint])).await);
    app.is_refused(&fresh.logs_in_at(&login, "grace", PASSWORD).await, "login_required");
    for forged in [jwt::with_claims(&id_token, &jwt::claims(&tokens.access)), tokens.access.clone(), "x".to_owned()] {
        let answer = adas.opens(&app.link(&[("prompt", "none"), ("id_token_hint", &forged)])).await;
        app.is_refused(&answer, "login_required");
        // Where somebody can be asked it has no effect: nobody types a password in vain.
        app.is_given_a_code(&adas.opens(&app.link(&[("id_token_hint", &forged)])).await);
        let fresh = BrowserSession::at(&signet);
        let login = location(&fresh.opens(&app.link(&[("id_token_hint", &forged)])).await);
        app.is_given_a_code(&fresh.logs_in_at(&login, "grace", PASSWORD).await);
    }
}

async fn a_form_of_a_client_is_read_as_its_link(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.gets_a_code(&session_browser, &ada).await;
    // It comes from the client's site.
    let request = signet.site.post("/oauth/authorize").header("sec-fetch-site", "cross-site");
    let answer = request.form(&app.request()).answer().await;
    app.is_given_a_code(&session_browser.follows(&answer).await);
}

async fn an_answer_may_be_a_form(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let ada = signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    app.gets_a_code(&session_browser, &ada).await;
    let answer = session_browser.opens(&app.link(&[("response_mode", "form_post")])).await.is(200);
    let fields = hidden(&answer.text(), CALLBACK);
    let value = |name: &str| fields.iter().find(|field| field.0 == name).map_or("", |field| field.1.as_str());
    assert_eq!(value("iss"), signet.issuer);
    assert_eq!(value("state"), STATE);
    let policy = answer.header("content-security-policy");
    // The client may redirect on to anywhere.
    assert!(!policy.contains("form-action"), "{policy}");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(answer.text().contains("<button") && answer.text().contains("src=\"/assets/submit.js"), "{answer:?}");
    app.redeems(value("code")).await.granted();
}

async fn a_request_may_be_pushed(signet: TestApp) {
    let app = RelyingParty::registers_first_party(&signet).await;
    let other = RelyingParty::registers_first_party(&signet).await;
    signet.registers("ada").await;
    let session_browser = BrowserSession::at(&signet);
    let push = async || {
        let answer = app.client.posts(&signet.site, "/oauth/par", &app.request()).await.is(201);
        assert_eq!(answer.json()["expires_in"], 60);
        answer.string("request_uri")
    };
    let uri = push().await;
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:"), "{uri}");
    let path = |client: &str, uri: &str| {
        let pairs = [("client_id", client), ("request_uri", uri)];
        format!(
            "/oauth/authorize?{}",
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
        )
    };
    // Parameters beside it are ignored.
    let answer =
        session_browser.opens(&(path(&app.client.id, &uri) + "&scope=admin&redirect_uri=https://evil.example")).await;
    let answer = session_browser.logs_in_at(&location(&answer), "ada", PASSWORD).await;
    app.redeems(&app.is_given_a_code(&answer)).await.granted();

    let another = push().await;
    assert_eq!(session_browser.opens(&path(&other.client.id, &another)).await.is(400).header("location"), "");
    assert_eq!(
        session_browser.opens(&path(&app.client.id, &another[..another.len() - 1])).await.is(400).header("location"),
        ""
    );
    signet.clock.advance(seconds(60));
    assert_eq!(session_browser.opens(&path(&app.client.id, &another)).await.is(400).header("location"), "");

    // Nobody pushes in another's name, nor nonsense in their own.
    let wrong = Client { secret: "guess".into(), ..app.client.clone() };
    wrong.posts(&signet.site, "/oauth/par", &app.request()).await.oauth_error(401, "invalid_client");
    let mut request = app.request();
    request.retain(|(name, _)| *name != "code_challenge");
    app.client.posts(&signet.site, "/oauth/par", &request).await.oauth_error(400, "invalid_request");
    request.push(("request_uri", &another));
    app.client.posts(&signet.site, "/oauth/par", &request).await.blames_the_sender();
}

/// A client finds every endpoint that discovery names, and no other.
async fn discovery_leads_the_way(signet: TestApp) {
    let found: Value = signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    for (member, path) in [
        ("authorization_endpoint", "/oauth/authorize"),
        ("pushed_authorization_request_endpoint", "/oauth/par"),
        ("token_endpoint", "/oauth/token"),
        ("userinfo_endpoint", "/oauth/userinfo"),
        ("end_session_endpoint", "/oauth/logout"),
    ] {
        assert_eq!(found[member], format!("{}{path}", signet.issuer), "{member}");
    }
}

stories_on![Sqlite:
    no_browser_is_sent_where_nobody_registered,
    a_native_app_chooses_its_port_and_nothing_else,
    what_a_client_asks_wrongly_it_is_told,
    an_unknown_client_gets_no_browser,
    a_client_without_the_grant_gets_no_code,
    a_client_may_ask_for_the_person_it_knows,
    a_form_of_a_client_is_read_as_its_link,
    an_answer_may_be_a_form,
    a_request_may_be_pushed,
    discovery_leads_the_way,
];
