//! The published keys: a JWK set (RFC 7517 §5).

use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::JwkSet;

use crate::crypto::{digest, keys::set::KeySet};

/// The JWK set as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwkSetDocument {
    /// The JSON.
    pub body: String,
    /// The strong entity tag (RFC 9110 §8.8.3), in quotes; equal on every replica with the same keys.
    pub etag: String,
}

/// The public halves of the signing keys that tokens may be under at `now`, newest last.
///
/// A key is shown from the moment that it is there, whatever time its file name gives. A clock that is set back, or behind,
/// must not hide a key that has signed; and a key that is shown too early harms nobody. Root secrets are never included.
///
/// # Panics
/// Never: lists and strings always serialize.
#[must_use]
pub fn document(set: &KeySet, now: DateTime<Utc>) -> JwkSetDocument {
    let keys = JwkSet { keys: set.shown(now).map(|held| held.key.public().jwk().clone()).collect() };
    let body = serde_json::to_string(&keys).expect("a JWK set is made of strings");
    let etag = digest::entity_tag(&body);
    JwkSetDocument { body, etag }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::Value;

    use super::*;
    use crate::{
        crypto::keys::{root_secret::RootSecret, signing_key::SigningKey},
        domain::signing_key::SigningAlgorithm,
    };

    fn key(algorithm: SigningAlgorithm, published: DateTime<Utc>) -> SigningKey {
        SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap(), published).unwrap()
    }

    fn keys(document: &JwkSetDocument) -> Vec<Value> {
        let body: Value = serde_json::from_str(&document.body).unwrap();
        body["keys"].as_array().unwrap().clone()
    }

    #[test]
    fn no_private_member_is_ever_shown() {
        let now = DateTime::UNIX_EPOCH;
        let signing = SigningAlgorithm::ALL.map(|algorithm| key(algorithm, now)).into();
        let set = KeySet::of(signing, vec![RootSecret::new(&[1; 32], now)]);
        let shown = keys(&document(&set, now));
        assert_eq!(shown.len(), 3);
        for jwk in shown {
            let mut members: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            // RFC 7518 §6 and RFC 8037 §2: none of d, p, q, dp, dq, qi, oth and k.
            let expected: &[&str] = match jwk["kty"].as_str().unwrap() {
                "EC" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
                "OKP" => &["alg", "crv", "kid", "kty", "use", "x"],
                _ => &["alg", "e", "kid", "kty", "n", "use"],
            };
            assert_eq!(members, expected);
            assert_eq!(jwk["use"], "sig");
            assert!(set.find(jwk["kid"].as_str().unwrap(), now).is_some());
        }
    }

    #[test]
    fn the_tag_follows_the_keys_and_nothing_else() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let files = [(); 2].map(|()| SigningKey::generate(SigningAlgorithm::ES256).unwrap());
        let of = |count: usize| {
            let keys = files.iter().zip([0, 60]).take(count);
            let keys = keys.map(|(file, minutes)| SigningKey::from_pkcs8(file, at(minutes)).unwrap()).collect();
            document(&KeySet::of(keys, vec![]), at(60))
        };
        let (first, later) = (of(1), of(2));
        assert_eq!(first, of(1));
        assert_ne!(first.etag, later.etag);
        assert_eq!((keys(&first).len(), keys(&later).len()), (1, 2));
        assert!(later.etag.starts_with('"') && later.etag.ends_with('"') && later.etag.len() == 45);
    }

    #[test]
    fn a_set_without_keys_is_one() {
        assert_eq!(document(&KeySet::default(), DateTime::UNIX_EPOCH).body, r#"{"keys":[]}"#);
    }
}
