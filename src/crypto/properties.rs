//! Properties of tokens: what holds for any bytes. The saved corpus and the fuzzers share them.
//!
//! Keys and clock are fixed, so that a saved token stays what it was: genuine, or nearly.

use std::{
    fmt::Debug,
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, crypto};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    crypto::{
        jose::jwt::{AccessToken, Jwt, RefreshToken, RefreshTokenOfAnyAge, TokenError},
        keys::{ring::Keyring, root_secret::RootSecret, set::KeySet, signing_key::SigningKey, source::KeySource},
    },
    domain::{
        claims::{AccessClaims, Audience, RefreshClaims, UserClaims, numeric_date},
        ids::{ClientId, SessionId, UserId},
        scope::Scope,
        signing_key::SigningAlgorithm,
        status_list::{StatusClaim, StatusListClaims, StatusPosition},
    },
};

const ISSUER: &str = "https://id.example";
const API: &str = "https://api.example";

/// PKCS#8 (RFC 5208) of an Ed25519 and of a P-256 key (RFC 8410 §7, RFC 5915), up to the 32 secret bytes at the end.
const ED25519: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const P256: &[u8] =
    b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\
\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";

/// The signer and verifier, and everything that was ever signed.
struct Fixture {
    keyring: Arc<Keyring>,
    /// Signs with ES256.
    jwt: Jwt,
    /// One of each kind.
    genuine: Vec<String>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(Fixture::open);

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

impl Fixture {
    fn open() -> Self {
        let key = |prefix: &[u8], secret| {
            SigningKey::from_pkcs8(&[prefix, &[secret; 32]].concat(), DateTime::UNIX_EPOCH).expect("a private key")
        };
        let root = RootSecret::new(&[7; 32], DateTime::UNIX_EPOCH);
        let set = KeySet::of(vec![key(P256, 1), key(ED25519, 2)], vec![root]);
        let keyring = Arc::new(Keyring::new(KeySource::folder(PathBuf::new()), set));
        let signer = |algorithm| Jwt::new(Arc::clone(&keyring), ISSUER.to_owned(), algorithm);
        let (es256, eddsa) = (signer(SigningAlgorithm::ES256), signer(SigningAlgorithm::EdDSA));
        let of_client = AccessClaims { user: None, sub: "orders".to_owned(), ..access() };
        let list = StatusListClaims::of(ISSUER, 2, super::status_list::encode(vec![1 << 7]), second(), second() + 300);
        let genuine = [
            es256.sign_access(&access(), now()),
            eddsa.sign_access(&access(), now()),
            es256.sign_access(&of_client, now()),
            es256.sign_refresh(&refresh(), now()),
            es256.sign_refresh(&RefreshClaims { exp: second() - 1, ..refresh() }, now()),
            es256.sign_status_list(&list, now()),
        ];
        Self { keyring, jwt: es256, genuine: genuine.into_iter().collect::<Result<_, _>>().expect("signed") }
    }

    /// What each kind makes of `text`, as JSON without what its type does not keep.
    fn verify(&self, text: &str) -> [Result<Value, TokenError>; 5] {
        fn shown(claims: impl serde::Serialize) -> Value {
            serde_json::to_value(claims).expect("claims are JSON")
        }
        let Self { jwt, .. } = self;
        [
            jwt.verify(AccessToken { audience: None }, text, now()).map(shown),
            jwt.verify(AccessToken { audience: Some(API) }, text, now()).map(shown),
            jwt.verify(AccessToken { audience: Some("https://other.example") }, text, now()).map(shown),
            jwt.verify(RefreshToken, text, now()).map(shown),
            jwt.verify(RefreshTokenOfAnyAge, text, now()).map(shown),
        ]
    }

    /// A token of any header and payload, truly signed: with the root secret where the header speaks of HS256, with
    /// the Ed25519 key where it speaks of EdDSA, else with the P-256 key.
    fn signed(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(payload));
        let speaks_of = |alg: &str| header.windows(alg.len()).any(|window| window == alg.as_bytes());
        let set = self.keyring.current();
        let with = |algorithm| {
            let key = set.active(algorithm, now()).expect("a key");
            BASE64_URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).expect("signed"))
        };
        let signature = if speaks_of("HS256") {
            let root = set.active_root_secret(now()).expect("a root secret");
            crypto::sign(input.as_bytes(), root.refresh_signing(), Algorithm::HS256).expect("signed")
        } else if speaks_of("EdDSA") {
            with(SigningAlgorithm::EdDSA)
        } else {
            with(SigningAlgorithm::ES256)
        };
        format!("{input}.{signature}")
    }
}

fn second() -> i64 {
    numeric_date(now())
}

fn access() -> AccessClaims {
    AccessClaims {
        iss: ISSUER.to_owned(),
        sub: Uuid::from_u128(7).to_string(),
        aud: Audience::of([API.to_owned(), ISSUER.to_owned()]),
        exp: second() + 600,
        iat: second(),
        jti: "jti".to_owned(),
        client_id: ClientId::first_party(),
        scope: Scope::parse("openid").expect("a scope"),
        user: Some(UserClaims {
            sid: SessionId(Uuid::from_u128(9)),
            auth_time: Some(second()),
            amr: vec!["pwd".to_owned()],
            // The saved corpus has tokens of a version without it.
            acr: None,
            preferred_username: Some("ada".to_owned()),
            roles: vec![],
            status: Some(StatusClaim::of(ISSUER, StatusPosition { list: 2, index: 7 })),
        }),
    }
}

fn refresh() -> RefreshClaims {
    RefreshClaims {
        iss: ISSUER.to_owned(),
        sub: UserId(Uuid::from_u128(7)),
        aud: Audience::One(format!("{ISSUER}/oauth/token")),
        exp: second() + 86_400,
        iat: second(),
        jti: "jti".to_owned(),
        client_id: ClientId::first_party(),
        sid: SessionId(Uuid::from_u128(9)),
        generation: 1,
    }
}

/// A text verifies as no kind of token, unless what it signs is what was signed, byte for byte; and never as two kinds.
pub fn token(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let fixture = &*FIXTURE;
    let verified = fixture.verify(text);
    let [access, for_api, for_other, refresh, of_any_age] = verified.each_ref().map(Result::is_ok);
    assert!(!for_other, "for an audience that nobody named: {text}");
    assert!(access || !for_api, "only for one audience: {text}");
    assert!(of_any_age || !refresh, "only while it lives: {text}");
    assert!(!(access && of_any_age), "of two kinds: {text}");
    if access || of_any_age {
        let (signed, signature) = text.rsplit_once('.').expect("a token has parts");
        // ECDSA gives another signature each time; yet each has one text, and so has the token.
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url without padding");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(bytes), signature, "an alias: {text}");
        let is_that = |genuine: &String| genuine.rsplit_once('.').is_some_and(|(genuine, _)| genuine == signed);
        assert!(fixture.genuine.iter().any(is_that), "forged: {text}");
    }
}

/// A header and claims that we signed ourselves are accepted only where they keep every rule of their kind.
///
/// `data` has the header on its first line, and the claims after it; without a line feed it is all claims.
pub fn claims(data: &[u8]) {
    let fixture = &*FIXTURE;
    let set = fixture.keyring.current();
    let (header, payload) = if let Some(at) = data.iter().position(|byte| *byte == b'\n') {
        (data[..at].to_vec(), &data[at + 1..])
    } else {
        let kid = set.active(SigningAlgorithm::ES256, now()).map(SigningKey::kid).expect("a key");
        (format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{kid}"}}"#).into_bytes(), data)
    };
    let text = fixture.signed(&header, payload);
    let [access, for_api, for_other, refresh, of_any_age] = fixture.verify(&text);
    assert!(access.is_err() || of_any_age.is_err(), "of two kinds: {text}");
    // What of a payload is ignored may be JSON that this reader knows no value for.
    let said = serde_json::from_slice::<Value>(payload).ok();
    if let Ok(claims) = access {
        let kept: AccessClaims = reads_the_same(&header, said.as_ref(), &claims, "at+jwt", true);
        assert!(!kept.sub.is_empty() && !kept.aud.is_empty(), "{text}");
        assert_eq!(for_api.is_ok(), kept.aud.contains(API), "{text}");
        assert_eq!(for_other.is_ok(), kept.aud.contains("https://other.example"), "{text}");
        let of_user = said.as_ref().map(|said| said.get("sid").is_some());
        assert!(of_user.is_none_or(|of_user| kept.user.is_some() == of_user), "a session that was not read: {text}");
    }
    if let Ok(claims) = of_any_age {
        let kept: RefreshClaims = reads_the_same(&header, said.as_ref(), &claims, "rt+jwt", false);
        assert_eq!(kept.aud, Audience::One(format!("{ISSUER}/oauth/token")), "{text}");
        assert_eq!(refresh.is_ok(), kept.exp > second(), "{text}");
    }
}

/// Checks what every kind wants, and gives the claims as another reader of the same JSON finds them.
fn reads_the_same<C: DeserializeOwned + Debug>(
    header: &[u8],
    said: Option<&Value>,
    claims: &Value,
    typ: &str,
    ends: bool,
) -> C {
    let header: Value = serde_json::from_slice(header).expect("the header was read");
    let members: Vec<_> = header.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["alg", "kid", "typ"]);
    let given = header["typ"].as_str().expect("text").to_ascii_lowercase();
    assert_eq!(given.strip_prefix("application/").unwrap_or(&given), typ);

    assert_eq!(claims["iss"], ISSUER);
    assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()), "{claims}");
    assert!(!ends || claims["exp"].as_i64().is_some_and(|exp| exp > second()), "{claims}");
    assert!(claims["iat"].as_i64().is_some_and(|iat| iat <= second() + 30), "{claims}");
    let read = |value: &Value| serde_json::from_value::<C>(value.clone()).expect("claims are read again");
    if let Some(said) = said {
        let nbf = said.get("nbf");
        assert!(nbf.is_none_or(|nbf| nbf.as_i64().is_some_and(|nbf| nbf <= second() + 30)), "{said}");
        // A member given twice would be read as its last value here.
        assert_eq!(format!("{:?}", read(said)), format!("{:?}", read(claims)));
    }
    read(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_genuine_tokens_are_what_they_are_called() {
        let accepted = FIXTURE.genuine.iter().map(|token| FIXTURE.verify(token).map(|verified| verified.is_ok()));
        let expected = [
            [true, true, false, false, false],
            [true, true, false, false, false],
            [true, true, false, false, false],
            [false, false, false, true, true],
            [false, false, false, false, true],
            [false; 5],
        ];
        assert_eq!(accepted.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_saved_tokens_that_are_called_genuine_still_are() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/token");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let genuine: Vec<_> =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("genuine")).collect();
        assert_eq!(genuine.len(), 5);
        for entry in genuine {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            assert!(FIXTURE.verify(&text).iter().any(Result::is_ok), "{}", entry.path().display());
        }
    }
}
