//! How long tokens may be.

use crate::{
    crypto::jose::jwt::tests::*,
    domain::{
        claims::IdClaims,
        ids::{SessionId, UserId},
        role::Role,
    },
};

/// The last index of a status list.
const LAST: u32 = StatusPosition::LIST_LENGTH - 1;

/// The longest token that the rules of the domain allow.
fn worst() -> AccessClaims {
    let url = |name: &str| format!("https://{name:a<192}");
    let scope: Vec<_> = (0..32).map(|n| format!("{n:015}")).collect();
    AccessClaims {
        iss: url("i"),
        aud: Audience::of([url("x"), url("y")]),
        jti: "j".repeat(22),
        client_id: ClientId::parse(&"c".repeat(64)).unwrap(),
        scope: Scope::parse(&scope.join(" ")).unwrap(),
        user: Some(UserClaims {
            preferred_username: Some("𝕬".repeat(64)),
            roles: (0..Role::MOST).map(|n| Role::parse(&format!("{n:032}")).unwrap()).collect(),
            amr: ["fed", "mfa", "otp", "pwd"].map(str::to_owned).into(),
            status: Some(StatusClaim::of(&url("i"), StatusPosition { list: u16::MAX, index: LAST })),
            ..access().user.unwrap()
        }),
        ..access()
    }
}

#[test]
fn the_longest_token_that_the_rules_allow_stays_within_the_bound_and_a_longer_one_is_not_signed() {
    let token = opened(folder(), SigningAlgorithm::RS256).sign_access(&worst(), now()).unwrap();
    assert!((3000..=jws::MAX_LENGTH).contains(&token.len()), "{}", token.len());
    let beyond = AccessClaims { jti: "j".repeat(1000), ..worst() };
    let refused = opened(folder(), SigningAlgorithm::RS256).sign_access(&beyond, now());
    assert!(matches!(refused, Err(SignError::TooLong(length)) if length > jws::MAX_LENGTH));
}

/// A client's document names no roles, and so its tokens have none; its id may be a long URL.
#[test]
fn a_token_of_a_client_with_the_longest_url_as_its_id_stays_within_the_bound() {
    let url = format!("https://app.example/{}", "x".repeat(236));
    let client_id = ClientId::parse(&url).unwrap();
    let user = worst().user.unwrap();
    let scope = Scope::parse("openid profile email offline_access").unwrap();
    let claims = AccessClaims {
        client_id,
        scope,
        aud: Audience::of([format!("https://{:r<192}", "r")]),
        user: Some(UserClaims { roles: vec![], ..user }),
        ..worst()
    };
    let jwt = opened(folder(), SigningAlgorithm::RS256);
    jwt.sign_access(&claims, now()).unwrap();
    let name = Some("𝕬".repeat(64));
    let id = IdClaims {
        iss: claims.iss,
        sub: UserId(uuid::Uuid::from_u128(1)),
        aud: Audience::One(url),
        exp: claims.exp,
        iat: claims.iat,
        auth_time: Some(claims.iat),
        amr: ["fed", "mfa", "otp", "pwd"].map(str::to_owned).into(),
        acr: Some("1".to_owned()),
        // In JSON twice as long.
        nonce: Some("\"".repeat(512)),
        at_hash: "h".repeat(22),
        sid: SessionId(uuid::Uuid::from_u128(2)),
        name: name.clone(),
        preferred_username: name,
        email: Some(format!("{:e<242}@example.com", "e")),
        email_verified: Some(true),
        roles: vec![],
    };
    jwt.sign_id(&id, SigningAlgorithm::RS256, now()).unwrap();
}

#[test]
fn an_over_long_token_and_a_deep_one_are_refused() {
    let mut claims = serde_json::to_value(access()).unwrap();
    claims["x"] = json!("x".repeat(4096));
    assert_eq!(refusal(&signed(&jwt(), &header(&jwt(), "at+jwt"), &claims.to_string())), TokenError::Malformed);
    let nested = "[".repeat(2900);
    assert_eq!(refusal(&signed(&jwt(), &header(&jwt(), "at+jwt"), &nested)), TokenError::Malformed);
}
