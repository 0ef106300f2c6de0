//! Clients that others wrote, with nothing patched, and the requests of those that cannot run here.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    harness::{
        Ask, TestApp, TestEnvBuilder,
        browser_session::{BrowserSession, location},
        client_key,
        client_program::ClientProgram,
        conformance::{BYE, Mode, Suite},
        relying_party::{CALLBACK, CHALLENGE, RelyingParty, VERIFIER, registers_public},
        stories_on,
        test_env::Client,
    },
    long_requests::incompressible,
};

/// Registers a client of the code flow with these options.
async fn client(signet: &TestApp, options: &[&str]) -> Client {
    RelyingParty::registers_with(signet, options).await.client
}

fn jwks(said: &Value) -> String {
    client_key::file(&[said["jwk"].clone()]).to_str().expect("a path of ASCII").to_owned()
}

async fn oauth4webapi_does_all_that_a_client_does(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let settings = json!({"issuer": signet.issuer, "redirect_uri": CALLBACK});
    let mut program = ClientProgram::node("oauth4webapi.mjs", "oauth4webapi", &settings);
    let jwks = jwks(&program.says());
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let mut clients = Vec::new();
    for method in methods {
        let key = if method == "private_key_jwt" { &["--jwks", jwks.as_str()][..] } else { &[] };
        let client = client(&signet, &[&["--auth-method", method], key].concat()).await;
        clients.push(json!({"client_id": client.id, "method": method, "secret": client.secret}));
    }
    program.hears(&json!(clients));
    let browser = BrowserSession::at(&signet);
    for method in methods {
        program.sends(&browser, &ada).await;
        let learned = program.says();
        assert_eq!((&learned["method"], &learned["claims"]["sub"]), (&json!(method), &json!(ada.id)), "{learned}");
        assert_eq!(learned["user"]["preferred_username"], "ada", "{learned}");
        assert_eq!(learned["access"]["sub"], ada.id.as_str(), "{learned}");
        assert_eq!(learned["refreshed"]["sid"], learned["claims"]["sid"], "{learned}");
        assert_eq!((&learned["before"]["active"], &learned["after"]), (&json!(true), &json!({"active": false})));
    }
}

async fn requests_oauthlib_refreshes_by_itself(signet: TestApp) {
    let ada = signet.registers("ada").await;
    for options in [&["--public"][..], &[]] {
        let client = client(&signet, options).await;
        let settings = json!({
            "issuer": signet.issuer, "client_id": client.id, "secret": client.secret, "redirect_uri": CALLBACK,
        });
        let mut program = ClientProgram::python("requests_oauthlib_client.py", &settings);
        program.sends(&BrowserSession::at(&signet), &ada).await;
        let learned = program.says();
        assert_eq!((&learned["before"]["sub"], &learned["after"]["sub"]), (&json!(ada.id), &json!(ada.id)));
        let [kept] = &learned["kept"].as_array().expect("a list")[..] else { panic!("refreshed once: {learned}") };
        assert_ne!(kept["refresh_token"], learned["first"]["refresh_token"], "{options:?}");
    }
}

async fn authlib_does_all_that_a_client_does(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let client = client(&signet, &[]).await;
    let settings = json!({
        "issuer": signet.issuer, "client_id": client.id, "secret": client.secret, "redirect_uri": CALLBACK,
    });
    let mut program = ClientProgram::python("authlib_client.py", &settings);
    let jwks = jwks(&program.says());
    let service = signet.registers_service(&["--auth-method", "private_key_jwt", "--jwks", &jwks]).await;
    program.hears(&json!({"client_id": service.id}));
    program.sends(&BrowserSession::at(&signet), &ada).await;
    let learned = program.says();
    assert_eq!((&learned["own"]["scope"], &learned["own"]["token_type"]), (&json!("read"), &json!("Bearer")));
    assert_eq!((&learned["claims"]["sub"], &learned["user"]["sub"]), (&json!(ada.id), &json!(ada.id)), "{learned}");
    assert!(learned["refreshed"]["access_token"].is_string(), "{learned}");
    let ends = (&learned["before"], &learned["revoked"], &learned["after"]);
    assert_eq!(ends, (&json!(true), &json!(200), &json!(false)), "{learned}");
}

/// golang.org/x/oauth2 tries the header first and the form after a refusal, with the same code. It encodes what it puts
/// into the header (RFC 6749 §2.3.1), and never names the client twice.
async fn the_attempts_of_golang_x_oauth2_end_in_a_token(builder: TestEnvBuilder) {
    let mut suite = Suite::starts(builder, &["--auth-method", "client_secret_post"]).await;
    let header = |client: &Client| {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&client.id), encoded(&client.secret));
        format!("Basic {}", STANDARD.encode(pair))
    };
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    for public in [false, true] {
        if public {
            suite.client = registers_public(&suite.signet, CALLBACK).await;
        }
        let trip = suite.asks(&challenge).await;
        let form = [
            ("code", trip.code()),
            ("code_verifier", VERIFIER),
            ("grant_type", "authorization_code"),
            ("redirect_uri", CALLBACK),
        ];
        let request = suite.signet.site.token(&form).header("authorization", header(&suite.client));
        let mut answer = request.answer().await;
        if !public {
            answer.oauth_error(401, "invalid_client");
            answer = suite.signet.site.token(&suite.client.in_form(&form)).answer().await;
        }
        suite.judges(trip, answer).await;
    }
}

/// Spring Security encodes id and secret before Basic, and names a charset.
async fn the_requests_of_spring_security_are_taken(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder, &[]).await;
    // Any character may be encoded; Java leaves letters alone, other languages do not.
    let encoded = |text: &str| text.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let credentials = format!("{}:{}", encoded(&suite.client.id), encoded(&suite.client.secret));
    let asks = async |form: &[(&str, &str)]| {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = suite.signet.site.post("/oauth/token").header("accept", "application/json");
        let request = request.header("content-type", "application/x-www-form-urlencoded;charset=UTF-8");
        let basic = format!("Basic {}", STANDARD.encode(&credentials));
        request.header("authorization", basic).body(body).answer().await
    };
    let state = format!("{}=", "Zm9vYmFyLWJhei_".repeat(67));
    let trip = suite.asks(&[("state", &state), ("scope", "openid profile email")]).await;
    let form = [("grant_type", "authorization_code"), ("code", trip.code()), ("redirect_uri", CALLBACK)];
    let answer = asks(&form).await;
    let login = suite.judges(trip, answer).await;
    let refresh = login.tokens["refresh_token"].as_str().expect("a refresh token");
    asks(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await.granted();
}

/// ASP.NET Core keeps its own state in `state`, encrypted: longer where apps are chained, and the more so with a form.
async fn the_requests_of_asp_net_core_are_taken(builder: TestEnvBuilder) {
    let mut suite = Suite::starts(builder, &[]).await;
    suite.mode = Mode::FormPost;
    let nonce = format!("638999999999999999.{}", incompressible(104));
    for length in [1500, 1800, 2000] {
        let state = format!("CfDJ8{}", incompressible(length - 5));
        let own = [("x-client-SKU", "ID_NET8_0"), ("x-client-ver", "7.1.2.0")];
        let parameters = [
            ("scope", "openid profile email"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        // Once through the pages of login and consent, then at once.
        suite.browser = BrowserSession::at(&suite.signet);
        for logins in [1, 0] {
            let trip = suite.asks(&[&parameters[..], &own].concat()).await;
            assert_eq!(trip.logins, logins, "{length}: {trip:?}");
            let form = [
                ("grant_type", "authorization_code"),
                ("code", trip.code()),
                ("redirect_uri", CALLBACK),
                ("code_verifier", VERIFIER),
            ];
            let answer = suite.signet.site.token(&suite.client.in_form(&form)).answer().await;
            let login = suite.judges(trip, answer).await;
            if logins == 0 {
                let hint = login.tokens["id_token"].as_str().expect("an ID token");
                let query = [("id_token_hint", hint), ("post_logout_redirect_uri", BYE), ("state", &state), own[0]];
                let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
                let answer = suite.browser.opens(&format!("/oauth/logout?{query}")).await;
                assert_eq!(location(&answer), format!("{BYE}?state={state}"));
            }
        }
    }
}

stories_on![Sqlite:
    oauth4webapi_does_all_that_a_client_does,
    requests_oauthlib_refreshes_by_itself,
    authlib_does_all_that_a_client_does,
    the_attempts_of_golang_x_oauth2_end_in_a_token,
    the_requests_of_spring_security_are_taken,
    the_requests_of_asp_net_core_are_taken,
];
