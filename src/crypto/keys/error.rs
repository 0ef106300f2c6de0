//! The errors of reading and making keys.

use std::{io, path::PathBuf};

use crate::crypto::keys::signing_key::NotASigningKey;

/// Why keys cannot be read or made. Each error names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file or folder cannot be written.
    #[error("cannot write {}: {source}; the keys' folder must be writable to make keys in it", path.display())]
    Unwritable {
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file of this name exists.
    #[error("{} exists already; a key made in the same second has the same name: try again", path.display())]
    Exists { path: PathBuf },
    /// The path is a folder or a device.
    #[error("{} is not a regular file; remove it from the keys' folder, or rename it", path.display())]
    NotAFile { path: PathBuf },
    /// Other users can read or write a private file.
    #[error(
        "{0} can be read or written by other users, or written by its group; run: chmod 600 {0} \
         (Kubernetes: defaultMode 0440 with fsGroup). If others may have read it, make a new key instead",
        path.display()
    )]
    ExposedFile { path: PathBuf },
    /// Other users can add keys.
    #[error(
        "{0} can be written by its group or by others, who could add keys of theirs; run: chmod 700 {0}, and look for \
         files there that you do not know",
        path.display()
    )]
    ExposedFolder { path: PathBuf },
    /// Not exactly one PKCS#8 key in PEM.
    #[error("{0} is not one PKCS#8 private key in PEM; convert it: openssl pkcs8 -topk8 -nocrypt -in {0}", path.display())]
    BrokenPem { path: PathBuf },
    /// An encrypted key, and no passphrase.
    #[error("{} is encrypted; set keys_passphrase to its passphrase", path.display())]
    NoPassphrase { path: PathBuf },
    /// An encrypted key of another passphrase.
    #[error(
        "{} cannot be decrypted with keys_passphrase: it has another passphrase, or is damaged. Set the right one, or \
         restore the file",
        path.display()
    )]
    WrongPassphrase { path: PathBuf },
    /// Encrypted in a way that is not supported.
    #[error(
        "{0} is encrypted in another way than PBES2 with PBKDF2 (HMAC-SHA-256 to 512) and AES-CBC; convert it: openssl \
         pkcs8 -in {0} | openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000",
        path.display()
    )]
    UnknownEncryption { path: PathBuf },
    /// No public key as Signet writes it.
    #[error("{} is not a public key that Signet wrote; remove it", path.display())]
    NotAJwk { path: PathBuf },
    /// The keys come from the environment, so no file can be written.
    #[error(
        "the keys come from SIGNET_KEYS, so none can be made or removed there; make the files with `signet keys` and a \
         folder (--keys-dir), and set SIGNET_KEYS to them"
    )]
    Fixed,
    /// The keys of the environment lack a kind.
    #[error(
        "SIGNET_KEYS has no {0} key; make the files with `signet keys rotate --alg {0}` and a folder (--keys-dir), and add \
         them"
    )]
    NotInBundle(&'static str),
    /// The text of the environment is no bundle.
    #[error("SIGNET_KEYS: {0}")]
    BrokenBundle(&'static str),
    /// A key of another kind, or too weak.
    #[error("{} {reason}; put a PKCS#8 key of P-256, Ed25519 or RSA 3072 there instead", path.display())]
    WrongKey {
        path: PathBuf,
        /// The problem with the key.
        reason: NotASigningKey,
    },
    /// No root secret.
    #[error("{} is not a root secret: one line of 43 characters of base64url (256 random bits)", path.display())]
    NotARootSecret { path: PathBuf },
    /// Two files hold the same key; their names may give it two schedules.
    #[error("{} holds the same key as {}; remove one of them", path.display(), other.display())]
    SameKey { path: PathBuf, other: PathBuf },
    /// All keys of a kind are gone: more likely a lost mount than intended.
    #[error("{} no longer has any {what}; the keys read before stay in use: restore the files", path.display())]
    Vanished {
        path: PathBuf,
        /// The kind that is missing.
        what: &'static str,
    },
    /// The library failed to make a key.
    #[error("the cryptographic library failed to make a key")]
    NotMade,
}

impl KeyError {
    /// Whether the operator has to mend the folder, rather than try again.
    #[must_use]
    pub fn is_of_the_folder(&self) -> bool {
        match self {
            Self::Unreadable { .. }
            | Self::NotAFile { .. }
            | Self::ExposedFile { .. }
            | Self::ExposedFolder { .. }
            | Self::BrokenPem { .. }
            | Self::WrongKey { .. }
            | Self::NotARootSecret { .. }
            | Self::SameKey { .. }
            | Self::NoPassphrase { .. }
            | Self::WrongPassphrase { .. }
            | Self::UnknownEncryption { .. }
            | Self::NotAJwk { .. }
            | Self::Fixed
            | Self::NotInBundle(_)
            | Self::BrokenBundle(_)
            | Self::Vanished { .. } => true,
            Self::Unwritable { .. } | Self::Exists { .. } | Self::NotMade => false,
        }
    }
}
