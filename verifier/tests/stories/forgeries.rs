//! Tokens that a thief, a forger and a confused client present.

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use verifier::{Distrust, StatusPolicy, Verifier, VerifyError};

use crate::harness::{AUDIENCE, Key, Outcome, TestClock, claims, encode, now, signed};

const ISSUER: &str = "https://id.example.com";

/// A service that has the keys, and never asks.
struct Service {
    key: Key,
    clock: TestClock,
    verifier: Verifier,
}

impl Service {
    fn trusting(key: Key) -> Self {
        let clock = TestClock::new();
        let verifier = Verifier::builder(ISSUER)
            .audience(AUDIENCE)
            .jwks(json!({"keys": [key.jwk()]}).to_string())
            .status_policy(StatusPolicy::Ignore)
            .clock(clock.clone())
            .build()
            .unwrap();
        Self { key, clock, verifier }
    }

    fn new() -> Self {
        Self::trusting(Key::es256("first"))
    }

    fn claims(&self) -> Value {
        claims(ISSUER, now(&self.clock))
    }

    /// A genuine token but for one claim, which `Null` takes away.
    fn token_with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        self.key.token(&claims)
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused_whatever_it_calls_that() {
    let service = Service::new();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"typ": "at+jwt", "alg": alg, "kid": "first"});
        for signature in [vec![], vec![0; 64]] {
            let token = signed(&header, &service.claims(), |_| signature);
            service.verifier.verify(&token).await.distrusted(Distrust::WrongAlgorithm);
        }
    }
    let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": "first"});
    let token = signed(&header, &service.claims(), |_| vec![]);
    service.verifier.verify(&token).await.distrusted(Distrust::BadSignature);
}

#[tokio::test]
async fn the_public_key_is_no_secret_to_sign_with() {
    for key in [Key::es256("k"), Key::eddsa("k"), Key::rs256("k")] {
        let service = Service::trusting(key.clone());
        let jwk = key.jwk().to_string();
        for secret in [key.public_bytes(), jwk.clone().into_bytes(), encode(key.public_bytes()).into_bytes()] {
            let header = json!({"typ": "at+jwt", "alg": "HS256", "kid": "k"});
            let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let token = signed(&header, &service.claims(), |message| hmac::sign(&secret, message).as_ref().to_vec());
            service.verifier.verify(&token).await.distrusted(Distrust::WrongAlgorithm);
        }
    }
}

#[tokio::test]
async fn a_stranger_s_key_is_not_the_issuer_s_by_its_name_nor_by_its_header() {
    let service = Service::new();
    let stranger = Key::es256("first");
    service.verifier.verify(&stranger.token(&service.claims())).await.distrusted(Distrust::BadSignature);
    let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": "first", "jwk": stranger.jwk()});
    service.verifier.verify(&stranger.signs(&header, &service.claims())).await.malformed();
    let other = Key::eddsa("first");
    service.verifier.verify(&other.token(&service.claims())).await.distrusted(Distrust::WrongAlgorithm);
    let unknown = Key::es256("unknown");
    service.verifier.verify(&unknown.token(&service.claims())).await.distrusted(Distrust::UnknownKey);
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    let service = Service::new();
    let token = service.key.token(&service.claims());
    service.verifier.verify(&token).await.accepted();
    let mut raised = service.claims();
    raised["roles"] = json!(["admin"]);
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = rest.split_once('.').unwrap();
    let changed = format!("{header}.{}.{signature}", encode(raised.to_string()));
    service.verifier.verify(&changed).await.distrusted(Distrust::BadSignature);
}

#[tokio::test]
async fn tokens_of_other_kinds_are_no_access_tokens() {
    let service = Service::new();
    for typ in ["JWT", "rt+jwt", "statuslist+jwt", "logout+jwt", "", "at+jwt "] {
        let header = json!({"typ": typ, "alg": "ES256", "kid": "first"});
        let token = service.key.signs(&header, &service.claims());
        service.verifier.verify(&token).await.distrusted(Distrust::WrongType);
    }
    let without = service.key.signs(&json!({"alg": "ES256", "kid": "first"}), &service.claims());
    service.verifier.verify(&without).await.malformed();
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let service = Service::new();
    for aud in [json!("https://other.example.com"), json!([ISSUER]), json!([]), json!(format!("{AUDIENCE}/"))] {
        service.verifier.verify(&service.token_with("aud", aud)).await.distrusted(Distrust::WrongAudience);
    }
    for iss in ["https://evil.example.com", "https://id.example.com/", "HTTPS://id.example.com"] {
        service.verifier.verify(&service.token_with("iss", iss.into())).await.distrusted(Distrust::WrongIssuer);
    }
    service.verifier.verify(&service.token_with("aud", AUDIENCE.into())).await.accepted();
}

#[tokio::test]
async fn a_token_out_of_its_time_is_refused() {
    let service = Service::new();
    let token = service.key.token(&service.claims());
    service.clock.advance(599);
    service.verifier.verify(&token).await.accepted();
    service.clock.advance(1);
    service.verifier.verify(&token).await.distrusted(Distrust::Expired);
    let now = now(&service.clock);
    service.verifier.verify(&service.token_with("iat", (now + 30).into())).await.accepted();
    for name in ["iat", "nbf"] {
        let early = service.token_with(name, (now + 31).into());
        service.verifier.verify(&early).await.distrusted(Distrust::NotYetValid);
    }
}

#[tokio::test]
async fn no_claim_may_be_missing_or_of_another_form() {
    let service = Service::new();
    for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"] {
        service.verifier.verify(&service.token_with(name, Value::Null)).await.malformed();
        service.verifier.verify(&service.token_with(name, json!({"a": 1}))).await.malformed();
    }
    for name in ["sub", "jti", "client_id"] {
        service.verifier.verify(&service.token_with(name, "".into())).await.malformed();
    }
    for exp in [json!("1800000600"), json!(1.8e9), json!(1e300), json!(true)] {
        service.verifier.verify(&service.token_with("exp", exp)).await.malformed();
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_before_anything_is_decoded() {
    let service = Service::new();
    assert_eq!(service.verifier.verify("").await, Err(VerifyError::Missing));
    let token = service.key.token(&service.claims());
    for text in [
        "x".to_owned(),
        "..".to_owned(),
        format!("{token}."),
        format!("{token}.x"),
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("Bearer {token}"),
        "a".repeat(5_000),
    ] {
        service.verifier.verify(&text).await.malformed();
    }
    let long = service.token_with("scope", "a ".repeat(2_500).into());
    service.verifier.verify(&long).await.malformed();
}

#[tokio::test]
async fn each_algorithm_that_signet_signs_with_is_accepted() {
    for key in [Key::es256("k"), Key::eddsa("k"), Key::rs256("k")] {
        let service = Service::trusting(key);
        let claims = service.verifier.verify(&service.key.token(&service.claims())).await.accepted();
        assert_eq!((claims.sid.as_deref(), claims.preferred_username.as_deref()), (Some("s-1"), Some("ada")));
        assert!(claims.has_role("clerk") && claims.has_scope("orders:read") && !claims.has_scope("orders:write"));
    }
}
