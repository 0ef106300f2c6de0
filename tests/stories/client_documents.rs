//! Clients that a document describes (Client ID Metadata Documents): nobody registers them, as MCP clients like it.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    harness::{
        Ask, Person, TestApp, TestEnvBuilder,
        browser_session::{BrowserSession, location},
        client_key::{ClientKey, JWT_BEARER},
        days,
        document_host::{DocumentHost, Served},
        eventually, jwt,
        relying_party::{RelyingParty, VERIFIER},
        seconds, stories, stories_on,
        test_env::{Client, list},
    },
    pruning::prune,
};

const URL: &str = "https://app.example/oauth/client-metadata.json";
const MCP: &str = "https://mcp.example.com/mcp";
const CALLBACK: &str = "https://app.example/callback";
/// As a program on a device asks for it, with the port that it got.
const LOOPBACK: &str = "http://localhost:50123/callback";

/// As Claude Code and VS Code publish theirs.
fn document() -> Value {
    json!({
        "client_id": URL,
        "client_name": "Code Editor",
        "client_uri": "https://app.example",
        "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback", CALLBACK],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "scope": "openid profile roles offline_access",
        "token_endpoint_auth_method": "none",
    })
}

fn app(signet: &TestApp, redirect_uri: &str) -> RelyingParty {
    RelyingParty::of(signet, Client { id: URL.to_owned(), secret: String::new() }, redirect_uri)
}

/// A service, the host of documents and somebody with an account.
async fn open(builder: TestEnvBuilder) -> (TestApp, DocumentHost, Person) {
    let host = DocumentHost::starts().await;
    host.publishes(&document());
    let signet = builder.with_documents(host.network()).set("open_resources", MCP).open().await;
    let ada = signet.registers("ada").await;
    (signet, host, ada)
}

async fn an_unmodified_mcp_client_logs_somebody_in_by_its_document(builder: TestEnvBuilder) {
    let (signet, host, ada) = open(builder).await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let metadata = signet.site.get(path).answer().await.is(200).json();
        assert_eq!(metadata["client_id_metadata_document_supported"], true, "{path}");
        assert_eq!(metadata["registration_endpoint"], Value::Null, "{path}");
    }
    let gateway = signet.registers_client(&["--name", "MCP", "--grant", "client_credentials", "--audience", MCP]).await;
    let app = app(&signet, LOOPBACK);
    let browser = BrowserSession::at(&signet);
    let link = app.link(&[("scope", "openid offline_access"), ("resource", MCP)]);
    let login = browser.follows(&browser.opens(&link).await).await.is(200);
    assert!(login.text().contains("Code Editor (app.example)"), "{login:?}");
    let sent = browser.sends(&login, "/login", &[("username", "ada"), ("password", &ada.password)]).await;
    let page = browser.follows(&sent).await.is(200);
    for text in ["Allow Code Editor?", "<strong>app.example</strong>", "http://localhost:50123", "your own device", MCP]
    {
        assert!(page.text().contains(text), "{text}: {page:?}");
    }
    let code = app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    let tokens = app.redeems_with(&code, &[("resource", MCP)]).await.granted();
    let claims = jwt::claims(&tokens.access);
    assert_eq!((&claims["client_id"], &claims["aud"], &claims["sub"]), (&json!(URL), &json!(MCP), &json!(ada.id)));
    let told = gateway.introspects(&signet.site, &tokens.access).await.active();
    assert_eq!((&told["client_id"], &told["scope"]), (&json!(URL), &json!("openid offline_access")));
    let checked = signet.site.get_with("/oauth/check", &[("audience", MCP)]).bearer_auth(&tokens.access).answer().await;
    assert_eq!(checked.is(200).header("x-auth-client"), URL);

    // The host may be gone from here on.
    drop(host);
    let tokens = app.client.refreshes(&signet.site, &tokens).await.granted();
    assert_eq!(jwt::claims(&tokens.access)["aud"], MCP);
    let apps = browser.opens("/account/apps").await.is(200);
    assert!(apps.text().contains("Code Editor (app.example)"), "{apps:?}");
    app.client.revokes(&signet.site, &tokens.refresh).await.is(200);
    app.client.refreshes(&signet.site, &tokens).await.refused("invalid_grant");
    gateway.introspects(&signet.site, &tokens.access).await.inactive();
    // Another program on the device is not let in by the consent alone, as of any public client.
    let page = browser.follows(&browser.opens(&link).await).await.is(200);
    assert!(page.text().contains("Continue to Code Editor") && page.text().contains("app.example"), "{page:?}");
}

async fn a_client_with_keys_in_its_document_authenticates_with_them(builder: TestEnvBuilder) {
    let (signet, host, ada) = open(builder).await;
    let key = ClientKey::new("ES256", "k1");
    let mut described = document();
    described["redirect_uris"] = json!([CALLBACK]);
    described["token_endpoint_auth_method"] = json!("private_key_jwt");
    described["jwks"] = json!({"keys": [key.jwk()]});
    described["id_token_signed_response_alg"] = json!("EdDSA");
    host.publishes(&described);
    let app = app(&signet, CALLBACK);
    let asserted = |assertion: &str| {
        vec![("client_assertion_type", JWT_BEARER.to_owned()), ("client_assertion", assertion.to_owned())]
    };
    let posts = async |path: &str, form: &[(&str, &str)], key: &ClientKey| {
        let proof = asserted(&key.asserts(&signet, &app.client));
        let proof: Vec<(&str, &str)> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
        signet.site.post(path).form(&[form, &proof[..]].concat()).answer().await
    };
    let request = app.request();
    app.client.posts(&signet.site, "/oauth/par", &app.pushed()).await.refused("invalid_client");
    posts("/oauth/par", &request, &ClientKey::new("ES256", "k1")).await.refused("invalid_client");
    let pushed = posts("/oauth/par", &request, &key).await.is(201).string("request_uri");
    let browser = BrowserSession::at(&signet);
    let form = [("client_id", URL), ("request_uri", pushed.as_str())];
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let login = browser.opens(&format!("/oauth/authorize?{query}")).await;
    let page = browser.follows(&browser.logs_in_at(&location(&login), "ada", &ada.password).await).await.is(200);
    assert!(!page.text().contains("your own device"), "{page:?}");
    let code = app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    app.redeems(&code).await.refused("invalid_client");
    let verifier = ("code_verifier", VERIFIER);
    let form = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK), verifier];
    let answer = posts("/oauth/token", &form, &key).await.is(200);
    let header = jwt::header(&answer.string("id_token"));
    assert_eq!(header["alg"], "EdDSA");
    let tokens = answer.granted();
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    posts("/oauth/token", &form, &key).await.granted();
    assert_eq!(host.requests(), [URL]);
}

/// What people agreed to is the name and the addresses that they saw.
async fn a_changed_document_is_another_app_to_its_users(builder: TestEnvBuilder) {
    let (signet, host, ada) = open(builder).await;
    let app = app(&signet, CALLBACK);
    let browser = BrowserSession::at(&signet);
    let (tokens, _) = app.logs_in(&browser, &ada).await;
    let silent = app.link(&[("prompt", "none")]);
    app.is_given_a_code(&browser.opens(&silent).await);
    let mut changed = document();
    changed["client_name"] = json!("Better Editor");
    host.publishes(&changed);
    app.is_given_a_code(&browser.opens(&silent).await);
    assert_eq!(host.requests().len(), 1, "the document is fresh for an hour");
    signet.clock.advance(seconds(3601));
    app.is_refused(&browser.opens(&silent).await, "consent_required");
    let page = browser.follows(&browser.opens(&app.link(&[])).await).await.is(200);
    assert!(page.text().contains("Allow Better Editor?"), "{page:?}");
    app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    // What nobody sees changes without a question.
    changed["client_uri"] = json!("https://app.example/about");
    changed["scope"] = json!("openid profile email offline_access");
    host.publishes(&changed);
    signet.clock.advance(seconds(3601));
    app.is_given_a_code(&browser.opens(&app.link(&[("prompt", "none"), ("scope", "openid")])).await);
    let tokens = app.client.refreshes(&signet.site, &tokens).await.granted();
    // An address that is gone gets no code.
    changed["redirect_uris"] = json!(["https://app.example/elsewhere"]);
    host.publishes(&changed);
    signet.clock.advance(seconds(3601));
    let page = browser.opens(&app.link(&[])).await.is(400);
    assert!(page.text().contains("wrong address"), "{page:?}");
    app.client.refreshes(&signet.site, &tokens).await.granted();
}

async fn a_document_is_fetched_once_as_long_as_it_is_fresh(builder: TestEnvBuilder) {
    let (signet, host, _) = open(builder).await;
    host.serves(URL, Served::Waits(document()));
    let app = app(&signet, CALLBACK);
    let link = app.link(&[]);
    let all = async {
        let asks = (0..8).map(|_| async { location(&BrowserSession::at(&signet).opens(&link).await) });
        join_all(asks).await
    };
    let release = async {
        host.waits_for(1).await;
        host.opens();
    };
    let (locations, ()) = tokio::join!(all, release);
    assert!(locations.iter().all(|location| location.starts_with("/login")), "{locations:?}");
    assert_eq!((host.requests().len(), host.lookups()), (1, 1));
    let opens = async || location(&BrowserSession::at(&signet).opens(&link).await);
    for (fields, fresh) in [("max-age=120", 120), ("max-age=1", 60), ("max-age=31536000", 86_400), ("no-store", 60)] {
        signet.clock.advance(days(1));
        let before = host.requests().len();
        let fields = vec!["Content-Type: application/vnd.app+json".to_owned(), format!("Cache-Control: {fields}")];
        host.serves(URL, Served::Answer("200 OK", fields.clone(), document().to_string().into_bytes()));
        opens().await;
        signet.clock.advance(seconds(fresh - 1));
        opens().await;
        assert_eq!(host.requests().len(), before + 1, "{fields:?}");
        signet.clock.advance(seconds(1));
        opens().await;
        assert_eq!(host.requests().len(), before + 2, "{fields:?}");
    }
}

/// A host that is down makes neither a false `invalid_client` nor an end of sessions.
async fn trouble_of_the_host_passes(builder: TestEnvBuilder) {
    let (signet, host, _) = open(builder).await;
    let fails = |status| Served::Answer(status, vec!["Content-Type: text/plain".to_owned()], vec![]);
    let app = app(&signet, CALLBACK);
    for status in ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"] {
        host.serves(URL, fails(status));
        let page = BrowserSession::at(&signet).opens(&app.link(&[])).await.is(503);
        assert_eq!(page.header("retry-after"), "30", "{page:?}");
        assert!(page.text().contains("cannot be reached"), "{page:?}");
        let pushed = app.client.posts(&signet.site, "/oauth/par", &app.pushed()).await;
        let pushed = pushed.oauth_error(503, "temporarily_unavailable");
        assert!(!pushed.header("retry-after").is_empty(), "{pushed:?}");
        signet.clock.advance(seconds(31));
    }
    assert_eq!(host.requests().len(), 3, "each failure is remembered for a while");
    host.publishes(&document());
    app.client.posts(&signet.site, "/oauth/par", &app.pushed()).await.is(201);
    assert!(location(&BrowserSession::at(&signet).opens(&app.link(&[])).await).starts_with("/login"));
}

async fn the_operator_sees_and_deletes_such_clients(builder: TestEnvBuilder) {
    let (signet, host, ada) = open(builder).await;
    let clients = async || signet.runs(&["client", "list"]).await.well().json();
    let app = app(&signet, CALLBACK);
    let browser = BrowserSession::at(&signet);
    let login = browser.opens(&app.link(&[])).await;
    let page = browser.follows(&browser.logs_in_at(&location(&login), "ada", &ada.password).await).await.is(200);
    assert_eq!(list(&clients().await).len(), 0, "nothing is stored before somebody consents");
    let code = app.is_given_a_code(&browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    let tokens = app.redeems(&code).await.granted();
    let shown = &clients().await[0];
    assert_eq!((&shown["client_id"], &shown["self_registered"]), (&json!(URL), &json!(true)));
    assert_eq!((&shown["scope"], &shown["first_party"]), (&json!("openid profile offline_access"), &json!(false)));
    assert!(shown["document"]["fresh_until"].is_string(), "{shown}");
    assert_eq!(signet.runs(&["client", "show", URL]).await.well().json()["document"], shown["document"]);
    for command in [
        &["client", "update", URL, "--name", "Known to us"][..],
        &["client", "create", "--id", "https://app.example/c", "--name", "N", "--redirect-uri", CALLBACK],
    ] {
        signet.runs(command).await.with(2, &["document"]);
    }
    signet.runs(&["client", "delete", URL]).await.well();
    eventually(Duration::from_secs(10), "the deletion is known", async || {
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
        app.client.posts(&signet.site, "/oauth/token", &form).await.status == 401
    })
    .await;
    app.is_refused(&browser.opens(&app.link(&[("prompt", "none")])).await, "consent_required");
    assert_eq!(host.requests().len(), 1, "what was fetched is still fresh");
}

async fn a_blocked_client_stays_away_until_the_operator_deletes_it(builder: TestEnvBuilder) {
    let (signet, host, ada) = open(builder).await;
    let app = app(&signet, CALLBACK);
    let browser = BrowserSession::at(&signet);
    let (tokens, _) = app.logs_in(&browser, &ada).await;
    let other = "https://other.example/client.json";
    for url in [URL, other] {
        signet.runs(&["client", "delete", url, "--block"]).await.well();
        assert_eq!(signet.runs(&["client", "show", url]).await.well().json()["blocked"], true);
    }
    signet.runs(&["client", "delete", "app", "--block"]).await.with(2, &["https URL"]);
    eventually(Duration::from_secs(10), "the block is known", async || {
        app.client.refreshes(&signet.site, &tokens).await.status == 401
    })
    .await;
    let refused = Client { id: other.to_owned(), secret: String::new() };
    for app in [&app, &RelyingParty::of(&signet, refused, CALLBACK)] {
        let page = browser.opens(&app.link(&[])).await.is(400);
        assert!(page.text().contains("has blocked it"), "{page:?}");
        app.client.posts(&signet.site, "/oauth/par", &app.pushed()).await.refused("invalid_client");
    }
    let prune = prune(&signet, Arc::new(signet.clock.clone()), days(30)).await;
    signet.clock.advance(days(400));
    prune.once().await.expect("the database answers");
    browser.opens(&app.link(&[])).await.is(400);
    assert_eq!(host.requests().len(), 1);
    signet.runs(&["client", "delete", URL]).await.well();
    assert!(location(&browser.opens(&app.link(&[])).await).starts_with("/login"));
}

async fn an_unused_client_is_forgotten_and_a_used_one_is_not(builder: TestEnvBuilder) {
    let (signet, _host, ada) = open(builder).await;
    let app = app(&signet, CALLBACK);
    let browser = BrowserSession::at(&signet);
    app.gets_a_code(&browser, &ada).await;
    let prune = prune(&signet, Arc::new(signet.clock.clone()), days(30)).await;
    let count = async || list(&signet.runs(&["client", "list"]).await.well().json()).len();
    signet.clock.advance(days(40));
    prune.once().await.expect("the database answers");
    assert_eq!(count().await, 1, "there is a consent");
    browser.logs_in_at("/login?return_to=/account/apps", "ada", &ada.password).await;
    let apps = browser.opens("/account/apps").await.is(200);
    location(&browser.sends(&apps, "/account/apps", &[("client", URL)]).await);
    prune.once().await.expect("the database answers");
    assert_eq!(count().await, 0);
}

/// A replica that has fetched nothing knows the client from the database.
async fn replicas_share_what_was_fetched(builder: TestEnvBuilder) {
    let (signet, host, ada) = open(builder).await;
    let replica = signet.replica().await;
    let app = app(&signet, CALLBACK);
    let browser = BrowserSession::at(&signet);
    let code = app.gets_a_code(&browser, &ada).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let tokens = app.client.posts(&replica.site, "/oauth/token", &form).await.granted();
    app.client.refreshes(&replica.site, &tokens).await.granted();
    app.client.posts(&replica.site, "/oauth/par", &app.pushed()).await.is(201);
    assert_eq!(host.requests().len(), 1);
    replica.stop().await;
}

stories![
    an_unmodified_mcp_client_logs_somebody_in_by_its_document,
    a_client_with_keys_in_its_document_authenticates_with_them,
    a_changed_document_is_another_app_to_its_users,
    the_operator_sees_and_deletes_such_clients,
    a_blocked_client_stays_away_until_the_operator_deletes_it,
    an_unused_client_is_forgotten_and_a_used_one_is_not,
];

/// No page says that such an app registered itself.
async fn its_errors_are_shown_with_its_host(builder: TestEnvBuilder) {
    let (signet, host, ada) = open(builder).await;
    let bye = "https://app.example/bye";
    let mut described = document();
    described["post_logout_redirect_uris"] = json!(bye);
    host.publishes(&described);
    let app = app(&signet, CALLBACK);
    let described_at = |text: &str| {
        assert!(text.contains("described by a document at app.example"), "{text}");
        assert!(!text.contains("registered itself"), "{text}");
    };
    for other in [("response_type", "token"), ("resource", "https://evil.example"), ("scope", "ad\"min")] {
        for mode in ["query", "form_post"] {
            let link = app.link(&[other, ("response_mode", mode)]);
            described_at(&BrowserSession::at(&signet).opens(&link).await.is(400).text());
        }
    }
    app.gets_a_code(&BrowserSession::at(&signet), &ada).await;
    let link = form_urlencoded::Serializer::new("/oauth/logout?".to_owned())
        .extend_pairs([("client_id", URL), ("post_logout_redirect_uri", bye)])
        .finish();
    described_at(&BrowserSession::at(&signet).opens(&link).await.is(200).text());
}

stories_on![Sqlite:
    a_document_is_fetched_once_as_long_as_it_is_fresh,
    trouble_of_the_host_passes,
    its_errors_are_shown_with_its_host,
];

stories_on![Postgres: replicas_share_what_was_fetched];
