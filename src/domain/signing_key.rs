//! The algorithms of signatures, and the kinds of keys.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An algorithm that signs tokens for other services (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    ES256,
    EdDSA,
    /// RSA PKCS#1 v1.5 with SHA-256; keys of 3072 bits and more.
    RS256,
}

impl SigningAlgorithm {
    pub const ALL: [Self; 3] = [Self::ES256, Self::EdDSA, Self::RS256];

    /// The algorithm as `alg` names it; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    /// The value of `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::RS256 => "RS256",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A private key for tokens that others verify.
    Signing(SigningAlgorithm),
    /// The secret from which every symmetric key is derived.
    RootSecret,
}

impl KeyKind {
    /// The name in file names, records and commands: `ES256`, `EdDSA`, `RS256` or `root`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signing(algorithm) => algorithm.as_str(),
            Self::RootSecret => "root",
        }
    }

    /// The kind with this name; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "root" => Some(Self::RootSecret),
            algorithm => SigningAlgorithm::parse(algorithm).map(Self::Signing),
        }
    }
}
