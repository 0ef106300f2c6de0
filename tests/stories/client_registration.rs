//! Dynamic client registration and management (RFC 7591, RFC 7592).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Ask, Site, TestApp, TestEnvBuilder,
    browser_session::{BrowserSession, location},
    client_key::{ClientKey, JWT_BEARER},
    relying_party::{CALLBACK, RelyingParty},
    stories, stories_on,
    test_env::{Client, list},
};

/// The metadata of a client of the code flow.
fn app() -> Value {
    json!({
        "client_name": "Lighthouse",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

/// The same with one member changed.
fn with(name: &str, value: Value) -> Value {
    let mut metadata = app();
    metadata[name] = value;
    metadata
}

/// A service where anybody's client may register itself.
async fn open(builder: TestEnvBuilder) -> TestApp {
    builder.set("client_registration", "open").open().await
}

async fn tries(site: &Site, metadata: &Value) -> Answer {
    site.post("/oauth/register").json(metadata).answer().await
}

/// A client that registered itself.
struct Registered {
    client: Client,
    token: String,
    information: Value,
    site: Site,
}

impl Registered {
    async fn with(site: &Site, metadata: &Value) -> Self {
        let answer = tries(site, metadata).await.is(201);
        assert!(answer.header("cache-control").contains("no-store"), "{answer:?}");
        let information = answer.json();
        let secret = information["client_secret"].as_str().unwrap_or_default().to_owned();
        let client = Client { id: answer.string("client_id"), secret };
        Self { client, token: answer.string("registration_access_token"), information, site: site.clone() }
    }

    fn path(&self) -> String {
        format!("/oauth/register/{}", self.client.id)
    }

    /// Manages it with this token.
    async fn sends(&self, method: Method, token: &str, body: Option<&Value>) -> Answer {
        let request = self.site.request(method, &self.path()).bearer_auth(token);
        match body {
            Some(body) => request.json(body).answer().await,
            None => request.answer().await,
        }
    }

    async fn changes(&self, metadata: &Value) -> Answer {
        self.sends(Method::PUT, &self.token, Some(metadata)).await
    }
}

/// The clients that there are.
async fn clients(signet: &TestApp) -> Vec<Value> {
    list(&signet.runs(&["client", "list", "--json"]).await.well().json()).clone()
}

async fn by_default_clients_are_the_operators_to_register(signet: TestApp) {
    tries(&signet.site, &app()).await.oauth_error(404, "invalid_request");
    let own = signet.registers_service(&[]).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = signet.site.request(method, &format!("/oauth/register/{}", own.id)).bearer_auth("x".repeat(43));
        request.json(&app()).answer().await.is(404);
    }
    let metadata = signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    assert!(metadata.get("registration_endpoint").is_none(), "{metadata}");
    assert_eq!(clients(&signet).await.len(), 1);
}

async fn an_initial_access_token_keeps_strangers_out(builder: TestEnvBuilder) {
    let token = "initial-access-token-of-32-chars";
    let signet = builder.set("client_registration", "open").set("client_registration_token", token).open().await;
    tries(&signet.site, &app()).await.asks_for_a_token();
    let presents = async |authorization: String| {
        signet.site.post("/oauth/register").header("authorization", authorization).json(&app()).answer().await
    };
    for bad in [&token[1..], &format!("{token}x"), "x", &token.to_uppercase()] {
        presents(format!("Bearer {bad}")).await.challenges(401, "invalid_token");
    }
    presents(format!("Bearer {token} {token}")).await.blames_the_sender();
    presents(format!("Basic {token}")).await.is(401);
    assert_eq!(clients(&signet).await, Vec::<Value>::new(), "nobody was registered");
    let answer = presents(format!("Bearer {token}")).await.is(201);
    assert_ne!(answer.string("registration_access_token"), token);
    // It registers, and manages nothing.
    let path = format!("/oauth/register/{}", answer.string("client_id"));
    signet.site.get(&path).bearer_auth(token).answer().await.challenges(401, "invalid_token");
}

async fn a_stranger_gets_what_a_third_party_gets_and_no_more(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    for (name, value) in [
        ("grant_types", json!(["password"])),
        ("grant_types", json!(["client_credentials"])),
        ("grant_types", json!(["implicit"])),
        ("grant_types", json!(["refresh_token"])),
        ("response_types", json!(["token"])),
        ("scope", json!("open\"id")),
        ("token_endpoint_auth_method", json!("private_key_jwt")), // without keys
        ("default_max_age", json!(0)),
        ("backchannel_logout_uri", json!("http://127.0.0.1:1/")),
        ("id_token_encrypted_response_alg", json!("RSA-OAEP")),
        ("userinfo_encrypted_response_enc", json!("A128GCM")),
        ("dpop_bound_access_tokens", json!(true)),
        ("require_pushed_authorization_requests", json!("true")),
        ("require_signed_request_object", json!(1)),
        ("tls_client_certificate_bound_access_tokens", json!(true)),
        ("subject_type", json!("pairwise")),
        ("post_logout_redirect_uris", json!(["http://app.example.com/"])),
        ("client_name", json!("bank\u{202e}knab")),
    ] {
        let answer = tries(&signet.site, &with(name, value.clone())).await;
        assert_eq!(
            (answer.status, answer.string("error").as_str()),
            (400, "invalid_client_metadata"),
            "{name} {value}"
        );
        assert!(!answer.text().contains("127.0.0.1:1"), "what was sent is not echoed: {answer:?}");
    }
    assert_eq!(clients(&signet).await, Vec::<Value>::new(), "nobody was registered");
    // Members of ours mean nothing here, and what it cannot have is left away.
    let mut sly = with("scope", json!("openid admin email roles"));
    sly["grant_types"] = json!(["authorization_code", "password", "client_credentials", "implicit"]);
    sly["response_types"] = json!(["code", "id_token"]);
    sly["token_endpoint_auth_method"] = json!("tls_client_auth");
    sly["application_type"] = json!("desktop");
    sly["request_uris"] = json!(["http://127.0.0.1:1/"]);
    sly["dpop_bound_access_tokens"] = json!(false);
    sly["jwks_uri"] = json!("http://169.254.169.254/");
    sly["pkce"] = json!("optional");
    sly["first_party"] = json!(true);
    sly["audiences"] = json!(["https://api.example"]);
    sly["resources"] = json!(["https://api.example"]);
    sly["client_id"] = json!("first-party");
    sly["id"] = json!("billing");
    sly["self_registered"] = json!(false);
    let sly = Registered::with(&signet.site, &sly).await;
    assert!(sly.client.id.starts_with("c-"), "{}", sly.information);
    assert_eq!(sly.information["scope"], "openid email");
    assert_eq!(sly.information["grant_types"], json!(["authorization_code"]));
    assert_eq!(sly.information["response_types"], json!(["code"]));
    assert_eq!(sly.information["token_endpoint_auth_method"], "client_secret_basic");
    let [shown] = &clients(&signet).await[..] else { panic!("one client") };
    assert_eq!((&shown["first_party"], &shown["self_registered"]), (&json!(false), &json!(true)));
    assert_eq!(shown["pkce"], "required");
    assert_eq!((&shown["audiences"], &shown["resources"]), (&json!([]), &json!([])));
}

async fn codes_go_nowhere_that_could_not_be_the_clients(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    for uris in [
        json!([]),
        json!(["http://app.example.com/cb"]),
        json!(["https://app.example.com/cb", "http://app.example.com/cb"]),
        json!(["https://app.example.com/cb#x"]),
        json!(["https://user@app.example.com/cb"]),
        json!(["https://*.example.com:x/cb"]),
        json!(["javascript:alert(1)"]),
        json!(["data:text/html,x"]),
        json!(["/cb"]),
        json!([""]),
        json!(["com.example.app:/cb"]), // of a client that has a secret to keep
    ] {
        let mut metadata = with("redirect_uris", uris.clone());
        metadata["token_endpoint_auth_method"] = json!("client_secret_basic");
        let answer = tries(&signet.site, &metadata).await;
        assert_eq!((answer.status, answer.string("error").as_str()), (400, "invalid_redirect_uri"), "{uris}");
    }
    let web = json!({"redirect_uris": ["http://127.0.0.1/cb"], "application_type": "web"});
    tries(&signet.site, &web).await.oauth_error(400, "invalid_redirect_uri");
    let many: Vec<String> = (0..21).map(|n| format!("https://app.example.com/{n}")).collect();
    tries(&signet.site, &with("redirect_uris", json!(many))).await.oauth_error(400, "invalid_client_metadata");
    assert_eq!(clients(&signet).await, Vec::<Value>::new(), "nobody was registered");
    for uri in ["http://127.0.0.1/cb", "http://localhost:3000/cb", "com.example.app:/cb"] {
        let native = json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none"});
        let native = Registered::with(&signet.site, &native).await;
        assert_eq!((native.client.secret.as_str(), &native.information["application_type"]), ("", &json!("native")));
        assert!(native.information.get("client_secret_expires_at").is_none(), "{}", native.information);
    }
}

async fn what_is_no_metadata_is_refused(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let posts = async |kind: &str, body: String| {
        let request = signet.site.post("/oauth/register").header("content-type", kind.to_owned()).body(body);
        request.answer().await.blames_the_sender()
    };
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        r#"{"redirect_uris": {"0": "https://app.example.com/cb"}}"#.to_owned(),
        r#"{"redirect_uris": [1]}"#.to_owned(),
        r#"{"redirect_uris": ["https://a.example/"], "redirect_uris": ["https://b.example/"]}"#.to_owned(),
        r#"{"redirect_uris": ["https://a.example/"], "client_name": {}}"#.to_owned(),
        "{\"client_name\": \"\\ud800\"}".to_owned(),
    ] {
        let answer = posts("application/json", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.json()["error"].is_string(), "{answer:?}");
    }
    posts("application/json", format!(r#"{{"client_name": "{}"}}"#, "x".repeat(70_000))).await.is(413);
    posts("text/plain", app().to_string()).await.is(415);
    posts("application/x-www-form-urlencoded", "client_name=x".to_owned()).await.is(415);
    assert_eq!(clients(&signet).await, Vec::<Value>::new(), "nobody was registered");
}

async fn a_client_that_registered_itself_logs_people_in_and_asks_them(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let ada = signet.registers("ada").await;
    let registered = Registered::with(&signet.site, &app()).await;
    let information = &registered.information;
    assert_eq!(information["client_secret_expires_at"], 0);
    assert_eq!(information["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(information["response_types"], json!(["code"]));
    assert_eq!(information["scope"], "openid profile email offline_access");
    assert!(information["client_id_issued_at"].is_i64(), "{information}");
    assert_eq!(information["registration_client_uri"], format!("{}{}", signet.issuer, registered.path()));
    let metadata = signet.site.get("/.well-known/openid-configuration").answer().await.is(200).json();
    assert_eq!(metadata["registration_endpoint"], format!("{}/oauth/register", signet.issuer));

    let party = RelyingParty::of(&signet, registered.client.clone(), CALLBACK);
    let session_browser = BrowserSession::at(&signet);
    let page = session_browser.opens(&party.link(&[])).await;
    let answer = session_browser.logs_in_at(&location(&page), &ada.username, &ada.password).await;
    assert!(location(&answer).starts_with("/consent"), "{answer:?}");
    let page = session_browser.follows(&answer).await.is(200);
    assert!(page.text().contains("Lighthouse"), "people read who asks");
    let code = party.is_given_a_code(&session_browser.sends(&page, "/consent", &[("answer", "allow")]).await);
    let tokens = party.redeems(&code).await.granted();
    signet.site.user_info(&tokens.access).await.is(200);
    ada.looks(&tokens).await.challenges(403, "insufficient_scope");
    let form = [("grant_type", "password"), ("username", "ada"), ("password", &ada.password)];
    registered.client.posts(&signet.site, "/oauth/token", &form).await.refused("unauthorized_client");
    registered.client.posts(&signet.site, "/oauth/token", &form[..0]).await.refused("invalid_request");

    // The end of the registration is the end of what it holds.
    registered.sends(Method::DELETE, &registered.token, None).await.is(204);
    signet.site.user_info(&tokens.access).await.challenges(401, "invalid_token");
    registered.client.refreshes(&signet.site, &tokens).await.refused("invalid_client");
    registered.sends(Method::GET, &registered.token, None).await.challenges(401, "invalid_token");
    registered.sends(Method::DELETE, &registered.token, None).await.challenges(401, "invalid_token");
}

async fn only_its_own_token_manages_a_client(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let registered = Registered::with(&signet.site, &app()).await;
    let other = Registered::with(&signet.site, &app()).await;
    let own = signet.registers_service(&[]).await;
    let evil = with("redirect_uris", json!(["https://evil.example/cb"]));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        for token in [&other.token, &registered.client.secret, &registered.client.id, "x"] {
            registered.sends(method.clone(), token, Some(&evil)).await.challenges(401, "invalid_token");
        }
        signet.site.request(method.clone(), &registered.path()).json(&evil).answer().await.asks_for_a_token();
        for id in [own.id.as_str(), "nobody", "first-party", "pages", "a%20b"] {
            let path = format!("/oauth/register/{id}");
            let request = signet.site.request(method.clone(), &path).bearer_auth(&registered.token).json(&evil);
            request.answer().await.challenges(401, "invalid_token");
        }
    }
    let shown = registered.sends(Method::GET, &registered.token, None).await.is(200).json();
    let mut expected = registered.information.clone();
    for once in ["client_secret", "client_secret_expires_at"] {
        expected.as_object_mut().expect("an object").remove(once);
    }
    assert_eq!(shown, expected, "nothing changed, and the secret is not shown again");
    let listed = signet.runs(&["client", "list"]).await.well().out;
    assert!(!listed.contains(&registered.token) && !listed.contains(&registered.client.secret));
}

async fn a_change_replaces_all_that_is_registered(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let registered = Registered::with(&signet.site, &with("scope", json!("openid email"))).await;
    // Another client's id or secret is a mix-up.
    for (name, value) in [("client_id", json!("other")), ("client_secret", json!("guess"))] {
        registered.changes(&with(name, value)).await.oauth_error(400, "invalid_client_metadata");
    }
    registered.changes(&with("grant_types", json!(["password"]))).await.oauth_error(400, "invalid_client_metadata");
    registered.changes(&json!({})).await.oauth_error(400, "invalid_redirect_uri");
    let shown = registered.sends(Method::GET, &registered.token, None).await.is(200).json();
    assert_eq!(shown["scope"], "openid email", "nothing changed");

    let moved = json!({
        "client_id": registered.client.id,
        "client_secret": registered.client.secret,
        "redirect_uris": ["https://app.example.com/other"],
    });
    let changed = registered.changes(&moved).await.is(200).json();
    assert_eq!(changed["redirect_uris"], json!(["https://app.example.com/other"]));
    assert_eq!(changed["client_name"], registered.client.id.as_str(), "what is left out gets its default");
    assert_eq!(changed["grant_types"], json!(["authorization_code"]));
    assert_eq!(changed["client_id_issued_at"], registered.information["client_id_issued_at"]);
    assert!(changed.get("client_secret").is_none(), "it keeps the one that it has: {changed}");
    let form = [("grant_type", "authorization_code")];
    registered.client.posts(&signet.site, "/oauth/token", &form).await.refused("invalid_request");

    // A client that becomes public loses its secret; one that comes back gets another.
    let public = registered.changes(&with("token_endpoint_auth_method", json!("none"))).await.is(200).json();
    assert!(public.get("client_secret").is_none(), "{public}");
    registered.client.posts(&signet.site, "/oauth/token", &form).await.refused("invalid_client");
    let again = registered.changes(&app()).await.is(200).json();
    let secret = again["client_secret"].as_str().expect("a new secret");
    assert_ne!(secret, registered.client.secret);
    let client = Client { secret: secret.to_owned(), ..registered.client.clone() };
    client.posts(&signet.site, "/oauth/token", &form).await.refused("invalid_request");
}

async fn a_client_registers_its_own_keys(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let key = ClientKey::new("ES256", "k1");
    let mut metadata = with("jwks", json!({"keys": [key.jwk()]}));
    metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
    metadata["id_token_signed_response_alg"] = json!("EdDSA");
    let registered = Registered::with(&signet.site, &metadata).await;
    assert_eq!(registered.client.secret, "");
    assert_eq!(registered.information["jwks"], metadata["jwks"]);
    assert_eq!(registered.information["id_token_signed_response_alg"], "EdDSA");
    let asks = async |assertion: String| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
        ];
        signet.site.token(&form).answer().await
    };
    asks(key.asserts(&signet, &registered.client)).await.refused("unauthorized_client"); // it is believed, and no more
    asks(ClientKey::new("ES256", "k1").asserts(&signet, &registered.client)).await.refused("invalid_client");
}

async fn the_operator_cannot_take_a_strangers_client_for_his_own(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let registered = Registered::with(&signet.site, &app()).await;
    for options in [
        &["--first-party"][..],
        &["--grant", "client_credentials"],
        &["--audience", "https://api.example"],
        &["--resource", "https://api.example"],
        &["--scope", "admin"],
        &["--backchannel-logout-uri", "https://app.example.com/logout"],
    ] {
        let arguments = [&["client", "update", &registered.client.id][..], options].concat();
        signet.runs(&arguments).await.with(2, &["registers itself"]);
    }
    signet.runs(&["client", "update", &registered.client.id, "--name", "Known to us"]).await.well();
    signet.runs(&["client", "delete", &registered.client.id]).await.well();
    registered.sends(Method::GET, &registered.token, None).await.challenges(401, "invalid_token");
}

/// Registered clients take storage for ever, so each network may register only a few.
async fn a_network_registers_few_clients(builder: TestEnvBuilder) {
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.registration", "3/1h");
    let signet = open(builder).await;
    for _ in 0..3 {
        Registered::with(&signet.site, &app()).await;
    }
    let answer = tries(&signet.site, &app()).await.oauth_error(429, "temporarily_unavailable");
    assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{answer:?}");
    assert_eq!(clients(&signet).await.len(), 3);
}

stories![
    a_stranger_gets_what_a_third_party_gets_and_no_more,
    a_client_that_registered_itself_logs_people_in_and_asks_them,
    only_its_own_token_manages_a_client,
    a_change_replaces_all_that_is_registered,
];

stories_on![Sqlite:
    by_default_clients_are_the_operators_to_register,
    an_initial_access_token_keeps_strangers_out,
    codes_go_nowhere_that_could_not_be_the_clients,
    what_is_no_metadata_is_refused,
    a_client_registers_its_own_keys,
    the_operator_cannot_take_a_strangers_client_for_his_own,
    a_network_registers_few_clients,
];
