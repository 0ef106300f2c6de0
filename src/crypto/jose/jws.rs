//! Signed text: the compact serialization of JWS (RFC 7515 §7.1), read strictly.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest token in bytes, made or read: what fits header fields and cookies everywhere.
pub(in crate::crypto) const MAX_LENGTH: usize = 4096;

/// The protected header, whole.
///
/// Of our own tokens we read only what we wrote, so any other member is a forgery; `jku`, `x5u`, `jwk` and `x5c` (keys that the token
/// brings itself), `crit`, `b64`, `zip` and `enc` (RFC 8725 §3.10) fall under it, and so does a member given twice.
/// `none` is no [`Algorithm`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::crypto) struct Header {
    /// What kind of token it is (RFC 8725 §3.11).
    pub(in crate::crypto) typ: String,
    /// What it is signed with, which is the key's to say: this is only ever compared.
    pub(in crate::crypto) alg: Algorithm,
    /// Which key it is signed with.
    pub(in crate::crypto) kid: String,
}

/// A token taken apart; nothing of it is verified yet.
pub(in crate::crypto) struct Jws<'t, H = Header> {
    pub(in crate::crypto) header: H,
    pub(in crate::crypto) payload: Vec<u8>,
    signed: &'t str,
    signature: &'t str,
}

impl<'t, H: DeserializeOwned> Jws<'t, H> {
    /// Takes `token` apart. `None` unless it is three parts of canonical base64url of at most `max_length` bytes
    /// together, and the first part is a header of this type.
    pub(in crate::crypto) fn parse(token: &'t str, max_length: usize) -> Option<Self> {
        if token.len() > max_length {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') || payload.is_empty() || signature.is_empty() {
            return None;
        }
        // This engine refuses padding, white space and unused bits that are set: one text a token.
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        Some(Self { header: serde_json::from_slice(&header).ok()?, payload, signed, signature })
    }

    /// Whether the signature is that of `key` under `algorithm`; that the header says the same is the caller's to see.
    pub(in crate::crypto) fn has_signature_of(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }
}

impl Jws<'_> {
    /// Whether `typ` names this type, in any case, with `application/` before it or without (RFC 7515 §4.1.9).
    pub(in crate::crypto) fn is_of_type(&self, typ: &str) -> bool {
        const PREFIX: &str = "application/";
        let given = self.header.typ.as_str();
        let short = given.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
        short.map_or(given, |prefix| &given[prefix.len()..]).eq_ignore_ascii_case(typ)
    }

    /// Whether the signature is that of `key` under its own `algorithm`, whatever the header says but the same
    /// (RFC 8725 §3.1).
    pub(in crate::crypto) fn is_signed_by(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        self.header.alg == algorithm && self.has_signature_of(algorithm, key)
    }
}

/// What a signature is made over: header and claims, each in base64url (RFC 7515 §5.1).
pub(in crate::crypto) fn signing_input(header: &Header, claims: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut input = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(header)?);
    input.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut input);
    Ok(input)
}
