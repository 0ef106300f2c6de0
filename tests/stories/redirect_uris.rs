//! Redirect URIs at registration: what could never match, or would deceive, is refused with its reason.

use serde_json::{Value, json};

use crate::harness::{
    Ask, TestApp, TestEnvBuilder,
    browser_session::BrowserSession,
    relying_party::{RelyingParty, registers_public},
    stories_on,
    test_env::TestEnv,
};

/// What nobody registers, and a word of the reason.
const NEVER: [(&str, &str); 54] = [
    ("javascript:alert(1)", "scheme"),
    ("javascript://x/%0aalert(1)", "scheme"),
    ("data:text/html,x", "scheme"),
    ("file:///etc/passwd", "scheme"),
    ("blob:https://app.example/1", "scheme"),
    ("about:blank", "scheme"),
    ("vbscript:x", "scheme"),
    ("ws://app.example/cb", "scheme"),
    ("wss://app.example/cb", "scheme"),
    ("ftp://127.0.0.1/cb", "scheme"),
    ("httpx://app.example/cb", "scheme"),
    ("intent://app.example/cb", "scheme"),
    ("view-source:https://app.example/cb", "scheme"),
    ("http://app.example.com/cb", "https"),
    ("https://*.example.org/cb", "*"),
    ("https://app.example/*", "*"),
    ("https://a.example/cb,https://b.example/cb", "own"),
    ("https://x;sandbox/cb", "host"),
    ("https://x,default-src/cb", "host"),
    ("https://a'b.example/cb", "host"),
    ("https://a_b.example/cb", "host"),
    ("https://%61pp.example/cb", "host"),
    ("https://app.example.com/cb?code=1", "code"),
    ("https://app.example.com/cb?x=1&state=2", "state"),
    ("https://app.example.com/cb?iss", "iss"),
    ("https://app.example.com/cb?error=x", "error"),
    ("https://app.example.com/cb?c%6Fde=x", "code"),
    ("https://app.example.com/cb#x", "fragment"),
    ("https://ada@app.example.com/cb", "user"),
    ("/cb", "absolute"),
    ("localhost:3000/cb", "http://"),
    ("localhost:", "http://"),
    ("example.org:8080", "http://"),
    ("app.example.org:8443/cb", "http://"),
    ("127.0.0.1:8080/cb", "http://"),
    ("http://localhost:/cb", "port"),
    ("https://a.example:0/cb", "port"),
    ("https://a.example:65536/cb", "port"),
    ("http://127.0.0.1:0", "port"),
    ("https://a.example/cb;https://b.example/cb", "own"),
    ("https://a.example/cb|https://b.example/cb", "own"),
    ("https://a.example/cb https://b.example/cb", "own"),
    ("https://a.example/cb, app://b", "own"),
    ("https://a.example/{tenant}", "'{'"),
    ("https://a.example/cb?x=}", "'}'"),
    ("<https://a.example/cb>", "'<'"),
    ("https://a.example/a|b", "'|'"),
    ("https://a.example/^", "'^'"),
    ("https://a.example/\"", "'\"'"),
    ("https://a.example/`", "'`'"),
    ("https://a.example/cb?x[]=1", "'['"),
    ("https://a.example/]", "']'"),
    ("https://a.example/100%", "%25"),
    ("https://a.example/%zz", "%25"),
];

async fn what_could_never_match_or_would_deceive_is_refused(env: TestEnv) {
    for (uri, reason) in NEVER {
        for public in [&["--public"][..], &[]] {
            let create = ["client", "create", "--name", "x", "--redirect-uri", uri];
            let ended = env.runs(&[&create[..], public].concat()).await;
            ended.with(2, &[uri, reason]);
        }
    }
    assert_eq!(env.runs(&["client", "list"]).await.well().json(), json!([]));
}

async fn an_operator_registers_an_apps_own_scheme(env: TestEnv) {
    for uri in [
        "vscode://vscode.github-authentication/did-authenticate",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "exp://192.168.0.2:8081",
        "obsidian://auth",
        "myapp:/cb",
        "com.example.app:/cb",
        "https://app.example.com:8443/cb?tenant=7",
        "https://[2001:db8::1]/cb",
        "http://[::1]:3000/cb",
    ] {
        let create = ["client", "create", "--name", "x", "--public", "--redirect-uri", uri];
        env.runs(&create).await.well();
    }
    // Who keeps a secret is no app on a device.
    let create = ["client", "create", "--name", "x", "--redirect-uri", "vscode://a.b/cb"];
    env.runs(&create).await.with(2, &["public client"]);
}

/// RFC 8252 §7.3.
async fn a_loopback_address_without_a_path_takes_any_port(signet: TestApp) {
    let ada = signet.registers("ada").await;
    for (registered, host) in
        [("http://127.0.0.1", "127.0.0.1"), ("http://[::1]", "[::1]"), ("http://127.0.0.1/", "127.0.0.1")]
    {
        let client = registers_public(&signet, registered).await;
        let browser = BrowserSession::at(&signet);
        for end in ["", "/", ":51004", ":51004/"] {
            let app = RelyingParty::of(&signet, client.clone(), &format!("http://{host}{end}"));
            let code = app.gets_a_code_for(&browser, &ada, &[("scope", "openid")]).await;
            app.redeems(&code).await.granted();
        }
        for end in
            [":51004/x", ":51004?x", ":", ":0", ":051004", ":51004@evil.example", ".evil.example", "@evil.example"]
        {
            let app = RelyingParty::of(&signet, client.clone(), &format!("http://{host}{end}"));
            let answer = browser.opens(&app.link(&[])).await.is(400);
            assert_eq!(answer.header("location"), "", "{end}");
        }
    }
}

/// RFC 8252 §7.3.
async fn a_query_without_a_path_takes_any_port(signet: TestApp) {
    let ada = signet.registers("ada").await;
    for host in ["127.0.0.1", "[::1]"] {
        let client = registers_public(&signet, &format!("http://{host}?x=1")).await;
        let browser = BrowserSession::at(&signet);
        for end in ["?x=1", "/?x=1", ":51004?x=1", ":51004/?x=1"] {
            let app = RelyingParty::of(&signet, client.clone(), &format!("http://{host}{end}"));
            let code = app.gets_a_code_for(&browser, &ada, &[("scope", "openid")]).await;
            app.redeems(&code).await.granted();
        }
        for end in ["", ":51004", ":51004?x=2", ":0?x=1", ":?x=1", ":51004@evil.example?x=1"] {
            let app = RelyingParty::of(&signet, client.clone(), &format!("http://{host}{end}"));
            browser.opens(&app.link(&[])).await.is(400);
        }
    }
}

/// White space around what an operator types is not counted.
async fn an_operators_spaces_are_not_counted(env: TestEnv) {
    let create = ["client", "create", "--name", "x", "--redirect-uri", " https://a.example/cb "];
    let scopes = ["--scope", " openid\t email ", "--scope", "openid"];
    let made = env.runs(&[&create[..], &scopes].concat()).await.well().json();
    let id = made["client_id"].as_str().expect("an id").to_owned();
    let shown = env.runs(&["client", "show", &id]).await.well().json();
    assert_eq!((&shown["redirect_uris"], &shown["scope"]), (&json!(["https://a.example/cb"]), &json!("openid email")));
    let long = format!("openid {}", "email ".repeat(200));
    env.runs(&["client", "update", &id, "--scope", &long]).await.well();
    env.runs(&["client", "update", &id, "--scope", &"x".repeat(513)]).await.with(2, &["512"]);
}

/// The bodies that these programs send, as they send them.
fn bodies() -> [(&'static str, Value); 5] {
    let vs_code = json!({
        "client_name": "Visual Studio Code",
        "client_uri": "https://code.visualstudio.com",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "redirect_uris": [
            "https://insiders.vscode.dev/redirect",
            "https://vscode.dev/redirect",
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
        ],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    });
    let cursor = json!({
        "client_name": "Cursor",
        "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let cursor_and_loopback = json!({
        "client_name": "Cursor",
        "redirect_uris": [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "http://localhost:8787/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
        ],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let claude_code = json!({
        "client_name": "Claude Code (orders)",
        "redirect_uris": ["http://localhost:54545/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "scope": "claudeai",
    });
    let mcp_inspector = json!({
        "client_name": "MCP Inspector",
        "client_uri": "https://github.com/modelcontextprotocol/inspector",
        "redirect_uris": ["http://localhost:6274/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "scope": "mcp:tools mcp:prompts",
    });
    [
        ("VS Code", vs_code),
        ("Cursor", cursor),
        ("Cursor 2", cursor_and_loopback),
        ("Claude Code", claude_code),
        ("MCP Inspector", mcp_inspector),
    ]
}

async fn the_registrations_of_mcp_clients_go_through(builder: TestEnvBuilder) {
    let signet = builder.set("client_registration", "open").open().await;
    let register = async |body: &Value| signet.site.post("/oauth/register").json(body).answer().await;
    for (who, body) in bodies() {
        let made = register(&body).await.is(201).json();
        assert_eq!(made["redirect_uris"], body["redirect_uris"], "{who}");
        assert_eq!(
            made["grant_types"].as_array().map(Vec::len),
            Some(2),
            "{who}: what we have, and it says so: {made}"
        );
        assert!(made["scope"].as_str().is_some_and(|scope| scope.contains("openid")), "{who}: {made}");
        assert_eq!(made["token_endpoint_auth_method"], "none");
    }
    for (uri, _) in NEVER.iter().chain(&[("mailto:ada@example.com", ""), ("cursor:/cb", ""), ("tel:1", "")]) {
        let body = json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none"});
        register(&body).await.oauth_error(400, "invalid_redirect_uri");
    }
}

stories_on![Sqlite:
    what_could_never_match_or_would_deceive_is_refused,
    an_operator_registers_an_apps_own_scheme,
    a_loopback_address_without_a_path_takes_any_port,
    a_query_without_a_path_takes_any_port,
    an_operators_spaces_are_not_counted,
    the_registrations_of_mcp_clients_go_through,
];
