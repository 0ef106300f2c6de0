use std::{path::Path, sync::OnceLock};

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    crypto::{
        jose::jwt::*,
        keys::{files, source::KeySource},
    },
    domain::{
        claims::{Audience, LogoutClaims, UserClaims},
        ids::{ClientId, SessionId, UserId},
        scope::Scope,
        status_list::{StatusClaim, StatusPosition},
    },
};

mod edits;
mod lengths;
mod status_lists;
mod verified_before;

const ISSUER: &str = "https://id.example";
const API: &str = "https://api.example";
const ANY: AccessToken = AccessToken { audience: None };
const ES256: KeyKind = KeyKind::Signing(SigningAlgorithm::ES256);

/// One folder with a key of each kind, made once: RSA keys are slow to make.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let kinds = SigningAlgorithm::ALL.map(KeyKind::Signing);
        for kind in kinds.into_iter().chain([KeyKind::RootSecret]) {
            files::create(dir.path(), kind, DateTime::UNIX_EPOCH).unwrap();
        }
        dir
    });
    made.path()
}

fn opened(dir: &Path, algorithm: SigningAlgorithm) -> Jwt {
    let keyring = Keyring::new(KeySource::folder(dir.to_owned()), files::read(dir).unwrap());
    Jwt::new(Arc::new(keyring), ISSUER.to_owned(), algorithm)
}

fn jwt() -> Jwt {
    opened(folder(), SigningAlgorithm::ES256)
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn access() -> AccessClaims {
    AccessClaims {
        iss: ISSUER.into(),
        sub: Uuid::from_u128(7).to_string(),
        aud: Audience::of([API.into(), ISSUER.into()]),
        exp: numeric_date(now()) + 600,
        iat: numeric_date(now()),
        jti: "jti".into(),
        client_id: ClientId::first_party(),
        scope: Scope::parse("openid").unwrap(),
        user: Some(UserClaims {
            sid: SessionId(Uuid::from_u128(9)),
            auth_time: Some(numeric_date(now())),
            amr: vec!["pwd".into()],
            acr: Some("1".to_owned()),
            preferred_username: Some("ada".into()),
            roles: vec![],
            status: Some(StatusClaim::of(ISSUER, StatusPosition { list: 2, index: 7 })),
        }),
    }
}

fn refresh() -> RefreshClaims {
    RefreshClaims {
        iss: ISSUER.into(),
        sub: UserId(Uuid::from_u128(7)),
        aud: Audience::One(format!("{ISSUER}/oauth/token")),
        exp: numeric_date(now()) + 86400,
        iat: numeric_date(now()),
        jti: "jti".into(),
        client_id: ClientId::first_party(),
        sid: SessionId(Uuid::from_u128(9)),
        generation: 1,
    }
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token of any header and payload, truly signed with our own ES256 key: what is refused of these is refused for
/// what it says.
fn signed(jwt: &Jwt, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", base64(header), base64(payload));
    let set = jwt.keyring.current();
    let signature = set.active(SigningAlgorithm::ES256, now()).unwrap().sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64(signature))
}

fn header(jwt: &Jwt, typ: &str) -> String {
    let set = jwt.keyring.current();
    json!({"typ": typ, "alg": "ES256", "kid": set.active(SigningAlgorithm::ES256, now()).unwrap().kid()}).to_string()
}

fn refusal(token: &str) -> TokenError {
    jwt().verify(ANY, token, now()).expect_err(token)
}

/// The refusal of good access claims after `change`.
fn claims_refusal(change: impl FnOnce(&mut Value)) -> TokenError {
    let mut claims = serde_json::to_value(access()).unwrap();
    change(&mut claims);
    refusal(&signed(&jwt(), &header(&jwt(), "at+jwt"), &claims.to_string()))
}

#[test]
fn a_token_that_names_no_algorithm_or_another_than_its_key_is_refused() {
    let payload = serde_json::to_string(&access()).unwrap();
    let header = header(&jwt(), "at+jwt");
    assert_eq!(refusal(&signed(&jwt(), &header.replace("ES256", "none"), &payload)), TokenError::Malformed);
    for other in ["RS256", "EdDSA", "ES384", "HS256", "PS256"] {
        let error = refusal(&signed(&jwt(), &header.replace("ES256", other), &payload));
        assert_eq!(error, TokenError::BadSignature, "{other}");
    }
    for other in ["es256", "", "ES256K"] {
        assert_eq!(refusal(&signed(&jwt(), &header.replace("ES256", other), &payload)), TokenError::Malformed);
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    // The classic: HS256 over the bytes of the published key, in each form that an attacker has it in.
    let (jwt, set) = (jwt(), jwt().keyring.current());
    let key = set.active(SigningAlgorithm::ES256, now()).unwrap();
    let input = format!(
        "{}.{}",
        base64(header(&jwt, "at+jwt").replace("ES256", "HS256")),
        base64(serde_json::to_string(&access()).unwrap())
    );
    let jwk = serde_json::to_string(key.public().jwk()).unwrap();
    for secret in [key.public().verification().1.try_get_as_bytes().unwrap(), jwk.as_bytes(), key.kid().as_bytes()] {
        let secret = jsonwebtoken::EncodingKey::from_secret(secret);
        let signature = crypto::sign(input.as_bytes(), &secret, Algorithm::HS256).unwrap();
        assert_eq!(refusal(&format!("{input}.{signature}")), TokenError::BadSignature);
    }
}

#[test]
fn a_header_that_brings_keys_or_changes_the_meaning_is_refused() {
    let payload = serde_json::to_string(&access()).unwrap();
    let good = header(&jwt(), "at+jwt");
    for member in [
        r#""jku":"https://evil.example/jwks.json""#,
        r#""x5u":"https://evil.example/cert.pem""#,
        r#""jwk":{"kty":"oct","k":"AA"}"#,
        r#""x5c":["AA"]"#,
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""zip":"DEF""#,
        r#""b64":false"#,
        r#""enc":"A128GCM""#,
        r#""alg":"ES256""#,
        r#""typ":"at+jwt""#,
        r#""kid":"x""#,
        r#""\u006bid":"x""#,
    ] {
        let header = good.replacen('{', &format!("{{{member},"), 1);
        assert_eq!(refusal(&signed(&jwt(), &header, &payload)), TokenError::Malformed, "{header}");
    }
    for missing in ["typ", "alg", "kid"] {
        let mut header: Value = serde_json::from_str(&good).unwrap();
        header.as_object_mut().unwrap().remove(missing);
        assert_eq!(refusal(&signed(&jwt(), &header.to_string(), &payload)), TokenError::Malformed, "{missing}");
    }
}

#[test]
fn one_kind_is_never_another() {
    let jwt = jwt();
    let (at, rt) = (jwt.sign_access(&access(), now()).unwrap(), jwt.sign_refresh(&refresh(), now()).unwrap());
    assert_eq!(jwt.verify(RefreshToken, &at, now()), Err(TokenError::WrongKind));
    assert_eq!(jwt.verify(ANY, &rt, now()), Err(TokenError::WrongKind));
    let payload = serde_json::to_string(&access()).unwrap();
    for typ in ["JWT", "", "at+jwt ", "application/application/at+jwt", "logout+jwt", "rt+jwt"] {
        assert_eq!(refusal(&signed(&jwt, &header(&jwt, typ), &payload)), TokenError::WrongKind, "{typ}");
    }
    // Even with the other's type, the key is of the wrong set.
    let crossed = signed(&jwt, &header(&jwt, "rt+jwt"), &serde_json::to_string(&refresh()).unwrap());
    assert_eq!(jwt.verify(RefreshToken, &crossed, now()), Err(TokenError::UnknownKey));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/at+JWT"] {
        assert!(jwt.verify(ANY, &signed(&jwt, &header(&jwt, typ), &payload), now()).is_ok(), "{typ}");
    }
}

/// It says whose session ended, and nobody can log in with it (OIDC Back-Channel Logout 1.0 §2.4, §4).
#[test]
fn a_logout_token_passes_for_no_other() {
    let ended = (SessionId(Uuid::from_u128(9)), UserId(Uuid::from_u128(7)));
    let times = (now(), now() + TimeDelta::minutes(2));
    let claims = LogoutClaims::of(ISSUER, ended, &ClientId::parse("shop").unwrap(), "jti".into(), times);
    for algorithm in [None, Some(SigningAlgorithm::RS256)] {
        let token = jwt().sign_logout(&claims, algorithm, now()).unwrap();
        assert_eq!(refusal(&token), TokenError::WrongKind);
        assert_eq!(jwt().verify(IdTokenOfAnyAge, &token, now()), Err(TokenError::WrongKind));
        assert_eq!(jwt().verify(RefreshToken, &token, now()), Err(TokenError::WrongKind));
        let part = |at| -> Value {
            let part = token.split('.').nth(at).unwrap();
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let algorithm = algorithm.unwrap_or(SigningAlgorithm::ES256).as_str();
        assert_eq!((&part(0)["typ"], &part(0)["alg"]), (&json!("logout+jwt"), &json!(algorithm)));
        let whole = json!({
            "iss": ISSUER,
            "sub": ended.1.to_string(),
            "aud": "shop",
            "iat": numeric_date(now()),
            "exp": numeric_date(now()) + 120,
            "jti": "jti",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sid": ended.0.to_string(),
        });
        assert_eq!(part(1), whole, "and no nonce");
    }
}

#[test]
fn a_key_that_is_not_ours_signs_nothing() {
    let elsewhere = TempDir::new().unwrap();
    for kind in [ES256, KeyKind::RootSecret] {
        files::create(elsewhere.path(), kind, DateTime::UNIX_EPOCH).unwrap();
    }
    let other = opened(elsewhere.path(), SigningAlgorithm::ES256);
    assert_eq!(refusal(&other.sign_access(&access(), now()).unwrap()), TokenError::UnknownKey);
    let rt = other.sign_refresh(&refresh(), now()).unwrap();
    assert_eq!(jwt().verify(RefreshToken, &rt, now()), Err(TokenError::UnknownKey));
    let stolen_name = signed(&other, &header(&jwt(), "at+jwt"), &serde_json::to_string(&access()).unwrap());
    assert_eq!(refusal(&stolen_name), TokenError::BadSignature);
}

#[test]
fn every_claim_is_required_and_of_its_type() {
    for claim in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"] {
        let error = claims_refusal(|claims| drop(claims.as_object_mut().unwrap().remove(claim)));
        assert_eq!(error, TokenError::Malformed, "{claim} missing");
        assert_eq!(claims_refusal(|claims| claims[claim] = Value::Null), TokenError::Malformed, "{claim} null");
    }
    for time in ["exp", "iat", "nbf", "auth_time"] {
        for bad in [
            json!("1728000000"),
            json!(1_728_000_600.5),
            json!(1_728_000_600.0),
            json!([1]),
            json!(u64::MAX),
            Value::Null,
        ] {
            assert_eq!(claims_refusal(|claims| claims[time] = bad.clone()), TokenError::Malformed, "{time} {bad}");
        }
    }
    for (claim, bad) in [
        ("sub", json!("")),
        ("sub", json!(7)),
        ("jti", json!("")),
        ("aud", json!({})),
        ("aud", json!([1])),
        ("sid", json!("no uuid")),
        ("sid", Value::Null),
        ("amr", json!("pwd")),
        ("preferred_username", Value::Null),
        ("roles", json!(["Not A Role"])),
        ("client_id", json!("")),
        ("status", json!({})),
        ("status", json!({"status_list": {"idx": -1, "uri": "https://id.example/oauth/status-lists/0"}})),
        ("status", json!({"status_list": {"idx": 7}})),
    ] {
        assert_eq!(claims_refusal(|claims| claims[claim] = bad.clone()), TokenError::Malformed, "{claim} {bad}");
    }
    let twice = serde_json::to_string(&access()).unwrap();
    for claim in [r#""exp":9999999999"#, r#""aud":"x""#, r#""sid":"00000000-0000-0000-0000-000000000000""#] {
        let payload = twice.replacen('{', &format!("{{{claim},"), 1);
        assert_eq!(refusal(&signed(&jwt(), &header(&jwt(), "at+jwt"), &payload)), TokenError::Malformed, "{claim}");
    }
}

#[test]
fn issuer_audience_and_time_are_judged_to_the_letter() {
    let second = numeric_date(now());
    assert_eq!(claims_refusal(|claims| claims["iss"] = json!("https://id.example/")), TokenError::WrongIssuer);
    assert_eq!(claims_refusal(|claims| claims["aud"] = json!([])), TokenError::WrongAudience);
    assert_eq!(claims_refusal(|claims| claims["exp"] = json!(second)), TokenError::Expired);
    assert_eq!(claims_refusal(|claims| claims["exp"] = json!(i64::MIN)), TokenError::Expired);
    assert_eq!(claims_refusal(|claims| claims["iat"] = json!(second + 31)), TokenError::NotYetValid);
    assert_eq!(claims_refusal(|claims| claims["nbf"] = json!(second + 31)), TokenError::NotYetValid);

    let jwt = jwt();
    let token = jwt.sign_access(&AccessClaims { iat: second + 30, exp: second + 1, ..access() }, now()).unwrap();
    assert!(jwt.verify(ANY, &token, now() + TimeDelta::milliseconds(999)).is_ok());
    assert_eq!(jwt.verify(ANY, &token, now() + TimeDelta::seconds(1)), Err(TokenError::Expired));
    let wanted = |audience| jwt.verify(AccessToken { audience: Some(audience) }, &token, now()).map(drop);
    assert_eq!((wanted(API), wanted(ISSUER)), (Ok(()), Ok(())));
    for other in ["https://api.example/", "https://api", "HTTPS://api.example", ""] {
        assert_eq!(wanted(other), Err(TokenError::WrongAudience), "{other}");
    }
}

#[test]
fn a_refresh_token_is_for_the_token_endpoint_alone() {
    let jwt = jwt();
    let endpoint = format!("{ISSUER}/oauth/token");
    for aud in [
        Audience::One(ISSUER.into()),
        Audience::One(format!("{endpoint}/")),
        Audience::Many(vec![endpoint.clone(), API.into()]),
        Audience::Many(vec![endpoint.clone()]),
        Audience::Many(vec![]),
    ] {
        let token = jwt.sign_refresh(&RefreshClaims { aud: aud.clone(), ..refresh() }, now()).unwrap();
        assert_eq!(jwt.verify(RefreshToken, &token, now()), Err(TokenError::WrongAudience), "{aud:?}");
    }
}

#[test]
fn two_replicas_give_the_same_refresh_token() {
    let (one, other) = (jwt(), opened(folder(), SigningAlgorithm::RS256));
    let token = one.sign_refresh(&refresh(), now()).unwrap();
    assert_eq!(other.sign_refresh(&refresh(), now() + TimeDelta::days(1)).unwrap(), token);
    assert_eq!(other.verify(RefreshToken, &token, now()), Ok(refresh()));
}

#[test]
fn what_is_signed_is_verified_under_every_algorithm_and_by_every_replica() {
    for algorithm in SigningAlgorithm::ALL {
        let token = opened(folder(), algorithm).sign_access(&access(), now()).unwrap();
        assert_eq!(jwt().verify(AccessToken { audience: Some(API) }, &token, now()), Ok(access()), "{algorithm}");
        let client = AccessClaims { user: None, sub: "orders".into(), ..access() };
        let token = opened(folder(), algorithm).sign_access(&client, now()).unwrap();
        assert_eq!(jwt().verify(ANY, &token, now()), Ok(client));
    }
}

#[test]
fn without_keys_nothing_is_signed_or_verified() {
    let token = jwt().sign_access(&access(), now()).unwrap();
    let empty = opened(Path::new("no such folder"), SigningAlgorithm::ES256);
    assert_eq!(empty.sign_access(&access(), now()), Err(SignError::NoKey(ES256)));
    assert_eq!(empty.sign_refresh(&refresh(), now()), Err(SignError::NoKey(KeyKind::RootSecret)));
    assert_eq!(empty.verify(ANY, &token, now()), Err(TokenError::UnknownKey));
}

proptest! {
    #[test]
    fn no_text_makes_verification_panic(text in "\\PC{0,200}|[A-Za-z0-9_.-]{0,300}|(eyJ[A-Za-z0-9_-]{0,60}\\.){0,4}") {
        prop_assert!(jwt().verify(ANY, &text, now()).is_err());
        prop_assert!(jwt().verify(RefreshToken, &text, now()).is_err());
    }

    #[test]
    fn no_json_makes_verification_panic(header in "\\{.{0,80}\\}", payload in "\\{.{0,80}\\}") {
        prop_assert!(jwt().verify(ANY, &signed(&jwt(), &header, &payload), now()).is_err());
    }

    #[test]
    fn no_edit_of_one_character_verifies(
        algorithm in prop::sample::select(SigningAlgorithm::ALL.to_vec()),
        at in any::<prop::sample::Index>(),
        by in "[A-Za-z0-9_.=+/\\x00\n -]",
        of_refresh in any::<bool>(),
    ) {
        let jwt = opened(folder(), algorithm);
        let signed = if of_refresh { jwt.sign_refresh(&refresh(), now()) } else { jwt.sign_access(&access(), now()) };
        let token = signed.unwrap();
        let at = at.index(token.len());
        for end in [at, at + 1] {
            // In the place of a character, or before it; and the character taken away.
            for by in [by.as_str(), ""] {
                let edited = format!("{}{by}{}", &token[..at], &token[end..]);
                if edited != token {
                    prop_assert!(jwt.verify(ANY, &edited, now()).is_err(), "{edited}");
                    prop_assert!(jwt.verify(RefreshToken, &edited, now()).is_err(), "{edited}");
                }
            }
        }
    }
}

#[test]
fn the_unused_bits_of_the_last_character_count() {
    // 64 and 32 bytes leave bits unused: the same bytes must not have another text.
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let jwt = jwt();
    for token in [jwt.sign_access(&access(), now()).unwrap(), jwt.sign_refresh(&refresh(), now()).unwrap()] {
        let (start, last) = token.split_at(token.len() - 1);
        for other in ALPHABET.iter().map(|&byte| char::from(byte).to_string()).filter(|other| other != last) {
            let edited = format!("{start}{other}");
            assert!(jwt.verify(ANY, &edited, now()).is_err() && jwt.verify(RefreshToken, &edited, now()).is_err());
        }
    }
}
