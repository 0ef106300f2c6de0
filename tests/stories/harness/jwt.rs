//! JWTs: decoded without verification, and forged.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// The header of a JWT, unverified.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

/// The claims of a JWT, unverified.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, n: usize) -> Value {
    let text = token.split('.').nth(n).unwrap_or_else(|| panic!("not a JWT: {token}"));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
}

/// Encodes one part of a JWT.
pub(crate) fn encode(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

pub(crate) fn sid(token: &str) -> String {
    claims(token)["sid"].as_str().unwrap_or_else(|| panic!("no sid: {token}")).to_owned()
}

/// The same claims under the second valid ES256 signature: if (r, s) verifies, so does (r, n - s), which anybody can
/// compute.
pub(crate) fn twin(token: &str) -> String {
    const N: [u8; 32] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD,
        0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').expect("a JWT");
    let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    assert_eq!(signature.len(), 64, "not ES256");
    let mut borrow = false;
    for (byte, n) in signature[32..].iter_mut().zip(N).rev() {
        let (difference, one) = n.overflowing_sub(*byte);
        let (difference, two) = difference.overflowing_sub(u8::from(borrow));
        (*byte, borrow) = (difference, one || two);
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The token with another header under the same signature.
pub(crate) fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').expect("a JWT");
    format!("{}.{rest}", encode(header))
}

/// The token with other claims under the same signature.
pub(crate) fn with_claims(token: &str, claims: &Value) -> String {
    let mut parts = token.split('.');
    let (header, signature) = (parts.next().expect("a header"), parts.nth(1).expect("a signature"));
    format!("{header}.{}.{signature}", encode(claims))
}
