//! The public half of a signing key: what verifiers know.

use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, CommonParameters, Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash},
};

use crate::domain::signing_key::SigningAlgorithm;

/// The fewest bits of an RSA modulus, as strong as P-256 (NIST SP 800-57).
pub(in crate::crypto::keys) const MIN_RSA_BITS: usize = 3072;

/// Why bytes are no signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASigningKey {
    /// Not a private key of a supported kind.
    #[error("is neither a P-256, nor an Ed25519, nor an RSA private key in PKCS#8")]
    UnknownKind,
    /// An RSA key with a short modulus.
    #[error("is an RSA key of {0} bits, and needs {MIN_RSA_BITS} or more")]
    TooSmall(usize),
}

/// A public key, parsed for verification.
#[derive(Debug)]
pub struct PublicKey {
    algorithm: SigningAlgorithm,
    kid: String,
    jwk: Jwk,
    verification: DecodingKey,
    /// `SubjectPublicKeyInfo`; empty if the key was read as a JWK.
    spki: Vec<u8>,
}

impl PublicKey {
    /// The public key with these members, which is `spki` in DER.
    pub(in crate::crypto) fn new(
        algorithm: SigningAlgorithm,
        parameters: AlgorithmParameters,
        spki: Vec<u8>,
    ) -> Result<Self, NotASigningKey> {
        let key_algorithm = match algorithm {
            SigningAlgorithm::ES256 => KeyAlgorithm::ES256,
            SigningAlgorithm::EdDSA => KeyAlgorithm::EdDSA,
            SigningAlgorithm::RS256 => KeyAlgorithm::RS256,
        };
        let mut jwk = Jwk {
            common: CommonParameters {
                public_key_use: Some(PublicKeyUse::Signature),
                key_algorithm: Some(key_algorithm),
                ..CommonParameters::default()
            },
            algorithm: parameters,
        };
        // Of a key of ours neither can fail: both refuse only a curve that does not fit its key type, and invalid
        // base64url.
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| NotASigningKey::UnknownKind)?;
        let verification = DecodingKey::from_jwk(&jwk).map_err(|_| NotASigningKey::UnknownKind)?;
        jwk.common.key_id = Some(kid.clone());
        Ok(Self { algorithm, kid, jwk, verification, spki })
    }

    /// Reads a JWK as [`Self::jwk`] writes it; `None` for anything else.
    pub(in crate::crypto) fn from_jwk(json: &[u8]) -> Option<Self> {
        let jwk: Jwk = serde_json::from_slice(json).ok()?;
        let algorithm = SigningAlgorithm::parse(&jwk.common.key_algorithm?.to_string())?;
        let fits = matches!(
            (algorithm, &jwk.algorithm),
            (SigningAlgorithm::ES256, AlgorithmParameters::EllipticCurve(_))
                | (SigningAlgorithm::EdDSA, AlgorithmParameters::OctetKeyPair(_))
                | (SigningAlgorithm::RS256, AlgorithmParameters::RSA(_))
        );
        let key = Self::new(algorithm, jwk.algorithm, Vec::new()).ok()?;
        (fits && jwk.common.key_id.as_ref() == Some(&key.kid)).then_some(key)
    }

    /// The identifier: the SHA-256 thumbprint (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The key as the JWK set has it.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The key in PEM (`PUBLIC KEY`, RFC 7468 §13); `None` if only its JWK was kept.
    #[must_use]
    pub fn pem(&self) -> Option<String> {
        (!self.spki.is_empty()).then(|| {
            let encoded = BASE64_STANDARD.encode(&self.spki);
            let lines: Vec<_> = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
        })
    }

    /// The key for verification, with the one `alg` that it may be used with (RFC 8725 §3.1).
    pub(in crate::crypto) fn verification(&self) -> (Algorithm, &DecodingKey) {
        let algorithm = match self.algorithm {
            SigningAlgorithm::ES256 => Algorithm::ES256,
            SigningAlgorithm::EdDSA => Algorithm::EdDSA,
            SigningAlgorithm::RS256 => Algorithm::RS256,
        };
        (algorithm, &self.verification)
    }
}
