//! Signed text: the compact serialization of JWS (RFC 7515 §7.1), read strictly.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::{
    error::{Distrust, VerifyError},
    jwks::Key,
};

/// The longest access token in bytes: Signet makes none longer.
pub(crate) const MAX_ACCESS_TOKEN: usize = 4096;

/// The parts of the protected header that are read, and those that are refused.
#[derive(Debug, Deserialize)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
    /// Keys that the token brings itself, extensions that must be understood, and compression (RFC 8725 §3.10).
    #[serde(default, deserialize_with = "present", alias = "jku", alias = "x5u", alias = "jwk", alias = "x5c")]
    #[serde(alias = "crit", alias = "zip", alias = "enc", alias = "b64")]
    refused: bool,
}

/// A token taken apart; nothing of it is verified yet.
#[derive(Debug)]
pub(crate) struct Jws<'t> {
    header: Header,
    payload: Vec<u8>,
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Takes `token`, of at most `limit` bytes, apart.
    ///
    /// # Errors
    /// Says what is wrong, unless it is three parts of canonical base64url, the first a header with `typ`, `alg` and
    /// `kid`, and with none of the members that name keys or must be understood.
    pub(crate) fn parse(token: &'t str, limit: usize) -> Result<Self, &'static str> {
        if token.len() > limit {
            return Err("too long");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("not three parts")?;
        let (header, payload) = signed.split_once('.').ok_or("not three parts")?;
        if payload.contains('.') {
            return Err("not three parts");
        }
        // This engine refuses padding, white space and unused bits that are set: one text a token.
        let decode = |part| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| "not base64url");
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| "the header cannot be read")?;
        if header.refused {
            return Err("the header has a member that is never accepted");
        }
        Ok(Self { header, payload: decode(payload)?, signed, signature: decode(signature)? })
    }

    /// Which key it says it is signed with.
    pub(crate) fn kid(&self) -> &str {
        &self.header.kid
    }

    /// Refuses it unless `typ` names this type, in any case, with `application/` before it or without (RFC 7515 §4.1.9).
    pub(crate) fn expect_type(&self, typ: &str) -> Result<(), Distrust> {
        const PREFIX: &str = "application/";
        let given = self.header.typ.as_str();
        let short = given.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
        let given = short.map_or(given, |prefix| &given[prefix.len()..]);
        if given.eq_ignore_ascii_case(typ) { Ok(()) } else { Err(Distrust::WrongType) }
    }

    /// The payload, once the signature proves to be that of `key` under the key's own algorithm (RFC 8725 §3.1).
    pub(crate) fn verify(self, key: &Key) -> Result<Vec<u8>, Distrust> {
        if self.header.alg != key.algorithm_name() {
            Err(Distrust::WrongAlgorithm)
        } else if !key.has_signed(self.signed.as_bytes(), &self.signature) {
            Err(Distrust::BadSignature)
        } else {
            Ok(self.payload)
        }
    }
}

impl From<&'static str> for VerifyError {
    fn from(malformed: &'static str) -> Self {
        Self::Malformed(malformed)
    }
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str) -> String {
        format!("{}.e30.AAAA", BASE64_URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn a_header_that_brings_a_key_or_an_extension_is_refused_whatever_it_says() {
        for name in ["jku", "x5u", "jwk", "x5c", "crit", "zip", "enc", "b64"] {
            for value in ["null", "false", "\"\"", "[]", "{}"] {
                let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"k","{name}":{value}}}"#);
                assert!(Jws::parse(&token(&header), MAX_ACCESS_TOKEN).is_err(), "{header}");
            }
        }
    }

    #[test]
    fn a_member_given_twice_is_refused() {
        let twice = token(r#"{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"k"}"#);
        assert!(Jws::parse(&twice, MAX_ACCESS_TOKEN).is_err());
    }

    #[test]
    fn a_member_that_nobody_must_understand_is_ignored() {
        let header = token(r#"{"typ":"application/AT+JWT","alg":"ES256","kid":"k","x5t":"t"}"#);
        let jws = Jws::parse(&header, MAX_ACCESS_TOKEN).unwrap();
        assert_eq!((jws.kid(), jws.expect_type("at+jwt")), ("k", Ok(())));
        assert_eq!(jws.expect_type("statuslist+jwt"), Err(Distrust::WrongType));
    }

    #[test]
    fn the_limit_is_in_bytes_and_holds() {
        let text = token(r#"{"typ":"at+jwt","alg":"ES256","kid":"k"}"#);
        assert!(Jws::parse(&text, text.len()).is_ok());
        assert_eq!(Jws::parse(&text, text.len() - 1).err(), Some("too long"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_wild_to_be_refused(text in any::<String>(), parts in "[A-Za-z0-9_=-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}") {
            for text in [text, parts] {
                prop_assert!(Jws::parse(&text, MAX_ACCESS_TOKEN).is_err());
            }
        }

        #[test]
        fn any_type_can_be_compared(typ in any::<String>()) {
            let header = token(&serde_json::json!({"typ": typ, "alg": "ES256", "kid": "k"}).to_string());
            let jws = Jws::parse(&header, 100_000).unwrap();
            prop_assert!(jws.expect_type("at+jwt").is_err() || typ.to_ascii_lowercase().ends_with("at+jwt"));
        }
    }
}
