//! Reads keys from files, and writes them.
//!
//! A signing key is a PKCS#8 file `*.pem`; the root secret is a file `*.secret` with 43 characters of base64url on one
//! line. Both may be encrypted ([`super::encryption`]). A file `*.jwk` is the public half of a signing key that is gone.
//! Our own file names begin with the time of publication, `20260131T120000Z-ES256.pem`. A file that an operator mounts
//! under another name counts as published in 1970, so as known to every verifier.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDateTime, Utc};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

pub use crate::crypto::keys::{
    error::KeyError,
    set::{KeyKind, KeySet},
};
use crate::crypto::{
    keys::{
        encryption,
        folder::{self, Existing, FileExtension},
        pem::{encode, pkcs8},
        public_key::PublicKey,
        root_secret::RootSecret,
        set::FoundKeys,
        signing_key::SigningKey,
    },
    random::Random,
};

/// Reads every key of `dir`, with the default times. A missing folder reads as an empty set.
///
/// # Errors
/// [`KeyError`] for the first file that is broken, unfit or exposed. A set is complete or refused.
#[cfg(test)]
pub fn read(dir: &Path) -> Result<KeySet, KeyError> {
    crate::crypto::keys::source::KeySource::folder(dir.to_owned()).read(&[].into())
}

/// Makes a new key of `kind` in `dir`, unencrypted and published at `now`, and returns its file name.
///
/// # Errors
/// As [`KeySource::create`].
#[cfg(test)]
pub fn create(dir: &Path, kind: KeyKind, now: DateTime<Utc>) -> Result<String, KeyError> {
    crate::crypto::keys::source::KeySource::folder(dir.to_owned()).create(kind, now)
}

/// Collects the keys of files.
#[derive(Debug, Default)]
pub(in crate::crypto::keys) struct Reader {
    pub(in crate::crypto::keys) found: FoundKeys,
    seen: HashMap<String, PathBuf>,
}

impl Reader {
    /// Reads the content of the file at `path`.
    pub(in crate::crypto::keys) fn add(
        &mut self,
        path: &Path,
        ending: FileExtension,
        content: &[u8],
        passphrase: Option<&SecretString>,
    ) -> Result<(), KeyError> {
        let own = || path.to_owned();
        let published = published(path);
        let plain = encryption::open(path, content, passphrase)?;
        let kid = match ending {
            FileExtension::Pem => {
                let der = match &plain {
                    Some(der) => der.clone(),
                    None => pkcs8(content).ok_or_else(|| KeyError::BrokenPem { path: own() })?,
                };
                let key = SigningKey::from_pkcs8(&der, published).map_err(|reason| match &plain {
                    // A wrong passphrase leaves noise.
                    Some(_) => KeyError::WrongPassphrase { path: own() },
                    None => KeyError::WrongKey { path: own(), reason },
                })?;
                let kid = key.kid().to_owned();
                self.found.signing.push((key, own(), published));
                kid
            }
            FileExtension::Secret => {
                let text = plain.as_deref().map_or(content, Vec::as_slice);
                let secret = root_secret(text).ok_or_else(|| match &plain {
                    Some(_) => KeyError::WrongPassphrase { path: own() },
                    None => KeyError::NotARootSecret { path: own() },
                })?;
                let root = RootSecret::new(&secret, published);
                let kid = root.kid().to_owned();
                self.found.root_secrets.push((root, own(), published));
                kid
            }
            FileExtension::Jwk => {
                let key = PublicKey::from_jwk(content).ok_or_else(|| KeyError::NotAJwk { path: own() })?;
                self.found.public.push((key, own(), published));
                // The private half may still be here: a crash came before its removal.
                return Ok(());
            }
        };
        match self.seen.insert(kid, own()) {
            Some(other) => Err(KeyError::SameKey { path: own(), other }),
            None => Ok(()),
        }
    }
}

/// A new key: the name of its file and the content.
pub(in crate::crypto::keys) fn make(
    kind: KeyKind,
    now: DateTime<Utc>,
    passphrase: Option<&SecretString>,
) -> Result<(String, Zeroizing<String>), KeyError> {
    let (content, ending) = match kind {
        KeyKind::Signing(algorithm) => {
            let der = SigningKey::generate(algorithm).map_err(|_| KeyError::NotMade)?;
            (passphrase.map_or_else(|| Ok(encode("PRIVATE KEY", &der)), |with| encryption::seal(&der, with)), "pem")
        }
        KeyKind::RootSecret => {
            let line = Zeroizing::new(format!("{}\n", Random.secret().expose_secret()));
            (passphrase.map_or_else(|| Ok(line.clone()), |with| encryption::seal(line.as_bytes(), with)), "secret")
        }
    };
    Ok((format!("{}-{}.{ending}", now.format(TIME), kind.as_str()), content?))
}

/// Encrypts the file at `path`, if it is not encrypted yet; returns whether it was not.
pub(in crate::crypto::keys) fn encrypt(
    path: &Path,
    ending: FileExtension,
    passphrase: &SecretString,
) -> Result<bool, KeyError> {
    let content = folder::read(path)?;
    if ending == FileExtension::Jwk || encryption::is_sealed(&content) {
        return Ok(false);
    }
    let plain = match ending {
        FileExtension::Pem => pkcs8(&content).ok_or_else(|| KeyError::BrokenPem { path: path.to_owned() })?,
        FileExtension::Secret | FileExtension::Jwk => content,
    };
    let sealed = encryption::seal(&plain, passphrase)?;
    let (dir, name) = (path.parent().unwrap_or(Path::new(".")), path.file_name().unwrap_or_default());
    folder::write(dir, &name.to_string_lossy(), sealed.as_bytes(), Existing::IsReplaced)?;
    Ok(true)
}

const TIME: &str = "%Y%m%dT%H%M%SZ";

/// The time at the beginning of the name; 1970 if there is none.
fn published(path: &Path) -> DateTime<Utc> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split_once('-')
        .and_then(|(time, _)| NaiveDateTime::parse_from_str(time, TIME).ok())
        .map_or(DateTime::UNIX_EPOCH, |time| time.and_utc())
}

fn root_secret(content: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut secret = Zeroizing::new([0; 32]);
    // Check the length as well: `decode_slice` refuses a secret that is too long, but not one that is too short.
    let written = BASE64_URL_SAFE_NO_PAD.decode_slice(line, secret.as_mut_slice()).ok()?;
    (line.len() == 43 && written == 32).then_some(secret)
}

#[cfg(test)]
mod tests;
