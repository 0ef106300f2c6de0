//! A client's own key, and the assertions that it signs.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaKeyPair, RsaPublicKeyComponents,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use signet::testing::Clock;

use super::{TestApp, TestEnv, jwt::encode, run, test_env::Client};

/// The `client_assertion_type` of a JWT.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A key and its name.
pub(crate) struct ClientKey {
    pub(crate) alg: &'static str,
    pub(crate) kid: &'static str,
    pair: Pair,
}

impl ClientKey {
    /// A new key for `ES256`, `EdDSA`, `RS256` or `PS256`.
    pub(crate) fn new(alg: &'static str, kid: &'static str) -> Self {
        let pair = match alg {
            "ES256" => Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")),
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::generate().expect("a key")),
            _ => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
        };
        Self { alg, kid, pair }
    }

    /// Its public half.
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (alg, kid) = (self.alg, self.kid);
        match &self.pair {
            Pair::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "alg": alg, "kid": kid, "x": text(x), "y": text(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "alg": alg, "kid": kid, "x": text(pair.public_key().as_ref())})
            }
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "alg": alg, "kid": kid, "n": text(&public.n), "e": text(&public.e)})
            }
        }
    }

    /// A JWT of this header and these claims, signed with `alg` even if the header names another.
    pub(crate) fn signs(&self, header: &Value, claims: &Value) -> String {
        let random = SystemRandom::new();
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = match &self.pair {
            Pair::P256(pair) => pair.sign(&random, input.as_bytes()).expect("a signature").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let encoding = if self.alg == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, input.as_bytes(), &mut signature).expect("a signature");
                signature
            }
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The header of a good assertion.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.alg, "kid": self.kid, "typ": "JWT"})
    }

    /// A good assertion of `client`, new each time.
    pub(crate) fn asserts(&self, signet: &TestApp, client: &Client) -> String {
        self.signs(&self.header(), &claims(signet, client))
    }
}

/// The claims of a good assertion, with a `jti` of its own.
pub(crate) fn claims(signet: &TestApp, client: &Client) -> Value {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let jti = NEXT.fetch_add(1, Ordering::Relaxed);
    let exp = signet.clock.now().timestamp() + 60;
    json!({"iss": client.id, "sub": client.id, "aud": signet.issuer, "exp": exp, "jti": jti.to_string()})
}

/// A file with the set of these public keys.
pub(crate) fn file(keys: &[Value]) -> PathBuf {
    let path = run::folder().join("jwks.json");
    std::fs::write(&path, json!({ "keys": keys }).to_string()).expect("the folder is ours");
    path
}

/// Registers a `client_credentials` client that authenticates with `key`.
pub(crate) async fn registers(env: &TestEnv, key: &ClientKey) -> Client {
    let jwks = file(&[key.jwk()]);
    let jwks = jwks.to_str().expect("a path of ASCII");
    env.registers_service(&["--auth-method", "private_key_jwt", "--jwks", jwks]).await
}
