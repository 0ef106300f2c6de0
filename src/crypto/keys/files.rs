//! Reads all keys of the key folder, and makes new ones.
//!
//! A signing key is a PKCS#8 file `*.pem`; the root secret is a file `*.secret` with 43 characters of base64url on one
//! line. Our own file names begin with the time of publication, `20260131T120000Z-ES256.pem`. A file that an operator
//! mounts under another name counts as published in 1970, so as known to every verifier.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::{DateTime, NaiveDateTime, Utc};
use secrecy::{
    ExposeSecret,
    zeroize::{Zeroize, Zeroizing},
};
use tokio_rustls::rustls::pki_types::pem::{PemObject, SectionKind};

pub use crate::crypto::keys::{
    error::KeyError,
    set::{KeyKind, KeySet},
};
use crate::crypto::{
    keys::{
        folder::{self, FileExtension},
        root_secret::RootSecret,
        signing_key::SigningKey,
    },
    random::Random,
};

/// Reads every key of `dir`. A missing folder reads as an empty set.
///
/// # Errors
/// [`KeyError`] for the first file that is broken, unfit or exposed. A set is complete or refused.
pub fn read(dir: &Path) -> Result<KeySet, KeyError> {
    // List before reading: a file that changes meanwhile differs from this listing, and is read again.
    let listing = folder::list(dir)?;
    let (mut signing, mut root_secrets) = (Vec::new(), Vec::new());
    let mut seen: HashMap<String, PathBuf> = HashMap::new();
    for file in &listing.0 {
        let path = file.path.clone();
        let content = folder::read(&path)?;
        let published = published(&path);
        let kid = match file.ending {
            FileExtension::Pem => {
                let der = pkcs8(&content).ok_or_else(|| KeyError::BrokenPem { path: path.clone() })?;
                let key = SigningKey::from_pkcs8(&der, published)
                    .map_err(|reason| KeyError::WrongKey { path: path.clone(), reason })?;
                signing.push(key);
                signing.last().map(SigningKey::kid)
            }
            FileExtension::Secret => {
                let secret = root_secret(&content).ok_or_else(|| KeyError::NotARootSecret { path: path.clone() })?;
                root_secrets.push(RootSecret::new(&secret, published));
                root_secrets.last().map(RootSecret::kid)
            }
        };
        if let Some(other) = seen.insert(kid.unwrap_or_default().to_owned(), path.clone()) {
            return Err(KeyError::SameKey { path, other });
        }
    }
    Ok(KeySet::new(signing, root_secrets, listing))
}

/// Makes a new key of `kind` in `dir`, published at `now`, and returns its file name. A missing folder is created.
/// Folder and file are for their owner alone. On return, the file is complete and durable.
///
/// # Errors
/// [`KeyError`] if the folder cannot be written, or others can write it, or the file name is taken.
pub fn create(dir: &Path, kind: KeyKind, now: DateTime<Utc>) -> Result<String, KeyError> {
    let (content, ending) = match kind {
        KeyKind::Signing(algorithm) => (pem(&SigningKey::generate(algorithm).map_err(|_| KeyError::NotMade)?), "pem"),
        KeyKind::RootSecret => (Zeroizing::new(format!("{}\n", Random.secret().expose_secret())), "secret"),
    };
    let name = format!("{}-{}.{ending}", now.format(TIME), kind.as_str());
    folder::write(dir, &name, content.as_bytes())?;
    Ok(name)
}

const TIME: &str = "%Y%m%dT%H%M%SZ";

/// The time at the beginning of the name; 1970 if there is none.
fn published(path: &Path) -> DateTime<Utc> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split_once('-')
        .and_then(|(time, _)| NaiveDateTime::parse_from_str(time, TIME).ok())
        .map_or(DateTime::UNIX_EPOCH, |time| time.and_utc())
}

/// The one `PRIVATE KEY` section (RFC 7468 §10) of a PEM file; `None` if there is none, more than one, another kind or
/// a broken one.
pub(in crate::crypto) fn pkcs8(content: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(content);
    let (kind, der) = sections.next()?.ok()?;
    let der = Zeroizing::new(der);
    let alone = match sections.next() {
        None => true,
        Some(Ok((_, mut second))) => {
            second.zeroize();
            false
        }
        Some(Err(_)) => false,
    };
    (alone && kind == SectionKind::PrivateKey).then_some(der)
}

fn pem(der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(encoded.len() * 66 / 64 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
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
