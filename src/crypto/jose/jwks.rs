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

/// The public halves of all signing keys that are published at `now`, newest last.
///
/// A key whose file name gives a later time is left out until then, unless it signs already as the first of its
/// algorithm: a replica's clock may be a second behind the one that made the key. Root secrets are never included.
///
/// # Panics
/// Never: lists and strings always serialize.
#[must_use]
pub fn document(set: &KeySet, now: DateTime<Utc>) -> JwkSetDocument {
    let signs = |kid, algorithm| set.active(algorithm, now).is_some_and(|active| active.kid() == kid);
    let published = set.signing_keys().iter().filter(|key| key.published() <= now || signs(key.kid(), key.algorithm()));
    let keys = JwkSet { keys: published.map(|key| key.jwk().clone()).collect() };
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
        crypto::keys::{folder::Listing, root_secret::RootSecret, signing_key::SigningKey},
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
        let set = KeySet::new(signing, vec![RootSecret::new(&[1; 32], now)], Listing::default());
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
            assert!(set.find(jwk["kid"].as_str().unwrap()).is_some());
        }
    }

    #[test]
    fn the_tag_follows_the_keys_and_nothing_else() {
        let at = |minutes| DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes);
        let set = KeySet::new(
            vec![key(SigningAlgorithm::ES256, at(0)), key(SigningAlgorithm::ES256, at(60))],
            vec![],
            Listing::default(),
        );
        let (first, later) = (document(&set, at(1)), document(&set, at(60)));
        assert_eq!(first, document(&set, at(59)));
        assert_ne!(first.etag, later.etag);
        assert_eq!((keys(&first).len(), keys(&later).len()), (1, 2), "a key is shown from its publication on");
        assert!(later.etag.starts_with('"') && later.etag.ends_with('"') && later.etag.len() == 45);
    }

    #[test]
    fn a_first_key_that_signs_is_shown_even_by_a_clock_that_is_behind() {
        let published = DateTime::UNIX_EPOCH + TimeDelta::seconds(1);
        let set = KeySet::new(vec![key(SigningAlgorithm::EdDSA, published)], vec![], Listing::default());
        assert_eq!(keys(&document(&set, DateTime::UNIX_EPOCH)).len(), 1);
        assert_eq!(document(&KeySet::default(), published).body, r#"{"keys":[]}"#);
    }
}
