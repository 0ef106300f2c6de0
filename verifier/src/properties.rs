//! Properties of verification: what holds for any bytes. The saved corpus and the fuzzers share them.
//!
//! The key and the clock are fixed, so that a saved token stays what it was: genuine, or nearly.
#![expect(clippy::missing_panics_doc, reason = "a broken property panics, and nothing else does")]

use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc};
use serde_json::Value;

use crate::{
    Claims, Clock, Distrust, Verifier, VerifyError,
    claims::MAX_SKEW,
    jwks::KeySet,
    status_list::{MAX_STATUS_LIST_TOKEN, StatusList},
};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";
const LIST: &str = "https://id.example/oauth/status-lists/1";
const NOW: i64 = 1_728_000_000;

/// The key of RFC 8037 appendix A.1: in PKCS#8 (RFC 8410 §7), and as it is published.
const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\
\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\
\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// The header and claims of what was signed; the places 0 and 3 of the list are revoked (draft §4.1).
const GENUINE: [(&str, &str); 2] = [
    (
        r#"{"typ":"at+jwt","alg":"EdDSA","kid":"k"}"#,
        concat!(
            r#"{"iss":"https://id.example","sub":"u","aud":["https://api.example"],"exp":1728000600,"iat":1728000000,"#,
            r#""jti":"j","client_id":"c","scope":"openid","sid":"s","#,
            r#""status":{"status_list":{"idx":1,"uri":"https://id.example/oauth/status-lists/1"}}}"#,
        ),
    ),
    (
        r#"{"typ":"statuslist+jwt","alg":"EdDSA","kid":"k"}"#,
        concat!(
            r#"{"sub":"https://id.example/oauth/status-lists/1","iat":1728000000,"exp":1728000300,"ttl":60,"#,
            r#""status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"}}"#,
        ),
    ),
];

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs())
    }
}

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let [_, (header, list)] = GENUINE;
    let list = signed(header.as_bytes(), list.as_bytes());
    let builder = Verifier::builder(ISSUER).audience(AUDIENCE).jwks(JWKS).status_list(list).clock(Standing);
    builder.build().expect("a verifier")
});

/// A token of any header and payload, truly signed.
fn signed(header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_ed_der(PKCS8);
    let signer = (aws_lc::DEFAULT_PROVIDER.signer_factory)(&Algorithm::EdDSA, &key).expect("a signer");
    let signature = signer.try_sign(input.as_bytes()).expect("signed");
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// What a verifier that has all it needs makes of a token.
fn verify(text: &str) -> Result<Claims, VerifyError> {
    match pin!(VERIFIER.verify(text)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verified) => verified,
        Poll::Pending => panic!("it waits, with keys and lists at hand"),
    }
}

/// A text is refused, unless it is the one that was signed.
pub fn token(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if verify(text).is_ok() {
        let [(header, claims), _] = GENUINE;
        assert_eq!(text, signed(header.as_bytes(), claims.as_bytes()));
    }
}

/// Claims that are truly signed are accepted only where they keep every rule, and the list does not say otherwise.
pub fn claims(data: &[u8]) {
    let [(header, _), _] = GENUINE;
    let verified = verify(&signed(header.as_bytes(), data));
    if let Err(VerifyError::Untrusted(distrust)) = &verified {
        assert!(![Distrust::BadSignature, Distrust::UnknownKey, Distrust::WrongType].contains(distrust), "{distrust}");
    }
    let Ok(claims) = verified else { return };
    assert_eq!(claims.iss, ISSUER);
    assert!(claims.aud.iter().any(|name| name == AUDIENCE), "{claims:?}");
    assert!(claims.exp > NOW && claims.iat <= NOW + MAX_SKEW, "{claims:?}");
    assert!(![&claims.sub, &claims.jti, &claims.client_id].into_iter().any(String::is_empty), "{claims:?}");
    assert!(claims.scope.split(' ').filter(|word| !word.is_empty()).all(|word| claims.has_scope(word)), "{claims:?}");
    if let Some(status) = &claims.status {
        let reference = &status.status_list;
        assert_eq!(reference.uri, LIST);
        assert!([1, 2, 6, 10, 11, 12, 14].contains(&reference.idx), "revoked, or not in the list: {claims:?}");
    }
    // What of a payload is ignored may be JSON that this reader knows no value for.
    let Ok(said) = serde_json::from_slice::<Value>(data) else { return };
    assert_eq!(said.get("status").is_some(), claims.status.is_some(), "{said}");
    assert!(said.get("nbf").is_none_or(|nbf| nbf.as_i64().is_some_and(|nbf| nbf <= NOW + MAX_SKEW)), "{said}");
    // A member given twice would be read as its last value here.
    assert_eq!(serde_json::from_value::<Claims>(said).expect("read again"), claims);
}

/// A list is refused, or it is the one asked for, in its time, and has a status of its bits at each of its places.
pub fn status_list(data: &[u8]) {
    let read = |payload: &[u8]| StatusList::read(payload, |sub| sub == LIST, ISSUER, NOW, None);
    // As claims, and as the bits of good claims.
    let packed = BASE64_URL_SAFE_NO_PAD.encode(data);
    let claims = |bits: u8| {
        let list = serde_json::json!({"bits": bits, "lst": packed});
        serde_json::json!({"sub": LIST, "iat": NOW, "exp": NOW + 1, "status_list": list}).to_string()
    };
    for payload in [data, claims(1).as_bytes(), claims(2).as_bytes(), claims(4).as_bytes(), claims(8).as_bytes()] {
        let Ok(list) = read(payload) else { continue };
        assert!(list.uri == LIST && list.iat <= NOW + MAX_SKEW && list.exp > NOW, "{list:?}");
        let said: Value = serde_json::from_slice(payload).unwrap_or_default();
        let bits = said["status_list"]["bits"].as_u64().unwrap_or(1);
        assert!([1, 2, 4, 8].contains(&bits), "{said}");
        assert_eq!(list.status(u64::MAX), None);
        // The list itself is 8 MiB at most, however small it is packed.
        let most = (MAX_STATUS_LIST_TOKEN as u64) * 8 / bits;
        let (mut place, mut end) = (0, most);
        while place < end {
            let middle = u64::midpoint(place, end);
            match list.status(middle) {
                Some(status) => {
                    assert!(u64::from(status) < 1 << bits, "{status} of {bits} bits");
                    place = middle + 1;
                }
                None => end = middle,
            }
        }
        assert!(place <= 8 * 1024 * 1024 * 8 / bits, "{place} places of {bits} bits");
        assert_eq!(place * bits % 8, 0, "whole bytes");
    }
}

/// A document is no JWK set, or one with keys that have names, are for one of three algorithms, and can be asked about
/// any signature. What is no key of the set under its own name is not found.
pub fn jwks(data: &[u8]) {
    let Ok(set) = KeySet::parse(data, None) else { return };
    assert!(set.find("").is_none(), "a key without a name");
    let document: Value = serde_json::from_slice(data).unwrap_or_default();
    for jwk in document["keys"].as_array().into_iter().flatten() {
        let Some(key) = jwk["kid"].as_str().and_then(|kid| set.find(kid)) else { continue };
        assert!(["ES256", "EdDSA", "RS256"].contains(&key.algorithm_name()), "{key:?}");
        for signature in [&[][..], &[0; 64], &[0; 256], &[1; 64], data] {
            // Whatever a weak key says of it.
            let _ = key.has_signed(b"message", signature);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, panic,
        path::{Path, PathBuf},
    };

    use super::*;

    /// The folder of the fuzzers.
    fn fuzz() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz")
    }

    /// Puts every input that the fuzzer of `name` saved to its property, and names all those that break it.
    fn assert_holds(name: &str, property: fn(&[u8])) {
        let folder = fuzz().join("corpus").join(name);
        let entries: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!entries.is_empty(), "no corpus of {name}");
        let breaks = |entry: &PathBuf| {
            let data = fs::read(entry).unwrap();
            panic::catch_unwind(|| property(&data)).is_err()
        };
        let broken: Vec<_> = entries.into_iter().filter(breaks).collect();
        assert!(broken.is_empty(), "{broken:?}");
        let target = fs::read_to_string(fuzz().join("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        let property = name.strip_prefix("verifier_").unwrap();
        assert!(target.contains(&format!("verifier::properties::{property}(data)")), "{name}");
    }

    #[test]
    fn whatever_the_fuzzers_saved_keeps_the_laws() {
        assert_holds("verifier_claims", claims);
        assert_holds("verifier_jwks", jwks);
        assert_holds("verifier_status_list", status_list);
        assert_holds("verifier_token", token);
        let names = fs::read_dir(fuzz().join("corpus")).unwrap().map(|entry| entry.unwrap().file_name());
        let ours = names.filter(|name| name.to_string_lossy().starts_with("verifier_")).count();
        assert_eq!(ours, 4, "a corpus without a property");
    }

    #[test]
    fn the_genuine_token_is_accepted_and_saved() {
        let [(header, claims), _] = GENUINE;
        let token = signed(header.as_bytes(), claims.as_bytes());
        assert_eq!(verify(&token).map(|claims| claims.sub), Ok("u".to_owned()));
        assert_eq!(fs::read_to_string(fuzz().join("corpus/verifier_token/genuine")).unwrap(), token);
    }
}
