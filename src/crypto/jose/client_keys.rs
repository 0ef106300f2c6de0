//! A client's own public keys (RFC 7591 §2, `jwks`): the JWK set of its registration, by value.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

/// The longest set, in bytes.
const MAX_LENGTH: usize = 16 * 1024;
/// The most usable keys in a set: each may cost one verification.
const MAX_KEYS: usize = 8;
/// The bounds of an RSA modulus in bits (RFC 7518 §3.3). Verification with a longer one would cost too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The members of private and symmetric keys (RFC 7518 §6, RFC 8037 §2).
const PRIVATE: [&str; 8] = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];

/// Public keys, each with its one algorithm.
pub struct ClientKeys(Vec<ClientKey>);

struct ClientKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why a JWK set cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotClientKeys {
    /// No JSON object with an array `keys` (RFC 7517 §5), or too long.
    #[error("is no JWK set of at most {MAX_LENGTH} bytes: an object with an array \"keys\"")]
    NotASet,
    /// No key, or too many that can be used.
    #[error("has no key, or more than {MAX_KEYS} that can be used")]
    Count,
    /// A private or a symmetric key.
    #[error("holds private or secret keys: give the public ones alone")]
    Private,
    /// Only keys of unsupported kinds, or broken ones.
    #[error(
        "has no public key for signatures that can be used: P-256 (ES256), Ed25519 (EdDSA), or RSA of 2048 to 8192 bits \
         (RS256, or PS256 where its alg says so)"
    )]
    Unusable,
    /// Two keys with the same `kid`.
    #[error("has two keys of one kid")]
    Repeated,
}

impl ClientKeys {
    /// Parses a JWK set. The type of each key decides its algorithm. An RSA key is for RS256, unless its own `alg` says
    /// PS256 (RFC 8725 §3.1: the key decides, never the token). Keys and members that are not understood are passed over
    /// (RFC 7517 §4, §5): `x5u` is not fetched, and of `x5c` nothing is believed.
    ///
    /// # Errors
    /// [`NotClientKeys`].
    pub fn parse(text: &str) -> Result<Self, NotClientKeys> {
        let set: Value =
            serde_json::from_str(text).ok().filter(|_| text.len() <= MAX_LENGTH).ok_or(NotClientKeys::NotASet)?;
        let keys = set["keys"].as_array().ok_or(NotClientKeys::NotASet)?;
        if keys.is_empty() {
            return Err(NotClientKeys::Count);
        }
        if keys.iter().any(|key| PRIVATE.iter().any(|member| key.get(member).is_some())) {
            return Err(NotClientKeys::Private);
        }
        let mut read: Vec<ClientKey> = Vec::new();
        for key in keys.iter().filter_map(client_key) {
            if key.kid.is_some() && read.iter().any(|other| other.kid == key.kid) {
                return Err(NotClientKeys::Repeated);
            }
            if read.len() == MAX_KEYS {
                return Err(NotClientKeys::Count);
            }
            read.push(key);
        }
        if read.is_empty() { Err(NotClientKeys::Unusable) } else { Ok(Self(read)) }
    }

    /// The keys that may have made a signature under `kid`, each with its algorithm; all keys if `kid` is `None`. A key
    /// without a `kid` always may.
    pub(in crate::crypto) fn named(&self, kid: Option<&str>) -> impl Iterator<Item = (Algorithm, &DecodingKey)> {
        let meant = move |key: &&ClientKey| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        self.0.iter().filter(meant).map(|key| (key.algorithm, &key.key))
    }
}

fn client_key(key: &Value) -> Option<ClientKey> {
    let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
    let common = &jwk.common;
    let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !verifies || common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            let (x, y) = (bytes(&point.x)?, bytes(&point.y)?);
            // An uncompressed point (SEC 1 §2.3.3); parsing checks that it is on the curve.
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], &x, &y].concat()).ok()?;
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(point) if point.curve == EllipticCurve::Ed25519 => {
            ParsedPublicKey::new(&ED25519, bytes(&point.x)?).ok()?;
            Algorithm::EdDSA
        }
        AlgorithmParameters::RSA(numbers) => {
            let (n, e) = (bytes(&numbers.n)?, bytes(&numbers.e)?);
            let unused = n.first()?.leading_zeros() as usize;
            let odd = e.last().is_some_and(|last| last % 2 == 1);
            if !RSA_BITS.contains(&(n.len() * 8 - unused)) || !odd || e == [1] || e.len() > 8 {
                return None;
            }
            if common.key_algorithm == Some(KeyAlgorithm::PS256) { Algorithm::PS256 } else { Algorithm::RS256 }
        }
        _ => return None,
    };
    if common.key_algorithm.is_some_and(|named| named != KeyAlgorithm::from(algorithm)) {
        return None;
    }
    Some(ClientKey { kid: common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::client_assertion::ALGORITHMS;

    /// The public keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2.
    fn p256() -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "kid": "1",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        })
    }

    fn rsa() -> Value {
        json!({
            "kty": "RSA", "kid": "2", "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB\
                  ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJ\
                  ZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBni\
                  Iqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        })
    }

    fn ed25519() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "3", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
        key[name] = value.into();
        key
    }

    fn parse(keys: &[Value]) -> Result<ClientKeys, NotClientKeys> {
        ClientKeys::parse(&json!({ "keys": keys }).to_string())
    }

    #[test]
    fn each_key_says_its_one_algorithm() {
        let ps256 = with(with(rsa(), "alg", "PS256"), "kid", "4");
        let keys = parse(&[p256(), ed25519(), rsa(), ps256]).unwrap_or_else(|why| panic!("{why}"));
        let algorithms: Vec<_> = keys.named(None).map(|(algorithm, _)| format!("{algorithm:?}")).collect();
        assert_eq!(algorithms, ALGORITHMS);
        assert_eq!(keys.named(Some("3")).map(|(algorithm, _)| algorithm).collect::<Vec<_>>(), [Algorithm::EdDSA]);
        assert_eq!(keys.named(Some("5")).count(), 0);
    }

    #[test]
    fn what_is_no_set_of_public_keys_is_refused() {
        let refused = |text: &str| ClientKeys::parse(text).err();
        for text in ["", "[]", "{}", "null", r#"{"keys":{}}"#, &p256().to_string(), &" ".repeat(MAX_LENGTH + 1)] {
            assert_eq!(refused(text), Some(NotClientKeys::NotASet), "{text}");
        }
        assert_eq!(parse(&[]).err(), Some(NotClientKeys::Count));
        let numbered = |n: usize| with(p256(), "kid", n.to_string());
        let most: Vec<Value> = (0..=MAX_KEYS).map(numbered).collect();
        assert_eq!(parse(&most).err(), Some(NotClientKeys::Count));
        assert!(parse(&most[1..]).is_ok());
        assert_eq!(parse(&[p256(), p256()]).err(), Some(NotClientKeys::Repeated));
        for member in PRIVATE {
            assert_eq!(parse(&[with(rsa(), member, "AQ")]).err(), Some(NotClientKeys::Private), "{member}");
            assert_eq!(parse(&[with(rsa(), member, Value::Null)]).err(), Some(NotClientKeys::Private), "{member}");
        }
    }

    #[test]
    fn a_key_that_could_not_verify_or_may_not_is_passed_over() {
        for bad in [
            json!("key"),
            json!({"kty": "oct"}),
            json!({"kty": "AKP"}),
            with(p256(), "alg", "RS256"),
            with(p256(), "alg", "HS256"),
            with(p256(), "alg", "none"),
            with(p256(), "crv", "P-384"),
            with(p256(), "crv", "secp256k1"),
            with(p256(), "x", "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D5"), // unused bits
            with(p256(), "x", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"), // not on the curve
            with(p256(), "y", ""),
            with(p256(), "use", "enc"),
            with(p256(), "key_ops", json!(["encrypt"])),
            with(ed25519(), "crv", "X25519"),
            with(ed25519(), "x", "11qY"),
            with(rsa(), "n", "0vx7agoebGcQSuuPiLJXZptN9nndrQmb"), // 192 bits
            with(rsa(), "e", "AQ"),
            with(rsa(), "e", "Ag"),
            with(rsa(), "e", ""),
            with(rsa(), "n", ""),
            with(rsa(), "alg", "RS512"),
            with(rsa(), "alg", "RSA-OAEP"),
        ] {
            assert_eq!(parse(std::slice::from_ref(&bad)).err(), Some(NotClientKeys::Unusable), "{bad}");
            let set = parse(&[ed25519(), bad.clone()]).unwrap_or_else(|why| panic!("{bad}: {why}"));
            let algorithms: Vec<_> = set.named(None).map(|(algorithm, _)| algorithm).collect();
            assert_eq!(algorithms, [Algorithm::EdDSA], "{bad}");
        }
    }

    #[test]
    fn keys_that_are_passed_over_do_not_count() {
        for other in [json!({"kty": "AKP", "alg": "ML-DSA-65"}), json!({}), json!(7), with(ed25519(), "use", "enc")] {
            let mut keys = vec![other.clone(); 100];
            keys.push(p256());
            let set = parse(&keys).unwrap_or_else(|why| panic!("{other}: {why}"));
            assert_eq!(set.named(None).count(), 1, "{other}");
            keys.extend((0..MAX_KEYS).map(|n| with(p256(), "kid", format!("more {n}"))));
            assert_eq!(parse(&keys).err(), Some(NotClientKeys::Count), "{other}");
        }
    }

    #[test]
    fn members_that_are_not_understood_change_nothing() {
        let key = with(with(p256(), "x5c", json!(["MIIB"])), "x5u", "https://keys.example");
        let set = parse(&[with(key, "x-vendor", json!({}))]).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(set.named(Some("1")).map(|(algorithm, _)| algorithm).collect::<Vec<_>>(), [Algorithm::ES256]);
    }
}
