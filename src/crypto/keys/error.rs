//! The errors of reading and making keys.

use std::{io, path::PathBuf};

use crate::crypto::keys::signing_key::NotASigningKey;

/// Why keys cannot be read or made. Each names the file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file or folder cannot be written.
    #[error("cannot write {}: {source}; the keys' folder must be writable to make keys in it", path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a file of this name.
    #[error("{} exists already; a key made in the same second has the same name: try again", path.display())]
    Exists {
        /// Its name.
        path: PathBuf,
    },
    /// The name is that of a folder or device.
    #[error("{} is not a regular file; remove it from the keys' folder, or rename it", path.display())]
    NotAFile {
        /// Its name.
        path: PathBuf,
    },
    /// Others can read or write a private file.
    #[error(
        "{0} can be read or written by other users, or written by its group; run: chmod 600 {0} \
         (Kubernetes: defaultMode 0440 with fsGroup). If others may have read it, make a new key instead",
        path.display()
    )]
    ExposedFile {
        /// Which.
        path: PathBuf,
    },
    /// Others can add keys.
    #[error("{0} can be written by other users, who could add keys of theirs; run: chmod 700 {0}", path.display())]
    ExposedFolder {
        /// Which.
        path: PathBuf,
    },
    /// Not exactly one unencrypted PKCS#8 key in PEM.
    #[error(
        "{0} is not one unencrypted PKCS#8 private key in PEM; convert it: openssl pkcs8 -topk8 -nocrypt -in {0}",
        path.display()
    )]
    BrokenPem {
        /// Which.
        path: PathBuf,
    },
    /// A key of another kind, or too weak.
    #[error("{} {reason}; put a PKCS#8 key of P-256, Ed25519 or RSA 3072 there instead", path.display())]
    WrongKey {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: NotASigningKey,
    },
    /// No root secret.
    #[error("{} is not a root secret: one line of 43 characters of base64url (256 random bits)", path.display())]
    NotARootSecret {
        /// Which.
        path: PathBuf,
    },
    /// Two files hold the same key, and their names may give it two schedules.
    #[error("{} holds the same key as {}; remove one of them", path.display(), other.display())]
    SameKey {
        /// One.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A key kind that was there is gone altogether: more likely a lost mount than a wish.
    #[error("{} no longer has any {what}; the keys read before stay in use: restore the files", path.display())]
    Vanished {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The library could not make a key.
    #[error("the cryptographic library failed to make a key")]
    NotMade,
}
