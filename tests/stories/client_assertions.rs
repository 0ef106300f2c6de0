//! `private_key_jwt` (RFC 7523 §3): clients that authenticate with a key, and attempts to impersonate them.

use serde_json::{Value, json};

use crate::harness::{
    Answer, Ask, Durability, Site, TestApp, TestEnvBuilder,
    client_key::{self, ClientKey, JWT_BEARER, claims},
    seconds, stories, stories_on,
    test_env::{Client, TestEnv},
};

/// Asks for a client's own token with this assertion, and with these parameters too.
async fn presents_with(site: &Site, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let form =
        [("grant_type", "client_credentials"), ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    site.token(&[&form[..], more].concat()).answer().await
}

async fn presents(site: &Site, assertion: &str) -> Answer {
    presents_with(site, assertion, &[]).await
}

/// A client with an ES256 key.
async fn app(env: &TestEnv) -> (Client, ClientKey) {
    let key = ClientKey::new("ES256", "k1");
    (client_key::registers(env, &key).await, key)
}

fn with(mut json: Value, name: &str, value: Value) -> Value {
    json[name] = value;
    json
}

fn without(mut json: Value, name: &str) -> Value {
    json.as_object_mut().expect("an object").remove(name);
    json
}

async fn nobody_passes_for_a_client_without_its_key(signet: TestApp) {
    let (client, key) = app(&signet).await;
    let other_key = ClientKey::new("ES256", "k1");
    let stranger = ClientKey::new("EdDSA", "k1");
    let (other, _) = app(&signet).await;
    let good = claims(&signet, &client);
    for assertion in [
        other_key.asserts(&signet, &client),
        stranger.asserts(&signet, &client),
        key.asserts(&signet, &other), // its own key, in another's name
        key.signs(&key.header(), &with(good.clone(), "sub", json!(other.id))),
        key.signs(&key.header(), &with(good.clone(), "iss", json!(other.id))),
        key.signs(&with(key.header(), "jwk", other_key.jwk()), &good), // brings keys
        other_key.signs(&with(key.header(), "jwk", other_key.jwk()), &good),
        key.signs(&with(key.header(), "jku", json!("https://evil.example/jwks")), &good),
        key.signs(&with(key.header(), "crit", json!(["exp"])), &good),
        key.signs(&with(key.header(), "kid", json!("k2")), &good),
        key.signs(&with(key.header(), "alg", json!("none")), &good),
        key.signs(&with(key.header(), "alg", json!("HS256")), &good),
        key.signs(&with(key.header(), "alg", json!("EdDSA")), &good),
        key.signs(&with(key.header(), "typ", json!("at+jwt")), &good),
        key.signs(&key.header(), &with(good.clone(), "pad", json!("x".repeat(4096)))),
        format!("{}.", key.asserts(&signet, &client).rsplit_once('.').expect("a JWT").0),
        "x".to_owned(),
        "x.y.z".to_owned(),
    ] {
        presents(&signet.site, &assertion).await.refused("invalid_client");
    }
    presents(&signet.site, &key.signs(&key.header(), &good)).await.granted();
}

/// Libraries that keep their key in a certificate send it; of certificates nothing is believed.
async fn certificates_in_an_assertion_change_nothing(signet: TestApp) {
    let (client, key) = app(&signet).await;
    let stranger = ClientKey::new("ES256", "k1");
    for certificates in [json!(["MIIB"]), json!([]), json!("x"), json!(null)] {
        let header = |key: &ClientKey| with(key.header(), "x5c", certificates.clone());
        presents(&signet.site, &key.signs(&header(&key), &claims(&signet, &client))).await.granted();
        presents(&signet.site, &stranger.signs(&header(&stranger), &claims(&signet, &client)))
            .await
            .refused("invalid_client");
    }
}

async fn an_assertion_is_taken_once(signet: TestApp) {
    let (client, key) = app(&signet).await;
    let assertion = key.asserts(&signet, &client);
    presents(&signet.site, &assertion).await.granted();
    presents(&signet.site, &assertion).await.refused("invalid_client");
    // Another text with the same jti, and another endpoint, are the same assertion.
    let good = claims(&signet, &client);
    presents(&signet.site, &key.signs(&key.header(), &good)).await.granted();
    let again = key.signs(&key.header(), &with(good.clone(), "aud", json!(format!("{}/oauth/token", signet.issuer))));
    presents(&signet.site, &again).await.refused("invalid_client");
    let form = [("token", "x"), ("client_assertion_type", JWT_BEARER), ("client_assertion", again.as_str())];
    signet.site.post("/oauth/revoke").form(&form).answer().await.refused("invalid_client");
    // Its expiry plus the clock tolerance: from then on it is refused for its age.
    signet.clock.advance(seconds(91));
    presents(&signet.site, &assertion).await.refused("invalid_client");
    // Another client may use the same jti.
    let (other, other_key) = app(&signet).await;
    let jti = claims(&signet, &client)["jti"].clone();
    for (client, key) in [(&client, &key), (&other, &other_key)] {
        let claims = with(claims(&signet, client), "jti", jti.clone());
        presents(&signet.site, &key.signs(&key.header(), &claims)).await.granted();
    }
}

async fn of_many_replicas_one_takes_an_assertion(signet: TestApp) {
    let (client, key) = app(&signet).await;
    let replica = signet.replica().await;
    let assertion = key.asserts(&signet, &client);
    let all: Vec<_> = (0..20)
        .map(|n| {
            let site = if n % 2 == 0 { signet.site.clone() } else { replica.site.clone() };
            let assertion = assertion.clone();
            tokio::spawn(async move { presents(&site, &assertion).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for one in all {
        statuses.push(one.await.expect("it was answered"));
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1], statuses[19]), (200, 401, 401), "{statuses:?}");
    replica.stop().await;
}

async fn an_assertion_is_for_us_and_for_now(signet: TestApp) {
    let (client, key) = app(&signet).await;
    let good = claims(&signet, &client);
    let now = good["exp"].as_i64().expect("a number") - 60;
    let issuer = signet.issuer.as_str();
    for bad in [
        with(good.clone(), "aud", json!("https://other.example")),
        with(good.clone(), "aud", json!([issuer, "https://other.example"])),
        with(good.clone(), "aud", json!([])),
        with(good.clone(), "aud", json!(format!("{issuer}/"))),
        with(good.clone(), "aud", json!(format!("{issuer}/oauth/revoke"))), // not the endpoint that is called
        with(good.clone(), "aud", json!(client.id)),
        without(good.clone(), "aud"),
        with(good.clone(), "exp", json!(now - 31)),
        with(good.clone(), "exp", json!(now + 3700)),
        with(good.clone(), "exp", json!((now + 60).to_string())),
        without(good.clone(), "exp"),
        with(good.clone(), "nbf", json!(now + 60)),
        with(good.clone(), "iat", json!(now + 60)),
        with(good.clone(), "jti", json!("")),
        without(good.clone(), "jti"),
        without(good.clone(), "iss"),
        without(good.clone(), "sub"),
        json!({}),
        json!([]),
    ] {
        let answer = presents(&signet.site, &key.signs(&key.header(), &bad)).await;
        assert_eq!(answer.status, 401, "{bad}: {answer:?}");
        answer.refused("invalid_client");
    }
    let endpoint = format!("{issuer}/oauth/token");
    for aud in [json!(issuer), json!([issuer]), json!(endpoint), json!([issuer, endpoint])] {
        let claims = with(claims(&signet, &client), "aud", aud);
        presents(&signet.site, &key.signs(&key.header(), &claims)).await.granted();
    }
    // As long as the libraries that say nothing else let it live.
    let hour = with(claims(&signet, &client), "exp", json!(now + 3600));
    presents(&signet.site, &key.signs(&key.header(), &hour)).await.granted();
}

async fn a_client_proves_itself_in_its_own_way_alone(signet: TestApp) {
    let (client, key) = app(&signet).await;
    let other = signet.registers_service(&[]).await;
    // It has no secret, and one who names it only is nobody.
    let form = [("grant_type", "client_credentials"), ("client_id", client.id.as_str())];
    signet.site.token(&form).answer().await.refused("invalid_client");
    let secret = [&form[..], &[("client_secret", "")]].concat();
    signet.site.token(&secret).answer().await.refused("invalid_client");
    let secret = [&form[..], &[("client_secret", "guess")]].concat();
    signet.site.token(&secret).answer().await.refused("invalid_client");
    let basic = signet.site.token(&form[..1]).basic_auth(&client.id, Some(""));
    basic.answer().await.refused("invalid_client");
    // A client with a secret proves nothing with a key.
    presents(&signet.site, &key.asserts(&signet, &other)).await.refused("invalid_client");
    // Two ways at once, half a way, and a way that nobody knows.
    let assertion = key.asserts(&signet, &client);
    presents_with(&signet.site, &assertion, &[("client_secret", "guess")]).await.refused("invalid_request");
    let both = signet.site.token(&[
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ]);
    both.basic_auth(&other.id, Some(&other.secret)).answer().await.refused("invalid_request");
    let half = [("grant_type", "client_credentials"), ("client_assertion", assertion.as_str())];
    signet.site.token(&half).answer().await.refused("invalid_request");
    let half = [("grant_type", "client_credentials"), ("client_assertion_type", JWT_BEARER)];
    signet.site.token(&half).answer().await.refused("invalid_request");
    let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
    let unknown = [&half[..1], &[("client_assertion_type", saml), ("client_assertion", &assertion)]].concat();
    signet.site.token(&unknown).answer().await.refused("invalid_client");
    // Another client named beside it.
    presents_with(&signet.site, &assertion, &[("client_id", &other.id)]).await.refused("invalid_client");
    presents_with(&signet.site, &assertion, &[("client_id", &client.id)]).await.granted();
}

async fn every_kind_of_key_will_do(signet: TestApp) {
    for alg in ["ES256", "EdDSA", "RS256", "PS256"] {
        let key = ClientKey::new(alg, "k1");
        let client = client_key::registers(&signet, &key).await;
        presents(&signet.site, &key.asserts(&signet, &client)).await.granted();
        let nameless = without(key.header(), "kid");
        presents(&signet.site, &key.signs(&nameless, &claims(&signet, &client))).await.granted();
    }
    // An RSA key that is registered for one scheme does not verify the other.
    let pkcs1 = ClientKey::new("RS256", "k1");
    let jwks = client_key::file(&[with(pkcs1.jwk(), "alg", json!("PS256"))]);
    let options = ["--auth-method", "private_key_jwt", "--jwks", jwks.to_str().expect("a path of ASCII")];
    let client = signet.registers_service(&options).await;
    presents(&signet.site, &pkcs1.asserts(&signet, &client)).await.refused("invalid_client");
}

async fn every_endpoint_takes_an_assertion(signet: TestApp) {
    let (client, key) = app(&signet).await;
    let asks = async |path: &str, aud: String, token: &str| {
        let claims = with(claims(&signet, &client), "aud", json!(aud));
        let assertion = key.signs(&key.header(), &claims);
        let form = [("token", token), ("client_assertion_type", JWT_BEARER), ("client_assertion", &assertion)];
        signet.site.post(path).form(&form).answer().await
    };
    let tokens = presents(&signet.site, &key.asserts(&signet, &client)).await.granted();
    for aud in ["", "/oauth/introspect", "/oauth/token"] {
        asks("/oauth/introspect", format!("{}{aud}", signet.issuer), &tokens.access).await.active();
    }
    asks("/oauth/introspect", format!("{}/oauth/revoke", signet.issuer), &tokens.access)
        .await
        .refused("invalid_client");
    asks("/oauth/revoke", format!("{}/oauth/revoke", signet.issuer), &tokens.access).await.is(200);
    asks("/oauth/introspect", signet.issuer.clone(), &tokens.access).await.inactive();
}

async fn only_public_keys_are_registered(env: TestEnv) {
    let key = ClientKey::new("ES256", "k1");
    let options =
        ["client", "create", "--name", "App", "--grant", "client_credentials", "--auth-method", "private_key_jwt"];
    env.runs(&options).await.with(2, &["private_key_jwt", "keys"]);
    for (keys, word) in [
        (vec![with(key.jwk(), "d", json!("AQ"))], "private"),
        (vec![json!({"kty": "oct", "k": "AQ"})], "private"),
        (vec![], "no key"),
        (vec![json!({"kty": "RSA", "n": "AQ", "e": "AQAB"})], "2048"),
        (vec![key.jwk(), key.jwk()], "kid"),
        (vec![with(key.jwk(), "alg", json!("ES384"))], "ES256"),
    ] {
        let file = client_key::file(&keys);
        let file = file.to_str().expect("a path of ASCII");
        env.runs(&[&options[..], &["--jwks", file]].concat()).await.with(2, &["jwks", word]);
    }
    env.runs(&[&options[..], &["--jwks", "/nowhere.json"]].concat()).await.with(2, &["/nowhere.json"]);
    assert_eq!(env.runs(&["client", "list"]).await.well().json(), json!([]), "nothing was registered");
}

/// A client with keys has no secret, and its keys are shown.
async fn a_client_with_a_key_has_no_secret(env: TestEnv) {
    let (client, key) = app(&env).await;
    assert_eq!(client.secret, "");
    let shown = env.runs(&["client", "show", &client.id]).await.well().json();
    assert_eq!(shown["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(shown["jwks"], json!({"keys": [key.jwk()]}));
}

/// Trouble of ours must not read as a client that is not believed: it would give up.
async fn a_database_that_is_gone_is_no_refusal(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let (client, key) = app(&signet).await;
    presents(&signet.site, &key.asserts(&signet, &client)).await.granted();
    signet.cluster().stop();
    let assertion = key.asserts(&signet, &client);
    presents(&signet.site, &assertion).await.unavailable().oauth_error(503, "temporarily_unavailable");
}

stories![an_assertion_is_taken_once];

stories_on![Sqlite:
    nobody_passes_for_a_client_without_its_key,
    an_assertion_is_for_us_and_for_now,
    a_client_proves_itself_in_its_own_way_alone,
    every_kind_of_key_will_do,
    every_endpoint_takes_an_assertion,
    only_public_keys_are_registered,
    certificates_in_an_assertion_change_nothing,
    a_client_with_a_key_has_no_secret,
];

stories_on![Postgres:
    of_many_replicas_one_takes_an_assertion,
    a_database_that_is_gone_is_no_refusal,
];
