//! The compact serialization of JWS (RFC 7515 §7.1), parsed strictly.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest token of ours in bytes, signed or parsed: it fits header fields and cookies everywhere.
pub(in crate::crypto) const MAX_LENGTH: usize = 4096;

/// The protected header, with no member beside these.
///
/// Our own tokens have only the members that we wrote, so any other member is a forgery: `jku`, `x5u`, `jwk`, `x5c` (a
/// token that brings its own keys), `crit`, `b64`, `zip`, `enc` (RFC 8725 §3.10). A repeated member is refused too.
/// `none` is no [`Algorithm`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::crypto) struct Header {
    /// The kind of token (RFC 8725 §3.11).
    pub(in crate::crypto) typ: String,
    /// The key decides the algorithm; this member is only ever compared with it.
    pub(in crate::crypto) alg: Algorithm,
    /// The identifier of the signing key.
    pub(in crate::crypto) kid: String,
}

/// A parsed token; nothing of it is verified yet.
pub(in crate::crypto) struct Jws<'t, H = Header> {
    pub(in crate::crypto) header: H,
    pub(in crate::crypto) payload: Vec<u8>,
    signed: &'t str,
    signature: &'t str,
}

impl<'t, H: DeserializeOwned> Jws<'t, H> {
    /// Parses `token`. `None` unless it is three parts of canonical base64url of at most `max_length` bytes together,
    /// the first of which is a header of this type.
    pub(in crate::crypto) fn parse(token: &'t str, max_length: usize) -> Option<Self> {
        if token.len() > max_length {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') || payload.is_empty() || signature.is_empty() {
            return None;
        }
        // This engine refuses padding, white space and unused bits that are set, so that each token has one text.
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        Some(Self { header: serde_json::from_slice(&header).ok()?, payload, signed, signature })
    }

    /// Whether the signature is that of `key` under `algorithm`. The caller must compare `alg` itself.
    pub(in crate::crypto) fn has_signature_of(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }
}

impl Jws<'_> {
    /// Whether `typ` is this type, in any case, with or without `application/` (RFC 7515 §4.1.9).
    pub(in crate::crypto) fn is_of_type(&self, typ: &str) -> bool {
        const PREFIX: &str = "application/";
        let given = self.header.typ.as_str();
        let short = given.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
        short.map_or(given, |prefix| &given[prefix.len()..]).eq_ignore_ascii_case(typ)
    }

    /// Whether `alg` is the key's own `algorithm` and the signature is that of `key` (RFC 8725 §3.1).
    pub(in crate::crypto) fn is_signed_by(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        self.header.alg == algorithm && self.has_signature_of(algorithm, key)
    }
}

/// The signing input: header and claims, each in base64url (RFC 7515 §5.1).
pub(in crate::crypto) fn signing_input(header: &Header, claims: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut input = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(header)?);
    input.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut input);
    Ok(input)
}
