//! Apple's client secret: a JWT that we sign with a key registered at Apple (Sign in with Apple, "Creating a client
//! secret").

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::{
    crypto::{
        jose::jws,
        keys::{pem, signing_key::SigningKey},
    },
    domain::signing_key::SigningAlgorithm,
};

/// The lifetime of a secret, which is made for one request. Apple accepts six months at most.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug, Clone)]
pub struct AppleSecret {
    key: Arc<SigningKey>,
    key_id: String,
    team_id: String,
}

/// Why a text is no key for Apple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a P-256 private key in PKCS#8 as PEM")]
pub struct NotAnAppleKey;

#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
    aud: &'a str,
    sub: &'a str,
}

impl AppleSecret {
    /// Signs with this PEM key, which Apple knows under `key_id` and `team_id`.
    ///
    /// # Errors
    /// [`NotAnAppleKey`] unless it is an ES256 key.
    pub fn new(pem: &SecretString, key_id: String, team_id: String) -> Result<Self, NotAnAppleKey> {
        let der = pem::pkcs8(pem.expose_secret().as_bytes()).ok_or(NotAnAppleKey)?;
        // The time of publication matters for our own keys alone.
        let key = SigningKey::from_pkcs8(&der, DateTime::UNIX_EPOCH).map_err(|_| NotAnAppleKey)?;
        if key.algorithm() != SigningAlgorithm::ES256 {
            return Err(NotAnAppleKey);
        }
        Ok(Self { key: Arc::new(key), key_id, team_id })
    }

    /// A client secret of `client_id` for the token endpoint of `issuer`.
    ///
    /// # Errors
    /// [`NotAnAppleKey`] if the library fails, which gives no reason.
    pub fn sign(&self, client_id: &str, issuer: &str, now: DateTime<Utc>) -> Result<SecretString, NotAnAppleKey> {
        let claims = Claims {
            iss: &self.team_id,
            iat: now.timestamp(),
            exp: (now + LIFETIME).timestamp(),
            aud: issuer,
            sub: client_id,
        };
        let header = jws::Header { typ: "JWT".to_owned(), alg: Algorithm::ES256, kid: self.key_id.clone() };
        let input = jws::signing_input(&header, &claims).map_err(|_| NotAnAppleKey)?;
        let signature = self.key.sign(input.as_bytes()).map_err(|_| NotAnAppleKey)?;
        Ok(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::crypto;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_secret_says_who_signs_for_which_client_and_is_soon_over() {
        let key = rcgen::KeyPair::generate().unwrap();
        let apple = AppleSecret::new(&key.serialize_pem().into(), "KEY".into(), "TEAM".into()).unwrap();
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let token = apple.sign("org.example", "https://appleid.apple.com", now).unwrap();
        let (signed, signature) = token.expose_secret().rsplit_once('.').unwrap();
        let (algorithm, public) = apple.key.public().verification();
        assert_eq!(algorithm, Algorithm::ES256);
        assert!(crypto::verify(signature, signed.as_bytes(), public, algorithm).unwrap());
        let part =
            |part: &str| -> Value { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(part(header), json!({"typ": "JWT", "alg": "ES256", "kid": "KEY"}));
        let exp = now.timestamp() + 300;
        let expected = json!({
            "iss": "TEAM", "sub": "org.example", "aud": "https://appleid.apple.com", "iat": now.timestamp(), "exp": exp
        });
        assert_eq!(part(claims), expected);
    }

    #[test]
    fn only_a_key_that_signs_is_taken() {
        let pem = |alg| rcgen::KeyPair::generate_for(alg).unwrap().serialize_pem();
        let new = |pem: String| AppleSecret::new(&pem.into(), "KEY".into(), "TEAM".into());
        for bad in [
            pem(&rcgen::PKCS_ED25519),
            pem(&rcgen::PKCS_ECDSA_P384_SHA384),
            "-----BEGIN PRIVATE KEY-----\nMIG=\n-----END PRIVATE KEY-----".to_owned(),
            String::new(),
        ] {
            assert_eq!(new(bad).err(), Some(NotAnAppleKey));
        }
        assert!(new(pem(&rcgen::PKCS_ECDSA_P256_SHA256)).is_ok());
    }
}
