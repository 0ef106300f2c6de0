//! Offline verification by gateways: tokens, keys and metadata.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use openidconnect::{
    JsonWebKey,
    core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm},
};
use serde_json::{Value, json};

use crate::harness::{Ask, TestApp, TestEnvBuilder, Tokens, jwt, seconds, stories, stories_on, tools::Trust};

async fn jwks(signet: &TestApp) -> Value {
    signet.site.get("/.well-known/jwks.json").answer().await.is(200).json()
}

/// The JWK that the token names.
async fn key_of(signet: &TestApp, token: &str) -> Value {
    let kid = jwt::header(token)["kid"].clone();
    let keys = jwks(signet).await["keys"].as_array().expect("keys").clone();
    keys.into_iter().find(|key| key["kid"] == kid).expect("the key is published")
}

async fn forged_tokens_are_refused(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let good = tokens.access.as_str();
    let (header, claims) = (jwt::header(good), jwt::claims(good));
    let (signing_input, _) = good.rsplit_once('.').expect("a JWT");
    let key = key_of(&signet, good).await;
    let foreign = rcgen::KeyPair::generate().expect("a key pair").serialize_der();
    let foreign = EncodingKey::from_ec_der(&foreign);
    let forge = |change: &dyn Fn(&mut Header), key: &EncodingKey| {
        let mut forged = Header::new(Algorithm::ES256);
        forged.typ = Some("at+jwt".into());
        forged.kid = header["kid"].as_str().map(str::to_owned);
        change(&mut forged);
        jsonwebtoken::encode(&forged, &claims, key).expect("a token")
    };
    let with_header = |change: Value| {
        let mut header = header.clone();
        header.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        jwt::with_header(good, &header)
    };
    let with_claim = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        jwt::with_claims(good, &claims)
    };

    let unsigned = jwt::with_header(good, &json!({"alg": "none", "typ": "at+jwt"}));
    let mut forged = vec![
        format!("{}.", unsigned.rsplit_once('.').expect("a JWT").0),
        unsigned,
        format!("{signing_input}."),
        signing_input.to_owned(),
        format!("{good}x"),
        format!("{good}."),
        good[1..].to_owned(),
        good[..good.len() - 4].to_owned(),
        format!("{good}{}", "A".repeat(5000)),
        forge(&|_| (), &foreign),
        forge(&|header| header.kid = None, &foreign),
        forge(&|header| header.kid = Some("../../../../dev/null".into()), &foreign),
        forge(&|header| header.jwk = serde_json::from_value(key.clone()).ok(), &foreign),
        forge(&|header| header.jku = Some("http://127.0.0.1:1/jwks.json".into()), &foreign),
        with_header(json!({"typ": "JWT"})),
        with_header(json!({"typ": "rt+jwt"})),
        with_header(json!({"crit": ["exp"]})),
        with_header(json!({"kid": "unknown"})),
        with_claim("sub", json!("018f0000-0000-7000-8000-000000000000")),
        with_claim("exp", json!(9_999_999_999_i64)),
        with_claim("roles", json!(["admin"])),
        tokens.refresh.clone(),
        "undefined".to_owned(),
    ];
    // The public key as an HMAC secret: a public value must not sign.
    for secret in [key.to_string(), key["x"].to_string(), key["x"].as_str().expect("x").to_owned(), String::new()] {
        let hs256 = |header: &mut Header| header.alg = Algorithm::HS256;
        forged.push(forge(&hs256, &EncodingKey::from_secret(secret.as_bytes())));
    }
    for token in forged {
        ada.is_shut_out(&Tokens { access: token, ..tokens.clone() }).await;
    }
    ada.is_let_in(&tokens).await;
}

async fn a_token_is_taken_from_one_place_only(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let site = &signet.site;
    for path in ["/v1/users/me", "/oauth/userinfo"] {
        let access = tokens.access.as_str();
        site.get(path).header("authorization", format!("bearer {access}")).answer().await.is(200);
        site.get_with(path, &[("access_token", access)]).answer().await.asks_for_a_token();
        for header in
            ["Basic YTpi".to_owned(), "Bearer".to_owned(), "Bearer ".to_owned(), format!("Bearer {access} {access}")]
        {
            let answer = site.get(path).header("authorization", header).answer().await.blames_the_sender();
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        }
        let twice = site.get(path).header("authorization", format!("Bearer {access}"));
        twice.header("authorization", "Bearer x").answer().await.blames_the_sender();
    }
}

async fn user_info_is_asked_in_both_ways(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let get = signet.site.user_info(&tokens.access).await.is(200);
    assert!(get.header("cache-control").contains("no-store"), "{get:?}");
    let post = signet.site.post("/oauth/userinfo").bearer_auth(&tokens.access).answer().await.is(200);
    assert_eq!(get.json(), post.json());
    assert_eq!(get.string("sub"), ada.id);
    assert_eq!(get.string("preferred_username"), "ada");
    signet.site.get("/oauth/userinfo").answer().await.asks_for_a_token();
    signet.site.post("/oauth/userinfo").answer().await.asks_for_a_token();

    let narrow = ada.refreshes_for(&tokens, "openid").await.granted();
    let claims = signet.site.user_info(&narrow.access).await.is(200).json();
    assert_eq!(claims, json!({"sub": ada.id}), "without profile and email there is nothing else to say");
}

async fn an_access_token_says_what_rfc_9068_wants(signet: TestApp) {
    let ada = signet.registers("Ada").await;
    let tokens = ada.logs_in().await;
    let header = jwt::header(&tokens.access);
    let members: BTreeSet<&String> = header.as_object().expect("an object").keys().collect();
    assert_eq!(members.into_iter().collect::<Vec<_>>(), ["alg", "kid", "typ"]);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("at+jwt")));

    let claims = jwt::claims(&tokens.access);
    let mut members: BTreeSet<&str> = claims.as_object().expect("an object").keys().map(String::as_str).collect();
    members.remove("status");
    let wanted = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "jti",
        "client_id",
        "scope",
        "sid",
        "auth_time",
        "amr",
        "acr",
        "preferred_username",
    ];
    assert_eq!(members, BTreeSet::from(wanted));
    assert_eq!(claims["iss"], signet.issuer.as_str());
    assert_eq!(claims["aud"], signet.issuer.as_str());
    assert_eq!(claims["sub"], ada.id);
    assert_eq!(claims["client_id"], "first-party");
    assert_eq!(claims["amr"], json!(["pwd"]));
    assert_eq!(claims["preferred_username"], "Ada");
    assert_eq!(claims["scope"], tokens.scope.as_str());
    let time = |claims: &Value, name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("{name} is a whole number"));
    assert_eq!(time(&claims, "exp") - time(&claims, "iat"), 600);
    assert_eq!(time(&claims, "auth_time"), time(&claims, "iat"));
    assert!(tokens.access.len() <= 4096 && tokens.refresh.len() <= 4096);

    signet.clock.advance(seconds(60));
    let later = ada.refreshes(&tokens).await.granted();
    let later = jwt::claims(&later.access);
    assert_eq!(later["auth_time"], claims["auth_time"], "a refresh proves nothing again");
    assert_eq!(later["sid"], claims["sid"]);
    assert_ne!(later["jti"], claims["jti"]);
    assert_eq!(time(&later, "iat"), time(&claims, "iat") + 60);
}

async fn a_refresh_token_is_for_us_alone(signet: TestApp) {
    let tokens = signet.registers("ada").await.logs_in().await;
    let header = jwt::header(&tokens.refresh);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("HS256"), &json!("rt+jwt")));
    let claims = jwt::claims(&tokens.refresh);
    assert_eq!(claims["aud"], format!("{}/oauth/token", signet.issuer));
    let published = jwks(&signet).await;
    assert!(
        published["keys"].as_array().expect("keys").iter().all(|key| key["kid"] != header["kid"]),
        "its key is not"
    );
}

async fn the_audience_is_the_configured_one_and_us(builder: TestEnvBuilder) {
    let signet = builder.set("audience", "https://api.example").open().await;
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    assert_eq!(jwt::claims(&tokens.access)["aud"], json!(["https://api.example", signet.issuer]));
    ada.is_let_in(&tokens).await;
}

async fn the_key_set_shows_public_keys_and_may_be_kept(signet: TestApp) {
    let answer = signet.site.get("/.well-known/jwks.json").answer().await.is(200);
    let keys = answer.json()["keys"].as_array().expect("keys").clone();
    assert!(!keys.is_empty());
    for key in &keys {
        for member in ["kid", "kty", "alg", "use"] {
            assert!(key[member].is_string(), "no {member}: {key}");
        }
        assert_eq!(key["use"], "sig");
        for secret in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert_eq!(key.get(secret), None, "{secret} is secret");
        }
    }
    let cache = answer.header("cache-control");
    assert!(cache.contains("public") && cache.contains("max-age="), "{cache}");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let etag = answer.header("etag");
    let ask = async |etag: &str| signet.site.get("/.well-known/jwks.json").header("if-none-match", etag).answer().await;
    let unchanged = ask(etag).await.is(304);
    assert_eq!((unchanged.header("etag"), unchanged.text().as_str()), (etag, ""));
    ask("\"other\"").await.is(200);
    ask(&format!("\"other\", {etag}")).await.is(304);
}

async fn metadata_announces_only_what_works(signet: TestApp) {
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let answer = signet.site.get(path).answer().await.is(200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let metadata = answer.json();
        assert_eq!(metadata["issuer"], signet.issuer.as_str());
        assert_eq!(metadata["token_endpoint"], format!("{}/oauth/token", signet.issuer));
        assert_eq!(metadata["jwks_uri"], format!("{}/.well-known/jwks.json", signet.issuer));
        let grants: BTreeSet<&str> =
            metadata["grant_types_supported"].as_array().expect("grants").iter().filter_map(Value::as_str).collect();
        assert!(grants.is_superset(&BTreeSet::from(["password", "refresh_token", "client_credentials"])), "{grants:?}");
        for (name, value) in metadata.as_object().expect("an object") {
            let Some(url) = value.as_str().filter(|_| name.ends_with("_endpoint") || name.ends_with("_uri")) else {
                continue;
            };
            let path = url.strip_prefix(&signet.issuer).unwrap_or_else(|| panic!("{name} is elsewhere: {url}"));
            assert_ne!(signet.site.get(path).answer().await.status, 404, "{name}");
        }
        for grant in grants {
            let answer = signet.site.token(&[("grant_type", grant)]).answer().await.blames_the_sender();
            assert_ne!(answer.string("error"), "unsupported_grant_type", "{grant}");
        }
        for (name, flag) in [
            ("authorization_response_iss_parameter_supported", true),
            ("backchannel_logout_supported", true),
            ("backchannel_logout_session_supported", true),
            ("claims_parameter_supported", false),
            ("request_parameter_supported", false),
            ("request_uri_parameter_supported", false),
        ] {
            assert_eq!(metadata[name], flag, "{name}");
        }
        for (name, words) in [
            ("response_types_supported", json!(["code"])),
            ("code_challenge_methods_supported", json!(["S256"])),
            ("subject_types_supported", json!(["public"])),
            ("id_token_signing_alg_values_supported", json!(["RS256", "ES256", "EdDSA"])),
        ] {
            assert_eq!(metadata[name], words, "{name}");
        }
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = &metadata[format!("{endpoint}_endpoint_auth_methods_supported")];
            let algorithms = &metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
            assert!(methods.as_array().is_some_and(|all| all.contains(&json!("private_key_jwt"))), "{endpoint}");
            // RFC 8414 §2: `none` MUST NOT be used.
            assert_eq!(*algorithms, json!(["ES256", "EdDSA", "RS256", "PS256"]), "{endpoint}");
        }
        let code_flow = metadata.get("authorization_endpoint").is_some();
        let codes =
            metadata["grant_types_supported"].as_array().is_some_and(|all| all.contains(&json!("authorization_code")));
        assert_eq!(code_flow, codes, "the code flow has two ends");
    }
}

/// Gives the claims of a token, or why it is refused.
type Verify<'a> = Box<dyn Fn(&str) -> Result<Value, String> + 'a>;

/// Any service can verify our tokens with its own library and nothing but our address.
async fn three_other_libraries_verify_our_tokens(signet: &TestApp, algorithm: &str, openid: CoreJwsSigningAlgorithm) {
    let ada = signet.registers("ada").await;
    let token = ada.logs_in().await.access;
    assert_eq!(jwt::header(&token)["alg"], algorithm);
    ada.is_let_in(&ada.logs_in().await).await;

    let metadata = signet.site.get("/.well-known/openid-configuration").answer().await.is(200);
    let jwks_url = metadata.string("jwks_uri");
    let trust = Trust { jwks_url: &jwks_url, issuer: &signet.issuer, audience: &signet.issuer, algorithm };
    let signature = token.rsplit('.').next().expect("a signature");
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{}.{flipped}{}", token.rsplit_once('.').expect("a JWT").0, &signature[1..]);
    let mut verifiers: BTreeMap<&str, Verify> = BTreeMap::new();
    verifiers.insert("PyJWT", Box::new(|token| trust.pyjwt(token)));
    verifiers.insert("jose", Box::new(|token| trust.jose(token)));
    let keys: CoreJsonWebKeySet = serde_json::from_value(jwks(signet).await).expect("a key set");
    verifiers.insert(
        "openidconnect",
        Box::new(move |token| {
            let (message, signature) = token.rsplit_once('.').expect("a JWT");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
            let kid = jwt::header(token)["kid"].clone();
            let key = keys.keys().iter().find(|key| key.key_id().is_some_and(|id| kid == id.as_str()));
            let verified = key.ok_or("no such key")?.verify_signature(&openid, message.as_bytes(), &signature);
            verified.map(|()| jwt::claims(token)).map_err(|error| error.to_string())
        }),
    );
    for (name, verify) in verifiers {
        let claims = verify(&token).unwrap_or_else(|error| panic!("{name} refuses it: {error}"));
        assert_eq!(claims, jwt::claims(&token), "{name}");
        verify(&forged).expect_err(name);
    }
    Trust { audience: "https://other.example", ..trust }.pyjwt(&token).expect_err("it is for somebody else");
}

async fn es256_is_verified_elsewhere(signet: TestApp) {
    three_other_libraries_verify_our_tokens(&signet, "ES256", CoreJwsSigningAlgorithm::EcdsaP256Sha256).await;
}

async fn eddsa_is_verified_elsewhere(builder: TestEnvBuilder) {
    let signet = builder.set("signing_algorithm", "EdDSA").open().await;
    three_other_libraries_verify_our_tokens(&signet, "EdDSA", CoreJwsSigningAlgorithm::EdDsa).await;
}

async fn rs256_is_verified_elsewhere(builder: TestEnvBuilder) {
    let signet = builder.set("signing_algorithm", "RS256").open().await;
    three_other_libraries_verify_our_tokens(&signet, "RS256", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256).await;
}

async fn keys_outlive_the_process(mut signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let before = jwks(&signet).await;
    signet.restart().await;
    assert_eq!(jwks(&signet).await, before);
    ada.is_let_in(&tokens).await;
    ada.refreshes(&tokens).await.granted();
}

stories![keys_outlive_the_process];

stories_on![Sqlite:
    forged_tokens_are_refused,
    a_token_is_taken_from_one_place_only,
    user_info_is_asked_in_both_ways,
    an_access_token_says_what_rfc_9068_wants,
    a_refresh_token_is_for_us_alone,
    the_audience_is_the_configured_one_and_us,
    the_key_set_shows_public_keys_and_may_be_kept,
    metadata_announces_only_what_works,
    es256_is_verified_elsewhere,
    eddsa_is_verified_elsewhere,
    rs256_is_verified_elsewhere,
];
