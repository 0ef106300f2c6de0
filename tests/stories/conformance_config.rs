//! Config OP: the discovery document and the key set.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Ask, TestApp, TestEnvBuilder, conformance::Suite, stories_on};

/// The members that the suite's schema knows, of those that a document of ours could have (RFC 8414 §2, OIDC Discovery
/// §3, and the registry that both share).
const KNOWN: &[&str] = &[
    "acr_values_supported",
    "authorization_endpoint",
    "authorization_response_iss_parameter_supported",
    "backchannel_logout_session_supported",
    "backchannel_logout_supported",
    "claims_parameter_supported",
    "claims_supported",
    "client_id_metadata_document_supported",
    "code_challenge_methods_supported",
    "end_session_endpoint",
    "grant_types_supported",
    "id_token_signing_alg_values_supported",
    "introspection_endpoint",
    "introspection_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "issuer",
    "jwks_uri",
    "prompt_values_supported",
    "pushed_authorization_request_endpoint",
    "registration_endpoint",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "response_modes_supported",
    "response_types_supported",
    "revocation_endpoint",
    "revocation_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
    "scopes_supported",
    "service_documentation",
    "subject_types_supported",
    "token_endpoint",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "userinfo_endpoint",
];

async fn discovered(signet: &TestApp) -> Value {
    let answer = signet.site.get("/.well-known/openid-configuration").answer().await.is(200);
    assert!(answer.header("content-type").starts_with("application/json"), "{answer:?}");
    answer.json()
}

/// Every endpoint is of the issuer's own origin: https wherever the issuer is.
#[track_caller]
fn has_endpoints_at(found: &Value, issuer: &str) {
    let named = |name: &str| name.ends_with("_endpoint") || name.ends_with("_uri");
    let endpoints = found.as_object().expect("an object").iter().filter(|(name, _)| named(name));
    assert!(endpoints.clone().count() >= 8, "{found}");
    for (name, url) in endpoints {
        assert!(url.as_str().is_some_and(|url| url.starts_with(&format!("{issuer}/"))), "{name}: {url}");
    }
}

/// `oidcc-discovery-endpoint-verification`: pass.
async fn the_discovery_document_is_what_the_standards_ask_for(builder: TestEnvBuilder) {
    let suite = Suite::starts(builder.set("client_registration", "open"), &[]).await;
    let issuer = suite.signet.issuer.as_str();
    let found = discovered(&suite.signet).await;
    assert_eq!(found["issuer"], issuer);
    has_endpoints_at(&found, issuer);
    let has = |member: &str, value: &str| found[member].as_array().expect("a list").contains(&json!(value));
    for (member, value) in [
        ("response_types_supported", "code"),
        ("subject_types_supported", "public"),
        ("id_token_signing_alg_values_supported", "RS256"),
        ("grant_types_supported", "authorization_code"),
        ("scopes_supported", "openid"),
        ("claims_supported", "sub"),
        ("code_challenge_methods_supported", "S256"),
        ("response_modes_supported", "form_post"),
        ("token_endpoint_auth_methods_supported", "client_secret_basic"),
        ("token_endpoint_auth_methods_supported", "client_secret_post"),
    ] {
        assert!(has(member, value), "{member} lacks {value}: {found}");
    }
    for (unsupported, value) in [
        ("request_parameter_supported", false),
        ("request_uri_parameter_supported", false),
        ("claims_parameter_supported", false),
    ] {
        assert_eq!(found[unsupported], value, "{unsupported}");
    }
    // A member that the suite's schema lacks is a warning.
    let members: BTreeSet<&str> = found.as_object().expect("an object").keys().map(String::as_str).collect();
    let unknown: Vec<&&str> = members.iter().filter(|member| !KNOWN.contains(member)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    suite.logs_in(&[]).await;
    has_public_keys_alone(&suite).await;
}

/// The key set has public keys, each with its own `kid` and in base64url (RFC 7517 §4, §5).
async fn has_public_keys_alone(suite: &Suite) {
    let answer = suite.signet.site.get("/.well-known/jwks.json").answer().await.is(200);
    let keys = answer.json()["keys"].as_array().expect("keys").clone();
    let mut names = BTreeSet::new();
    for key in &keys {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(key.get(private).is_none(), "{key}");
        }
        assert_ne!(key["kty"], "oct");
        assert!(names.insert(key["kid"].as_str().expect("a name").to_owned()), "twice: {keys:?}");
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        for member in ["n", "e", "x", "y"].into_iter().filter_map(|member| key[member].as_str()) {
            assert!(!member.is_empty() && member.bytes().all(base64url), "{key}");
        }
    }
    assert!(keys.iter().any(|key| key["kty"] == "RSA" && key["alg"] == "RS256" && key["use"] == "sig"), "{keys:?}");
}

/// Behind a proxy that terminates TLS, every endpoint is https, as the suite wants.
async fn endpoints_are_of_the_issuers_scheme(builder: TestEnvBuilder) {
    let issuer = "https://id.example.com";
    let builder = builder.set("issuer", issuer).set("trusted_proxies", "127.0.0.0/8");
    let signet = builder.open().await;
    let request = signet.site.get("/.well-known/openid-configuration").header("host", "id.example.com");
    let found = request.header("x-forwarded-proto", "https").answer().await.is(200).json();
    assert_eq!(found["issuer"], issuer);
    has_endpoints_at(&found, issuer);
}

/// `oidcc-rp-initiated-logout-discovery-endpoint-verification`: pass.
async fn the_discovery_document_names_the_end_session_endpoint(signet: TestApp) {
    let found = discovered(&signet).await;
    has_endpoints_at(&found, &signet.issuer);
    assert_eq!(found["end_session_endpoint"], format!("{}/oauth/logout", signet.issuer));
}

/// `oidcc-backchannel-logout-discovery-endpoint-verification`: pass.
async fn the_discovery_document_says_that_clients_are_told_of_logouts(signet: TestApp) {
    let found = discovered(&signet).await;
    has_endpoints_at(&found, &signet.issuer);
    assert_eq!(
        (&found["backchannel_logout_supported"], &found["end_session_endpoint"].is_string()),
        (&json!(true), &true)
    );
    assert_eq!(found["backchannel_logout_session_supported"], true);
}

stories_on![Sqlite:
    the_discovery_document_is_what_the_standards_ask_for,
    endpoints_are_of_the_issuers_scheme,
    the_discovery_document_names_the_end_session_endpoint,
    the_discovery_document_says_that_clients_are_told_of_logouts,
];
