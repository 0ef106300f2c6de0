//! Client assertions (RFC 7523 §3), verified with the client's own keys.

use std::collections::BTreeMap;

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    crypto::jose::{
        client_keys::ClientKeys,
        jws::{self, Jws},
    },
    domain::{client_assertion::AssertionClaims, ids::ClientId},
};

/// The protected header, as far as we read it. Other libraries write it, so unknown members are ignored (RFC 7515 §4),
/// unlike in our own tokens. Members that bring keys or change how the rest is read are refused.
#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    /// The other members, by name.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Members that must be absent, whatever their value: keys that the assertion brings itself (RFC 8725 §3.10), and rules
/// that change how it is read. `x5c` is not among them: certificates are never read, and libraries that keep their key
/// in a certificate always send them.
const REFUSED: [&str; 7] = ["jwk", "jku", "x5u", "crit", "b64", "zip", "enc"];

/// The accepted `typ`: none, `JWT`, or its own (draft-ietf-oauth-rfc7523bis §4). Never the type of another JWT that the
/// same key might sign (RFC 8725 §3.11).
const TYPES: [&str; 2] = ["JWT", "client-authentication+jwt"];

/// A parsed assertion, not verified yet.
pub struct Unverified<'a> {
    jws: Jws<'a, Header>,
    claims: AssertionClaims,
}

impl<'a> Unverified<'a> {
    /// Parses an assertion of at most 4096 bytes. `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let jws: Jws<'a, Header> = Jws::parse(text, jws::MAX_LENGTH)?;
        let plain = !REFUSED.iter().any(|name| jws.header.others.contains_key(*name));
        let typed = jws.header.typ.as_deref().is_none_or(|typ| TYPES.iter().any(|own| own.eq_ignore_ascii_case(typ)));
        let claims = serde_json::from_slice(&jws.payload).ok()?;
        (plain && typed).then_some(Self { jws, claims })
    }

    /// The client whose keys must verify it, by its own word. Nothing else of it is trusted yet.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.claims.sub
    }

    /// The claims, if one of `keys` signed it with that key's own algorithm.
    #[must_use]
    pub fn verified_by(self, keys: &ClientKeys) -> Option<AssertionClaims> {
        let Header { alg, kid, .. } = &self.jws.header;
        let signed = keys
            .named(kid.as_deref())
            .any(|(algorithm, key)| *alg == algorithm && self.jws.has_signature_of(algorithm, key));
        signed.then_some(self.claims)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn key() -> (Ed25519KeyPair, ClientKeys) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
        (pair, ClientKeys::parse(&keys.to_string()).unwrap_or_else(|why| panic!("{why}")))
    }

    fn signed(pair: &Ed25519KeyPair, header: &str) -> String {
        let claims = json!({"iss": "app", "sub": "app", "aud": "us", "exp": 1, "jti": "j"}).to_string();
        let input =
            format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims.as_bytes()));
        format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(pair.sign(input.as_bytes())))
    }

    fn verified(header: &str) -> bool {
        let (pair, keys) = key();
        let text = signed(&pair, header);
        Unverified::parse(&text).is_some_and(|read| read.verified_by(&keys).is_some())
    }

    #[test]
    fn what_other_libraries_write_is_read() {
        for header in [
            json!({"alg": "EdDSA"}),
            json!({"alg": "EdDSA", "typ": "JWT"}),
            json!({"alg": "EdDSA", "typ": "client-authentication+jwt", "kid": "k"}),
            json!({"alg": "EdDSA", "kid": "k", "x5t": "abc", "cty": "x"}),
            json!({"alg": "EdDSA", "x5c": ["MIIB"], "x5t#S256": "abc"}),
            json!({"alg": "EdDSA", "x5c": []}),
        ] {
            assert!(verified(&header.to_string()), "{header}");
        }
    }

    #[test]
    fn a_header_that_brings_keys_or_rules_is_refused() {
        for (name, value) in [
            ("jwk", json!({"kty": "OKP"})),
            ("jku", json!("https://evil.example")),
            ("x5u", json!("https://evil.example")),
            ("crit", json!([])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A128GCM")),
            ("jwk", Value::Null),
            ("kid", json!("other")),
            ("typ", json!("at+jwt")),
            ("typ", json!("logout+jwt")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
        ] {
            let mut header = json!({"alg": "EdDSA"});
            header[name] = value;
            assert!(!verified(&header.to_string()), "{header}");
        }
        assert!(!verified(r#"{"alg":"EdDSA","alg":"EdDSA"}"#));
        assert!(!verified("[]"));
    }

    proptest! {
        #[test]
        fn no_edit_of_it_is_verified(at in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.=-]") {
            let (pair, keys) = key();
            let text = signed(&pair, r#"{"alg":"EdDSA"}"#);
            let at = at.index(text.len());
            let mut edited = text.clone();
            edited.replace_range(at..=at, &letter);
            let good = Unverified::parse(&edited).is_some_and(|read| read.verified_by(&keys).is_some());
            prop_assert_eq!(good, edited == text);
        }
    }
}
