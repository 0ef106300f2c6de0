//! Keys, and what they sign: made with the cryptographic library alone, so that stories do not trust the JWT library
//! that they test.

use std::{io::Write, sync::Arc, time::SystemTime};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::{Compression, write::ZlibEncoder};
use serde_json::{Value, json};
use verifier::Clock;

/// A signing key with a name.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kid: String,
    pair: Arc<Pair>,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl Key {
    /// A new P-256 key.
    pub(crate) fn es256(kid: &str) -> Self {
        Self::of(kid, Pair::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    /// A new Ed25519 key.
    pub(crate) fn eddsa(kid: &str) -> Self {
        Self::of(kid, Pair::EdDsa(Ed25519KeyPair::generate().unwrap()))
    }

    /// A new RSA key.
    pub(crate) fn rs256(kid: &str) -> Self {
        Self::of(kid, Pair::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    fn of(kid: &str, pair: Pair) -> Self {
        Self { kid: kid.to_owned(), pair: Arc::new(pair) }
    }

    /// Its algorithm.
    pub(crate) fn alg(&self) -> &'static str {
        match &*self.pair {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
            Pair::Rs256(_) => "RS256",
        }
    }

    /// Its public half, as the bytes that a careless verifier might take for an HMAC secret.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match &*self.pair {
            Pair::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rs256(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// Its public half as it is published.
    pub(crate) fn jwk(&self) -> Value {
        let bytes = self.public_bytes();
        let mut jwk = match &*self.pair {
            Pair::Es256(_) => {
                json!({"kty": "EC", "crv": "P-256", "x": encode(&bytes[1..33]), "y": encode(&bytes[33..])})
            }
            Pair::EdDsa(_) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&bytes)}),
            Pair::Rs256(pair) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "kty": "RSA",
                    "n": encode(n.big_endian_without_leading_zero()),
                    "e": encode(e.big_endian_without_leading_zero()),
                })
            }
        };
        jwk["kid"] = self.kid.clone().into();
        jwk["alg"] = self.alg().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// An access token.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signs(&json!({"typ": "at+jwt", "alg": self.alg(), "kid": self.kid}), claims)
    }

    /// A status list token.
    pub(crate) fn status_list(&self, claims: &Value) -> String {
        self.signs(&json!({"typ": "statuslist+jwt", "alg": self.alg(), "kid": self.kid}), claims)
    }

    /// Whatever header and claims are to be signed.
    pub(crate) fn signs(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |message| {
            let rng = SystemRandom::new();
            match &*self.pair {
                Pair::Es256(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
                Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
                Pair::Rs256(pair) => {
                    let mut signature = vec![0; pair.public_modulus_len()];
                    pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).unwrap();
                    signature
                }
            }
        })
    }
}

/// A token with this signature.
pub(crate) fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// In base64url.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A status list as its token carries it.
pub(crate) fn pack(bytes: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encode(encoder.finish().unwrap())
}

/// The time as claims write it.
pub(crate) fn now(clock: &impl Clock) -> i64 {
    let since = clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
