//! The issuer's public keys: a JWK set (RFC 7517 §5).

use std::{fmt, sync::Arc};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    crypto::aws_lc,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// A public key, and the one algorithm that it is for.
pub(crate) struct Key {
    kid: String,
    algorithm: Algorithm,
    public: DecodingKey,
}

impl Key {
    /// A key of the set, where it is one that access tokens may be signed with: with a `kid`, not for encryption, for
    /// ES256, EdDSA (Ed25519) or RS256. `None` for any other; a symmetric one (`oct`) is among those.
    fn of(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            _ => return None,
        };
        if jwk.common.key_algorithm.is_some_and(|algorithm| algorithm != named) {
            return None;
        }
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { kid: jwk.common.key_id.filter(|kid| !kid.is_empty())?, algorithm, public })
    }

    /// The algorithm as `alg` writes it (RFC 7518 §3.1, RFC 8037 §3.1).
    pub(crate) fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
            _ => "RS256",
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        // Not the library's process-wide provider: a service may have another one installed, or two compiled in.
        (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.public)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm_name(), self.kid)
    }
}

/// The keys that can be used, of those that the issuer publishes.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Arc<Key>>,
    /// The document's entity tag (RFC 9110 §8.8.3), to ask whether it has changed.
    pub(crate) etag: Option<String>,
}

impl KeySet {
    /// Reads a JWK set. Keys of other kinds are passed over, as RFC 7517 §5 says.
    ///
    /// # Errors
    /// Says what is wrong where it is no JWK set, or has no key that can be used: an issuer without keys is a broken
    /// one, and the copy that we have is better than that.
    pub(crate) fn parse(document: &[u8], etag: Option<String>) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<Value>,
        }
        let Keys { keys } = serde_json::from_slice(document).map_err(|_| "not a JWK set")?;
        let keys: Vec<_> = keys.into_iter().filter_map(Key::of).map(Arc::new).collect();
        if keys.is_empty() { Err("a JWK set without a key that can be used") } else { Ok(Self { keys, etag }) }
    }

    /// The key of this `kid`.
    pub(crate) fn find(&self, kid: &str) -> Option<Arc<Key>> {
        self.keys.iter().find(|key| key.kid == kid).map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

    fn parse(keys: &Value) -> Result<KeySet, &'static str> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), None)
    }

    #[test]
    fn keys_that_are_not_for_access_tokens_are_passed_over() {
        let good = json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "good"});
        let set = parse(&json!([
            {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric", "alg": "HS256"},
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "for-encryption", "use": "enc"},
            {"kty": "EC", "crv": "P-384", "x": X, "y": Y, "kid": "another-curve"},
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "another-algorithm", "alg": "HS256"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "pss", "alg": "PS256"},
            {"kty": "EC", "crv": "P-256", "x": X, "y": Y},
            {"kty": "of-the-future", "kid": "unknown"},
            "not even an object",
            good,
        ]))
        .unwrap();
        assert_eq!(format!("{:?}", set.keys), "[ES256 good]");
        assert!(set.find("symmetric").is_none() && set.find("").is_none());
    }

    #[test]
    fn a_set_without_a_usable_key_is_none() {
        assert!(parse(&json!([])).is_err());
        assert!(parse(&json!([{"kty": "oct", "k": "c2VjcmV0", "kid": "k"}])).is_err());
        assert!(KeySet::parse(b"<html>", None).is_err());
    }
}
