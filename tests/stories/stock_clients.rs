//! Clients that others wrote, with nothing patched, and the requests of those that cannot run here.

use serde_json::{Value, json};

use crate::harness::{
    TestApp,
    browser_session::BrowserSession,
    client_key,
    client_program::ClientProgram,
    relying_party::{CALLBACK, RelyingParty},
    stories_on,
    test_env::Client,
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

stories_on![Sqlite:
    oauth4webapi_does_all_that_a_client_does,
    requests_oauthlib_refreshes_by_itself,
    authlib_does_all_that_a_client_does,
];
