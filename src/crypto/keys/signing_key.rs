//! A key that signs tokens for others, and its public half.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    error::Unspecified,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, EllipticCurveKeyType, OctetKeyPairParameters,
    OctetKeyPairType, RSAKeyParameters, RSAKeyType,
};
use secrecy::zeroize::Zeroizing;

use crate::{
    crypto::keys::public_key::{MIN_RSA_BITS, PublicKey},
    domain::signing_key::SigningAlgorithm,
};

pub use crate::crypto::keys::public_key::NotASigningKey;

/// A parsed private key, with its public half for verifiers.
pub struct SigningKey {
    private: Private,
    published: DateTime<Utc>,
    public: PublicKey,
}

// Signatures are made with the key that aws-lc parsed once. `jsonwebtoken::encode` parses it again for each signature:
// measured, 31 against 19 µs for ES256, 22 against 12 for EdDSA and 3.3 against 2.1 ms for RS256. Verification through
// `jsonwebtoken` costs 1 to 15 % more than through a parsed key (61 against 60 µs for ES256), so that stays with it.
enum Private {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Parses a private key in PKCS#8 DER (RFC 5958); the key itself determines its algorithm. `published` is when
    /// verifiers could first see it.
    ///
    /// # Errors
    /// [`NotASigningKey`] for anything but P-256, Ed25519 and RSA of 3072 bits or more (RFC 8725 §3.5).
    pub fn from_pkcs8(der: &[u8], published: DateTime<Utc>) -> Result<Self, NotASigningKey> {
        let private = Private::from_pkcs8(der)?;
        let public = PublicKey::new(private.algorithm(), private.public_parameters(), private.spki()?)?;
        Ok(Self { private, published, public })
    }

    /// Makes a new private key of `algorithm`, in PKCS#8 DER. RSA keys have 3072 bits.
    ///
    /// # Errors
    /// [`Unspecified`] when the library fails, which says no more.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let der = match algorithm {
            SigningAlgorithm::ES256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?.as_ref().to_vec()
            }
            SigningAlgorithm::EdDSA => Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec(),
            SigningAlgorithm::RS256 => {
                let der: Pkcs8V1Der<'static> = RsaKeyPair::generate(KeySize::Rsa3072)?.as_der()?;
                der.as_ref().to_vec()
            }
        };
        Ok(Zeroizing::new(der))
    }

    /// Signs `message` as JWS requires (RFC 7518 §3.3 and §3.4, RFC 8037 §3.1).
    ///
    /// # Errors
    /// [`Unspecified`] if the library fails, which gives no reason.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.private {
            Private::P256(key) => Ok(key.sign(&random, message)?.as_ref().to_vec()),
            Private::Ed25519(key) => Ok(key.try_sign(message)?.as_ref().to_vec()),
            Private::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    /// The identifier: the SHA-256 thumbprint of the public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The algorithm of the key.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.public.algorithm()
    }

    /// When verifiers could first see the key.
    #[must_use]
    pub fn published(&self) -> DateTime<Utc> {
        self.published
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SigningKey");
        shown.field("kid", &self.kid()).field("algorithm", &self.algorithm()).field("published", &self.published);
        shown.finish_non_exhaustive()
    }
}

impl Private {
    fn from_pkcs8(der: &[u8]) -> Result<Self, NotASigningKey> {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self::P256(key));
        }
        if let Ok(key) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self::Ed25519(key));
        }
        let key = RsaKeyPair::from_pkcs8(der).map_err(|_| NotASigningKey::UnknownKind)?;
        let modulus = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key()).n;
        let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let bits = modulus.len() * 8 - unused;
        if bits < MIN_RSA_BITS { Err(NotASigningKey::TooSmall(bits)) } else { Ok(Self::Rsa(Box::new(key))) }
    }

    fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::P256(_) => SigningAlgorithm::ES256,
            Self::Ed25519(_) => SigningAlgorithm::EdDSA,
            Self::Rsa(_) => SigningAlgorithm::RS256,
        }
    }

    /// The public half in DER (`SubjectPublicKeyInfo`, RFC 5280 §4.1).
    fn spki(&self) -> Result<Vec<u8>, NotASigningKey> {
        let der: Result<PublicKeyX509Der<'_>, Unspecified> = match self {
            Self::P256(key) => key.public_key().as_der(),
            Self::Ed25519(key) => key.public_key().as_der(),
            Self::Rsa(key) => key.public_key().as_der(),
        };
        // The key was just parsed, so the library can write it.
        der.map(|der| der.as_ref().to_vec()).map_err(|_| NotASigningKey::UnknownKind)
    }

    /// The key members of the JWK (RFC 7518 §6.2.1 and §6.3.1, RFC 8037 §2).
    fn public_parameters(&self) -> AlgorithmParameters {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::P256(key) => {
                // An uncompressed point (SEC 1 §2.3.3): 0x04, then two coordinates of 32 bytes.
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                    key_type: EllipticCurveKeyType::EC,
                    curve: EllipticCurve::P256,
                    x: text(x),
                    y: text(y),
                })
            }
            Self::Ed25519(key) => AlgorithmParameters::OctetKeyPair(OctetKeyPairParameters {
                key_type: OctetKeyPairType::OctetKeyPair,
                curve: EllipticCurve::Ed25519,
                x: text(key.public_key().as_ref()),
            }),
            Self::Rsa(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                AlgorithmParameters::RSA(RSAKeyParameters {
                    key_type: RSAKeyType::RSA,
                    n: text(&public.n),
                    e: text(&public.e),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};

    use super::*;

    fn refused(der: &[u8]) -> NotASigningKey {
        SigningKey::from_pkcs8(der, DateTime::UNIX_EPOCH).expect_err("this is no key for us")
    }

    #[test]
    fn other_curves_short_moduli_and_noise_are_refused() {
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap().to_pkcs8v1().unwrap();
        assert_eq!(refused(p384.as_ref()), NotASigningKey::UnknownKind);
        assert_eq!(refused(b"noise"), NotASigningKey::UnknownKind);
        let short: Pkcs8V1Der<'static> = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
        assert_eq!(refused(short.as_ref()), NotASigningKey::TooSmall(2048));
    }

    #[test]
    fn the_identifier_is_the_thumbprint_of_rfc_8037() {
        // The private key of RFC 8037 appendix A.1 in PKCS#8 (RFC 8410 §7), and its thumbprint from appendix A.3.
        let mut der =
            vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        der.extend(BASE64_URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap());
        let key = SigningKey::from_pkcs8(&der, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(key.algorithm(), SigningAlgorithm::EdDSA);
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_never_shows_its_private_half() {
        let der = SigningKey::generate(SigningAlgorithm::ES256).unwrap();
        let key = SigningKey::from_pkcs8(&der, DateTime::UNIX_EPOCH).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(key.kid()) && shown.len() < 200, "{shown}");
    }
}
