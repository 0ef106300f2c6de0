//! Registrations as clients in the field send them (RFC 7591): what can mean one thing is read as that, what changes
//! nothing is passed over, and the answer says what was made.

use serde_json::{Map, Value, json};

use crate::harness::{
    Answer, Ask, TestApp, TestEnvBuilder, browser_session::BrowserSession, client_key::ClientKey,
    relying_party::RelyingParty, stories_on, test_env::Client,
};

const CALLBACK: &str = "https://app.example.com/cb";

async fn open(builder: TestEnvBuilder) -> TestApp {
    builder.set("client_registration", "open").open().await
}

fn with(members: &Value) -> Value {
    let mut metadata = json!({"client_name": "Lighthouse", "redirect_uris": [CALLBACK]});
    let (Some(all), Some(more)) = (metadata.as_object_mut(), members.as_object()) else { panic!("two objects") };
    all.extend(more.clone());
    metadata
}

async fn tries(signet: &TestApp, metadata: &Value) -> Answer {
    signet.site.post("/oauth/register").json(metadata).answer().await
}

/// Registers with each of the members, and compares the members of the answer.
async fn all_make(signet: &TestApp, cases: &[(Value, Value)]) {
    for (members, made) in cases {
        let answer = tries(signet, &with(members)).await;
        assert_eq!(answer.status, 201, "{members}: {answer:?}");
        let answer = answer.json();
        for (name, value) in made.as_object().unwrap_or(&Map::new()) {
            assert_eq!(answer.get(name).unwrap_or(&Value::Null), value, "{members}: {name} in {answer}");
        }
    }
}

async fn members_that_change_nothing_are_passed_over(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let nothing = |name: &str, value: Value| (json!({name: value}), json!({name: null}));
    all_make(
        &signet,
        &[
            nothing("software_statement", json!("e30.e30.")),
            nothing("software_statement", json!({"iss": "x"})),
            nothing("software_id", json!("4NRB1-0XZABZI9E6-5SM3R")),
            nothing("software_version", json!(2)),
            nothing("contacts", json!([])),
            nothing("contacts", json!("ada@example.com")),
            nothing("contacts", Value::Null),
            nothing("logo_uri", json!("")),
            nothing("client_uri", json!(7)),
            nothing("request_object_signing_alg", json!("none")),
            nothing("request_object_signing_alg", json!("RS256")),
            nothing("request_object_encryption_alg", json!("RSA-OAEP")),
            nothing("authorization_signed_response_alg", json!("RS256")),
            nothing("authorization_signed_response_alg", json!("none")),
            nothing("introspection_signed_response_alg", json!("ES256")),
            nothing("userinfo_signed_response_alg", json!("RS256")),
            nothing("userinfo_signed_response_alg", json!("none")),
            nothing("backchannel_token_delivery_mode", json!("poll")),
            nothing("jwks_uri", json!("http://169.254.169.254/")),
            nothing("jwks_uri", json!("https://app.example.com/jwks")),
            nothing("jwks", json!({"keys": []})),
            nothing("jwks", json!({"keys": [{"kty": "oct", "k": "AQ"}]})),
            nothing("jwks", json!("https://app.example.com/jwks")),
            nothing("sector_identifier_uri", json!("http://127.0.0.1:1/")),
            nothing("default_acr_values", json!(["urn:mace:incommon:iap:silver"])),
            nothing("default_max_age", Value::Null),
            nothing("dpop_bound_access_tokens", json!("false")),
            nothing("require_pushed_authorization_requests", json!(0)),
            nothing("require_signed_request_object", json!("")),
            nothing("tls_client_certificate_bound_access_tokens", json!("False")),
            nothing("id_token_encrypted_response_alg", json!("none")),
            nothing("userinfo_encrypted_response_alg", json!("")),
            nothing("backchannel_logout_uri", json!("")),
            nothing("token_endpoint_auth_signing_alg", json!("none")),
            nothing("token_endpoint_auth_signing_alg", json!("HS256")),
            nothing("client_id", json!({"mine": true})),
            nothing("x-vendor", json!([{}])),
        ]
        .map(|(members, mut made)| {
            // The client gets an id of ours.
            made.as_object_mut().expect("an object").remove("client_id");
            (members, made)
        }),
    )
    .await;
}

async fn what_signet_does_not_do_is_replaced_by_what_it_does(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let mut cases: Vec<(Value, Value)> = ["none", "HS256", "ES384", "ES256K", "rs256", "RSA-OAEP"]
        .map(|alg| {
            let key = "id_token_signed_response_alg";
            (json!({key: alg}), json!({key: "RS256"}))
        })
        .into();
    for method in ["client_secret_jwt", "tls_client_auth", "self_signed_tls_client_auth", "basic"] {
        let key = "token_endpoint_auth_method";
        cases.push((json!({key: method}), json!({key: "client_secret_basic"})));
    }
    cases.extend([
        (json!({"id_token_signed_response_alg": "EdDSA"}), json!({"id_token_signed_response_alg": "EdDSA"})),
        (json!({"grant_types": ["authorization_code", "implicit"]}), json!({"grant_types": ["authorization_code"]})),
        (json!({"response_types": ["code id_token", "code"]}), json!({"response_types": ["code"]})),
        (json!({"scope": format!("openid {}", "https://graph.example/x ".repeat(500))}), json!({"scope": "openid"})),
        (json!({"scope": "z".repeat(1024)}), json!({"scope": "openid profile email"})),
        (json!({"application_type": "spa"}), json!({"application_type": "web"})),
    ]);
    all_make(&signet, &cases).await;
}

async fn what_is_empty_was_not_given(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let defaults = json!({
        "subject_type": "public", "grant_types": ["authorization_code"], "response_types": ["code"],
        "scope": "openid profile email", "token_endpoint_auth_method": "client_secret_basic", "jwks": null,
        "id_token_signed_response_alg": "RS256", "post_logout_redirect_uris": [], "application_type": "web",
    });
    let mut cases = Vec::new();
    for (name, value) in defaults.as_object().expect("an object") {
        let empties: &[Value] = match value {
            Value::Array(_) => &[json!([]), json!(""), json!([""]), json!([null]), Value::Null],
            _ if name == "scope" => &[json!([]), json!(""), json!("  "), json!([""]), Value::Null],
            _ => &[json!(""), json!(" "), Value::Null],
        };
        for empty in empties {
            cases.push((json!({name.as_str(): empty}), json!({name.as_str(): value})));
        }
    }
    cases.push((json!({"redirect_uris": [CALLBACK, "", null]}), json!({"redirect_uris": [CALLBACK]})));
    all_make(&signet, &cases).await;
    for empty in [json!([]), json!(""), json!([""]), json!([null, " "]), Value::Null] {
        let answer = tries(&signet, &with(&json!({"redirect_uris": empty}))).await;
        answer.oauth_error(400, "invalid_redirect_uri");
    }
}

async fn another_type_is_read_where_it_means_one_thing(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    all_make(
        &signet,
        &[
            (json!({"redirect_uris": CALLBACK}), json!({"redirect_uris": [CALLBACK]})),
            (json!({"post_logout_redirect_uris": CALLBACK}), json!({"post_logout_redirect_uris": [CALLBACK]})),
            (json!({"grant_types": "authorization_code"}), json!({"grant_types": ["authorization_code"]})),
            (json!({"response_types": "code"}), json!({"response_types": ["code"]})),
            (json!({"scope": ["openid", "email"]}), json!({"scope": "openid email"})),
            (json!({"scope": ["openid email", "profile"]}), json!({"scope": "openid email profile"})),
            (json!({"client_name": 7}), json!({"client_name": "7"})),
            (json!({"token_endpoint_auth_method": " none "}), json!({"token_endpoint_auth_method": "none"})),
        ],
    )
    .await;
    for (name, value) in [
        ("redirect_uris", json!({"0": CALLBACK})),
        ("redirect_uris", json!([1])),
        ("redirect_uris", json!([[CALLBACK]])),
        ("redirect_uris", json!(true)),
        ("post_logout_redirect_uris", json!({})),
        ("grant_types", json!({})),
        ("grant_types", json!([true])),
        ("response_types", json!(7)),
        ("scope", json!({})),
        ("scope", json!(true)),
        ("client_name", json!({})),
        ("client_name", json!(["Lighthouse"])),
        ("token_endpoint_auth_method", json!(["none"])),
        ("token_endpoint_auth_method", json!(true)),
        ("subject_type", json!({})),
        ("application_type", json!(["web"])),
        ("id_token_signed_response_alg", json!({})),
        ("dpop_bound_access_tokens", json!("perhaps")),
        ("require_pushed_authorization_requests", json!(2)),
    ] {
        let answer = tries(&signet, &with(&json!({name: value}))).await;
        let code = if name == "redirect_uris" { "invalid_redirect_uri" } else { "invalid_client_metadata" };
        assert_eq!((answer.status, answer.string("error").as_str()), (400, code), "{name} {value}");
        assert!(answer.string("error_description").contains(name), "{name}: {answer:?}");
    }
}

async fn names_lose_their_decoration(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let names = [
        ("My App (dev)", "My App (dev)"),
        ("  My\tApp \n", "My App"),
        ("Foo™", "Foo"),
        ("🚀 App", "App"),
        ("👩\u{200d}💻 Dev ❤️ Tools", "Dev Tools"),
        ("Ann’s “App” — beta…", "Ann's \"App\" - beta..."),
        ("App\u{0}\u{7}", "App"),
        ("a\nb", "a b"),
    ];
    let mut cases: Vec<(Value, Value)> =
        names.map(|(given, name)| (json!({"client_name": given}), json!({"client_name": name}))).into();
    cases.push((json!({"client_name": "é".repeat(99)}), json!({"client_name": "é".repeat(50)})));
    cases.push((json!({"client_name": "x".repeat(5000)}), json!({"client_name": "x".repeat(100)})));
    all_make(&signet, &cases).await;
    for nameless in [json!(""), json!("  "), json!("🚀"), Value::Null] {
        let made = tries(&signet, &with(&json!({"client_name": nameless}))).await.is(201).json();
        assert_eq!(made["client_name"], made["client_id"], "{nameless}");
    }
    for deceiving in [
        "G\u{43e}ogle",
        "bank\u{202e}knab",
        "Go\u{200b}ogle",
        "Pay\u{2024}pal",
        "\u{feff}App",
        "a\u{2028}b",
        "---",
        "Signet",
        "🚀 S I G N E T ™",
        "“Signet”",
        "Sig™net",
        "First — party",
    ] {
        let answer = tries(&signet, &with(&json!({"client_name": deceiving}))).await;
        answer.oauth_error(400, "invalid_client_metadata");
    }
    let create = |name: &'static str| ["client", "create", "--grant", "client_credentials", "--name", name];
    for (given, name) in [("  Bill\ting ", "Bill ing"), ("Ann’s “App”", "Ann's \"App\""), ("🚀 Rockets", "🚀 Rockets")]
    {
        let made = signet.runs(&create(given)).await.well().json();
        let id = made["client_id"].as_str().expect("an id").to_owned();
        assert_eq!(signet.runs(&["client", "show", &id]).await.well().json()["client_name"], name);
        signet.runs(&["client", "update", &id, "--name", given]).await.well();
        assert_eq!(signet.runs(&["client", "show", &id]).await.well().json()["client_name"], name);
    }
    for bad in ["", "  ", "a\u{202e}b"] {
        signet.runs(&create(bad)).await.with(2, &["name"]);
    }
}

/// RFC 8252 §8.4: a program on a device keeps no secret. RFC 7591 §2: any other client has one.
async fn a_program_on_a_device_that_names_no_method_is_public(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    for (uris, method) in [
        (json!(["com.example.app:/cb"]), "none"),
        (json!(["http://localhost:6274/oauth/callback"]), "none"),
        (json!(["http://127.0.0.1/cb", "http://[::1]/cb"]), "none"),
        (json!(["cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/cb"]), "none"),
        (json!(["https://vscode.dev/redirect", "http://127.0.0.1:33418/"]), "client_secret_basic"),
        (json!([CALLBACK]), "client_secret_basic"),
        (json!(["HTTPS://App.Example.org/cb"]), "client_secret_basic"),
    ] {
        for unnamed in
            [json!({}), json!({"token_endpoint_auth_method": null}), json!({"token_endpoint_auth_method": ""})]
        {
            let mut metadata = with(&unnamed);
            metadata["redirect_uris"] = uris.clone();
            let made = tries(&signet, &metadata).await.is(201).json();
            assert_eq!(made["token_endpoint_auth_method"], method, "{made}");
            assert_eq!(made.get("client_secret").is_some(), method != "none", "{made}");
            assert_eq!(made["redirect_uris"], uris, "exactly as it was sent");
        }
    }
    // One that says how it authenticates is taken at its word.
    let basic = json!({"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "client_secret_basic"});
    assert!(tries(&signet, &basic).await.is(201).json()["client_secret"].is_string());
    let secret = json!({"redirect_uris": ["com.example.app:/cb"], "token_endpoint_auth_method": "client_secret_post"});
    tries(&signet, &secret).await.oauth_error(400, "invalid_redirect_uri");
}

async fn a_uri_in_capitals_is_compared_as_it_is(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let uri = "HTTPS://App.Example.org/cb";
    let metadata = json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none", "application_type": "web"});
    let made = tries(&signet, &metadata).await.is(201).json();
    let id = made["client_id"].as_str().expect("an id").to_owned();
    let ada = signet.registers("ada").await;
    let party = |uri: &str| RelyingParty::of(&signet, Client { id: id.clone(), secret: String::new() }, uri);
    let browser = BrowserSession::at(&signet);
    let code = party(uri).gets_a_code_for(&browser, &ada, &[("scope", "openid")]).await;
    party(uri).redeems(&code).await.granted();
    browser.opens(&party("https://app.example.org/cb").link(&[])).await.is(400);
}

/// A set of keys that other parties read as well.
async fn one_usable_key_among_many_is_enough(builder: TestEnvBuilder) {
    let signet = open(builder).await;
    let key = ClientKey::new("ES256", "k1");
    for other in [json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AQ"}), json!({"kty": "x"}), json!("key")] {
        let mut keys = vec![other; 100];
        keys.push(key.jwk());
        let jwks = json!({"keys": keys});
        let members = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks, "jwks_uri": CALLBACK});
        let made = tries(&signet, &with(&members)).await.is(201).json();
        assert_eq!(made["jwks"], jwks);
        let text = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks.to_string()});
        assert_eq!(tries(&signet, &with(&text)).await.is(201).json()["jwks"], jwks);
    }
    let more: Vec<Value> =
        (0..9).map(|n| ClientKey::new("ES256", ["a", "b", "c", "d", "e", "f", "g", "h", "i"][n]).jwk()).collect();
    for jwks in [json!({"keys": more}), json!({"keys": []}), json!("https://app.example.com/jwks"), json!([])] {
        let members = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks});
        tries(&signet, &with(&members)).await.oauth_error(400, "invalid_client_metadata");
    }
    let by_reference = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": CALLBACK});
    let answer = tries(&signet, &with(&by_reference)).await.oauth_error(400, "invalid_client_metadata");
    assert!(answer.string("error_description").contains("jwks_uri"), "{answer:?}");
}

stories_on![Sqlite:
    members_that_change_nothing_are_passed_over,
    what_signet_does_not_do_is_replaced_by_what_it_does,
    what_is_empty_was_not_given,
    another_type_is_read_where_it_means_one_thing,
    names_lose_their_decoration,
    a_program_on_a_device_that_names_no_method_is_public,
    a_uri_in_capitals_is_compared_as_it_is,
    one_usable_key_among_many_is_enough,
];
