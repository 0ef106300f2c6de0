//! Attacks with documents of clients: on the network behind the service, on other hosts, on people and other apps.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use signet::testing::DocumentNetwork;

use crate::harness::{
    Answer, Ask, PASSWORD, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, location},
    document_host::{DocumentHost, Served},
    jwt,
    relying_party::RelyingParty,
    seconds, stories, stories_on,
    test_env::Client,
};

const URL: &str = "https://app.example/client.json";
const CALLBACK: &str = "https://app.example/callback";

fn document(url: &str) -> Value {
    json!({"client_id": url, "client_name": "Editor", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"})
}

fn app(signet: &TestApp, url: &str) -> RelyingParty {
    RelyingParty::of(signet, Client { id: url.to_owned(), secret: String::new() }, CALLBACK)
}

/// What the host serves at a URL.
type Serve = Box<dyn Fn(&str) -> Served>;

/// What a new browser gets that brings a request of the client at `url`.
async fn asks(signet: &TestApp, url: &str) -> Answer {
    BrowserSession::at(signet).opens(&app(signet, url).link(&[])).await
}

/// The answer to a request of the client at `url`, pushed.
async fn pushes(signet: &TestApp, url: &str) -> Answer {
    let app = app(signet, url);
    app.client.posts(&signet.site, "/oauth/par", &app.pushed()).await
}

#[track_caller]
fn is_refused_for(page: &Answer, reason: &str) {
    assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");
    assert!(page.text().contains(reason), "{reason}: {page:?}");
}

async fn nothing_is_fetched_unless_the_operator_wants_it(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    host.publishes(&document(URL));
    let signet = builder.with_documents(host.network()).set("client_id_documents", "off").open().await;
    is_refused_for(&asks(&signet, URL).await, "is not registered");
    pushes(&signet, URL).await.refused("invalid_client");
    let form = [("grant_type", "client_credentials"), ("client_id", URL)];
    signet.site.token(&form).answer().await.refused("invalid_client");
    let metadata = signet.site.get("/.well-known/oauth-authorization-server").answer().await.is(200).json();
    assert_eq!(metadata.get("client_id_metadata_document_supported"), None, "{metadata}");
    assert_eq!((host.connections(), host.lookups()), (0, 0));
}

/// Turned off, the clients that were there before are unknown as well.
async fn clients_of_before_are_unknown_once_it_is_off(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    host.publishes(&document(URL));
    let mut signet = builder.with_documents(host.network()).open().await;
    let ada = signet.registers("ada").await;
    let app = app(&signet, URL);
    let code = app.gets_a_code(&BrowserSession::at(&signet), &ada).await;
    signet.restart_with(&[("client_id_documents", "off")]).await;
    app.redeems(&code).await.refused("invalid_client");
    is_refused_for(&signet.site.get(&app.link(&[])).answer().await, "is not registered");
}

/// The token endpoint takes clients whose code it gave out; it fetches for nobody.
async fn only_what_begins_an_authorization_causes_a_fetch(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    host.publishes(&document(URL));
    let signet = builder.with_documents(host.network()).open().await;
    for form in [
        &[("grant_type", "client_credentials"), ("client_id", URL)][..],
        &[("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", CALLBACK), ("client_id", URL)],
        &[("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("client_id", URL)],
    ] {
        signet.site.token(form).answer().await.refused("invalid_client");
    }
    for path in ["/oauth/revoke", "/oauth/introspect"] {
        signet.site.post(path).form(&[("token", "x"), ("client_id", URL)]).answer().await.refused("invalid_client");
    }
    signet.site.get_with("/oauth/logout", &[("client_id", URL), ("post_logout_redirect_uri", CALLBACK)]).answer().await;
    assert_eq!(host.connections(), 0);
}

/// Server-side request forgery, by address and by name: the listener hears nothing.
async fn no_document_leads_into_the_operators_network(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    let port = host.address().port();
    let private =
        ["10.0.0.5", "192.168.1.1", "172.16.9.9", "169.254.169.254", "100.64.0.1", "fd00::1", "fe80::1", "::1"];
    let (ours, names) = (host.address(), private.map(|text| text.parse::<IpAddr>().expect("an address")));
    let resolving = host.resolving(move |name| {
        let at = |ip: IpAddr| SocketAddr::new(ip, port);
        let index: Option<usize> = name.strip_prefix("private").and_then(|rest| rest.split('.').next()?.parse().ok());
        Ok(match (index, name) {
            (Some(index), _) => vec![at(names[index])],
            // One public address does not make the other one good.
            (None, "mixed.example") => vec![at(Ipv4Addr::new(93, 184, 215, 14).into()), ours],
            (None, _) => vec![ours],
        })
    });
    let signet = builder.with_documents(resolving).open().await;
    let literals = [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.0.0.5",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[::1]",
        "[::]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::1]",
        "[fd00::1]",
        "[fe80::1]",
        "[ff02::1]",
    ];
    let literals = literals.map(|literal| format!("https://{literal}:{port}/client.json"));
    let names = (0..private.len()).map(|n| format!("https://private{n}.example/client.json"));
    let others = ["localhost", "app.example", "mixed.example"].map(|name| format!("https://{name}:{port}/client.json"));
    for url in literals.into_iter().chain(names).chain(others) {
        host.publishes(&document(&url));
        is_refused_for(&asks(&signet, &url).await, "not on the public internet");
        let answer = pushes(&signet, &url).await.oauth_error(401, "invalid_client");
        assert!(answer.string("error_description").contains("not on the public internet"), "{url}: {answer:?}");
    }
    // Spellings that a parser would correct are no client ids at all.
    for spelling in ["https://2130706433", "https://0x7f.1", "https://127.1", "https://[::ffff:127.0.0.1]"] {
        is_refused_for(&asks(&signet, &format!("{spelling}:{port}/client.json")).await, "normal form");
    }
    assert_eq!(host.connections(), 0);
}

/// With the resolver of the system, as it runs at the operator's.
async fn the_name_of_this_machine_leads_nowhere(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    let network = DocumentNetwork { look_up: None, ..host.guarded() };
    let signet = builder.with_documents(network).open().await;
    let url = format!("https://localhost:{}/client.json", host.address().port());
    host.publishes(&document(&url));
    is_refused_for(&asks(&signet, &url).await, "not on the public internet");
    assert_eq!(host.connections(), 0);
}

/// The address that was judged is the one that is connected to, whatever the resolver says afterwards.
async fn a_second_answer_of_the_resolver_changes_nothing(builder: TestEnvBuilder) {
    let (host, victim) = (DocumentHost::starts().await, DocumentHost::starts_at(Ipv4Addr::new(127, 0, 0, 2)).await);
    host.publishes(&document(URL));
    victim.publishes(&document(URL));
    let (first, second, count) = (host.address(), victim.address(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    let network =
        host.resolving(move |_| Ok(vec![if counted.fetch_add(1, Ordering::SeqCst) == 0 { first } else { second }]));
    let network = DocumentNetwork { is_allowed: |ip| ip == Ipv4Addr::LOCALHOST, ..network };
    let signet = builder.with_documents(network).open().await;
    assert!(location(&asks(&signet, URL).await).starts_with("/login"));
    assert_eq!((count.load(Ordering::SeqCst), host.connections()), (1, 1));
    signet.clock.advance(seconds(3601));
    is_refused_for(&asks(&signet, URL).await, "not on the public internet");
    assert_eq!((count.load(Ordering::SeqCst), host.connections(), victim.connections()), (2, 1, 0));
}

async fn no_redirect_is_followed(builder: TestEnvBuilder) {
    let (host, victim) = (DocumentHost::starts().await, DocumentHost::starts().await);
    let signet = builder.with_documents(host.network()).open().await;
    let inside = format!("https://127.0.0.1:{}/client.json", victim.address().port());
    for (n, status) in
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"].into_iter().enumerate()
    {
        for (m, target) in
            [inside.as_str(), "http://169.254.169.254/", "https://app.example/client.json"].into_iter().enumerate()
        {
            let url = format!("https://app.example/{n}/{m}");
            host.publishes(&document(URL));
            host.serves(
                &url,
                Served::Answer(status, vec![format!("Location: {target}")], document(&url).to_string().into()),
            );
            is_refused_for(&asks(&signet, &url).await, "redirects");
        }
    }
    assert_eq!((victim.connections(), host.requests().len()), (0, 15));
}

async fn what_is_no_document_of_the_client_is_refused_with_the_reason(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    let signet = builder.set("pages.name", "Harbour").with_documents(host.network()).open().await;
    let with = |more: Value| {
        move |url: &str| {
            let mut changed = document(url);
            changed.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let fields = vec!["Content-Type: application/json; charset=utf-8".to_owned()];
            Served::Answer("200 OK", fields, changed.to_string().into())
        }
    };
    let answers = |status: &'static str, field: &'static str| {
        move |url: &str| Served::Answer(status, vec![field.to_owned()], document(url).to_string().into())
    };
    let cases: Vec<(Serve, &str)> = vec![
        (Box::new(answers("200 OK", "Content-Type: text/html")), "Content-Type"),
        (Box::new(answers("200 OK", "Content-Type: text/json")), "Content-Type"),
        (Box::new(answers("200 OK", "X-None: 1")), "Content-Type"),
        (Box::new(answers("201 Created", "Content-Type: application/json")), "status 201"),
        (Box::new(answers("206 Partial Content", "Content-Type: application/json")), "status 206"),
        (Box::new(answers("401 Unauthorized", "Content-Type: application/json")), "status 401"),
        (Box::new(answers("404 Not Found", "Content-Type: application/json")), "status 404"),
        (Box::new(answers("200 OK", "Content-Type: application/json\r\nContent-Encoding: gzip")), "Content-Encoding"),
        (Box::new(|_| Served::Endless), "longer than 64 kB"),
        (Box::new(with(json!({"client_id": URL}))), "its client_id is not the URL"),
        (Box::new(with(json!({"client_id": null}))), "its client_id is not the URL"),
        (Box::new(with(json!({"client_secret": "s"}))), "client_secret"),
        (Box::new(with(json!({"token_endpoint_auth_method": "client_secret_post"}))), "token_endpoint_auth_method"),
        (
            Box::new(with(
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks"}),
            )),
            "jwks_uri",
        ),
        (Box::new(with(json!({"redirect_uris": []}))), "redirect_uris"),
        (Box::new(with(json!({"redirect_uris": ["http://app.example/cb"]}))), "a redirect URI is https"),
        (Box::new(with(json!({"redirect_uris": ["https://app.example/*"]}))), "byte by byte"),
        (Box::new(with(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}))), "its jwks"),
        (Box::new(with(json!({"backchannel_logout_uri": "https://app.example/out"}))), "backchannel_logout_uri"),
        (Box::new(with(json!({"client_name": "Harbour"}))), "the name is taken"),
        (Box::new(with(json!({"client_name": "S I G N E T"}))), "the name is taken"),
        (Box::new(with(json!({"client_name": "G\u{43e}ogle"}))), "one script"),
        (Box::new(with(json!({"client_name": "Bank\u{202e}knaB"}))), "hidden characters"),
        (Box::new(with(json!({"client_name": {}}))), "client_name must be a string"),
        (Box::new(with(json!({"client_name": "🚀 S I G N E T™"}))), "the name is taken"),
    ];
    let count = cases.len();
    for (n, (serve, reason)) in cases.into_iter().enumerate() {
        let url = format!("https://app.example/{n}.json");
        host.serves(&url, serve(&url));
        is_refused_for(&asks(&signet, &url).await, reason);
        // It is remembered for a while.
        is_refused_for(&asks(&signet, &url).await, reason);
        assert_eq!(host.requests().len(), n + 1, "{reason}");
    }
    // Of the endless one no more was taken than that, and what lies in the buffers between.
    assert!(host.sent() < 8 * 1024 * 1024, "{}", host.sent());
    for (url, reason) in [
        ("https://app.example", "normal form"),
        ("https://app.example/a/../b", "normal form"),
        ("https://APP.example/client.json", "normal form"),
        ("https://app.example/client.json#x", "fragment"),
        ("https://ada@app.example/client.json", "a user"),
        (&format!("https://app.example/{}", "x".repeat(500)), "longer than 256"),
        ("http://app.example/client.json", "is not registered"),
        ("ftp://app.example/client.json", "is not registered"),
    ] {
        is_refused_for(&asks(&signet, url).await, reason);
    }
    assert_eq!(host.requests().len(), count);
    signet.clock.advance(seconds(31));
    host.publishes(&document("https://app.example/0.json"));
    assert!(location(&asks(&signet, "https://app.example/0.json").await).starts_with("/login"));
}

async fn a_slow_host_holds_nobody_for_long(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    host.serves(URL, Served::Drips);
    let network = DocumentNetwork { patience: Duration::from_millis(400), ..host.network() };
    assert_eq!(DocumentNetwork::default().patience, Duration::from_secs(5));
    let signet = builder.with_documents(network).open().await;
    let page = asks(&signet, URL).await.is(503);
    assert_eq!(page.header("retry-after"), "30", "{page:?}");
    assert_eq!(host.requests().len(), 1);
}

/// We are no scanner and no flood: so many fetches at a time, and so many from one host.
async fn fetches_are_bounded_in_number(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    let signet = builder.with_documents(host.network()).open().await;
    let url = |n: usize| format!("https://app.example/{n}.json");
    for n in 0..16 {
        host.serves(&url(n), Served::Waits(document(&url(n))));
    }
    host.publishes(&document("https://other.example/client.json"));
    let urls: Vec<String> = (0..16).map(url).collect();
    let waiting = join_all(urls.iter().map(|url| asks(&signet, url)));
    let meanwhile = async {
        host.waits_for(16).await;
        let page = asks(&signet, "https://other.example/client.json").await.is(503);
        assert_eq!(page.header("retry-after"), "5", "{page:?}");
        host.opens();
    };
    let (answers, ()) = tokio::join!(waiting, meanwhile);
    assert!(answers.iter().all(|answer| answer.status == 303), "{answers:?}");
    assert!(location(&asks(&signet, "https://other.example/client.json").await).starts_with("/login"));
    for n in 16..30 {
        is_refused_for(&asks(&signet, &url(n)).await, "status 404");
    }
    asks(&signet, &url(30)).await.is(503);
    assert_eq!(host.requests().iter().filter(|url| url.starts_with("https://app.example/")).count(), 30);
}

/// Anybody may write any name and any address into a document: the host is what people can go by.
async fn people_see_whose_document_it_is(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    let url = "https://evil.example/client.json";
    let mut described = document(url);
    described["client_name"] = json!("<b>Bank of Ada</b> (app.example)");
    described["redirect_uris"] = json!(["https://bank.example/callback"]);
    host.publishes(&described);
    let signet = builder.with_documents(host.network()).open().await;
    signet.registers("ada").await;
    let client = Client { id: url.to_owned(), secret: String::new() };
    let app = RelyingParty::of(&signet, client, "https://bank.example/callback");
    // An error leads nobody to an address that a stranger chose.
    let page = BrowserSession::at(&signet).opens(&app.link(&[("response_type", "token")])).await.is(400);
    assert_eq!(page.header("location"), "", "{page:?}");
    let browser = BrowserSession::at(&signet);
    let login = browser.follows(&browser.opens(&app.link(&[])).await).await.is(200);
    assert!(login.text().contains("(evil.example)"), "{login:?}");
    let sent = browser.sends(&login, "/login", &[("username", "ada"), ("password", PASSWORD)]).await;
    let page = browser.follows(&sent).await.is(200);
    let text = page.text();
    assert!(!text.contains("<b>") && text.contains("<strong>evil.example</strong>"), "{page:?}");
    assert!(text.contains("<strong>https://bank.example</strong>") && text.contains("has not checked it"), "{page:?}");
    // Nobody goes on without a press.
    app.is_refused(&browser.opens(&app.link(&[("prompt", "none")])).await, "consent_required");
    app.is_refused(&browser.sends(&page, "/consent", &[("answer", "deny")]).await, "access_denied");
    // The document of the host itself says where its codes go.
    let other = RelyingParty::of(&signet, Client { id: url.to_owned(), secret: String::new() }, CALLBACK);
    is_refused_for(&browser.opens(&other.link(&[])).await, "wrong address");
}

/// A document gives its client nothing that registration would not.
async fn a_document_gives_no_rights(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    let mut described = document(URL);
    for (name, value) in [
        ("grant_types", json!(["authorization_code", "refresh_token", "password", "client_credentials"])),
        ("scope", json!("openid roles admin")),
        ("first_party", json!(true)),
        ("audiences", json!(["https://api.example.com"])),
        ("resources", json!(["https://api.example.com"])),
        ("pkce", json!("optional")),
    ] {
        described[name] = value;
    }
    host.publishes(&described);
    let builder = builder.set("audience", "https://api.example.com").with_documents(host.network());
    let signet = builder.open().await;
    let ada = signet.registers("ada").await;
    signet.runs(&["user", "grant-role", "ada", "admin"]).await.well();
    let app = app(&signet, URL);
    let browser = BrowserSession::at(&signet);
    let code = app.gets_a_code_for(&browser, &ada, &[("scope", "openid roles admin")]).await;
    let tokens = app.redeems(&code).await.granted();
    let claims = jwt::claims(&tokens.access);
    assert_eq!((&claims["scope"], &claims["aud"]), (&json!("openid"), &json!(signet.issuer)));
    assert_eq!(claims.get("roles"), None, "{claims}");
    signet.site.get("/v1/users/me").bearer_auth(&tokens.access).answer().await.challenges(403, "insufficient_scope");
    app.is_refused(&browser.opens(&app.link(&[("code_challenge", "")])).await, "invalid_request");
    for resource in ["https://api.example.com", "https://mcp.example.com"] {
        let link = app.link(&[("resource", resource), ("prompt", "none")]);
        app.is_refused(&browser.opens(&link).await, "invalid_target");
    }
    let form = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD), ("client_id", URL)];
    signet.site.token(&form).answer().await.refused("unauthorized_client");
}

/// A resolver that fails is trouble, and no verdict.
async fn a_name_that_is_not_found_may_be_found_later(builder: TestEnvBuilder) {
    let host = DocumentHost::starts().await;
    let signet = builder.with_documents(host.resolving(|_| Err(io::Error::other("no such name")))).open().await;
    let page = asks(&signet, URL).await.is(503);
    assert_eq!(page.header("retry-after"), "30", "{page:?}");
    pushes(&signet, URL).await.oauth_error(503, "temporarily_unavailable");
    assert_eq!(host.connections(), 0);
}

stories![nothing_is_fetched_unless_the_operator_wants_it, people_see_whose_document_it_is, a_document_gives_no_rights];

stories_on![Sqlite:
    clients_of_before_are_unknown_once_it_is_off,
    only_what_begins_an_authorization_causes_a_fetch,
    no_document_leads_into_the_operators_network,
    the_name_of_this_machine_leads_nowhere,
    a_second_answer_of_the_resolver_changes_nothing,
    no_redirect_is_followed,
    what_is_no_document_of_the_client_is_refused_with_the_reason,
    a_slow_host_holds_nobody_for_long,
    fetches_are_bounded_in_number,
    a_name_that_is_not_found_may_be_found_later,
];
