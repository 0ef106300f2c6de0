//! Where keys come from: a folder, or a text of the environment on platforms without a disk.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::keys::{
        error::KeyError,
        files::{self, Reader},
        folder::{self, Existing, FileExtension, Listing},
        set::{Held, KeyKind, KeySet},
        signing_key::SigningKey,
    },
    domain::key_schedule::{KeyTimes, RevokedKey},
};

/// Where keys are read from, and the times that they live by.
#[derive(Debug, Clone)]
pub struct KeySource {
    pub dir: PathBuf,
    /// The keys of the environment, which take the place of the folder.
    pub bundle: Option<SecretString>,
    /// Encrypts new files, and opens encrypted ones.
    pub passphrase: Option<SecretString>,
    pub times: KeyTimes,
}

/// How many seconds ahead the name of a new key may be, in search of one that is free.
const MOST_AT_ONCE: i64 = 30;

/// The name of the text of the environment, as the folder of its files in messages.
const BUNDLE: &str = "SIGNET_KEYS";

impl KeySource {
    /// A folder of unencrypted keys, with the default times.
    #[must_use]
    pub fn folder(dir: PathBuf) -> Self {
        Self { dir, bundle: None, passphrase: None, times: KeyTimes::default() }
    }

    /// The folder, or the variable, as messages name it.
    #[must_use]
    pub fn name(&self) -> &Path {
        if self.bundle.is_some() { Path::new(BUNDLE) } else { &self.dir }
    }

    /// Reads every key but the revoked ones. A missing folder reads as an empty set.
    ///
    /// # Errors
    /// [`KeyError`] for the first file that is broken, unfit or exposed. A set is complete or refused.
    pub fn read(&self, revoked: &Arc<[RevokedKey]>) -> Result<KeySet, KeyError> {
        let mut reader = Reader::default();
        if let Some(bundle) = &self.bundle {
            for (path, ending, content) in parts(bundle.expose_secret())? {
                reader.add(&path, ending, content.as_bytes(), self.passphrase.as_ref())?;
            }
        } else {
            // List before reading: a file that changes meanwhile differs from this listing, and is read again.
            reader.found.listing = folder::list(&self.dir)?;
            for file in reader.found.listing.0.clone() {
                reader.add(&file.path, file.ending, &folder::read(&file.path)?, self.passphrase.as_ref())?;
            }
        }
        Ok(KeySet::new(reader.found, self.times, Arc::clone(revoked)))
    }

    /// Whether the files differ from those of `set`.
    pub(in crate::crypto::keys) fn has_changed(&self, listing: &Listing) -> Result<bool, KeyError> {
        Ok(self.bundle.is_none() && folder::list(&self.dir)? != *listing)
    }

    /// Makes a new key of `kind`, published at `now`, and returns its file name. A missing folder is created. Folder and
    /// file are for their owner alone. On return, the file is complete and durable.
    ///
    /// # Errors
    /// [`KeyError`] if the folder cannot be written, or others can write it, or the file name is taken.
    pub fn create(&self, kind: KeyKind, now: DateTime<Utc>) -> Result<String, KeyError> {
        if self.bundle.is_some() {
            return Err(KeyError::Fixed);
        }
        let (name, content) = files::make(kind, now, self.passphrase.as_ref())?;
        folder::write(&self.dir, &name, content.as_bytes(), Existing::Stays)?;
        Ok(name)
    }

    /// As [`Self::create`], with the next free second in its name: keys may be made in quick succession.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_next(&self, kind: KeyKind, now: DateTime<Utc>) -> Result<String, KeyError> {
        let mut made = self.create(kind, now);
        for later in 1..=MOST_AT_ONCE {
            if !matches!(made, Err(KeyError::Exists { .. })) {
                break;
            }
            made = self.create(kind, now + TimeDelta::seconds(later));
        }
        made
    }

    /// Keeps the public half alone of a key that is gone.
    ///
    /// # Errors
    /// [`KeyError`] if the folder cannot be written.
    pub fn keep_public_half(&self, held: &Held<SigningKey>) -> Result<(), KeyError> {
        let jwk = serde_json::to_vec(held.key.public().jwk()).map_err(|_| KeyError::NotMade)?;
        let name = held.file.with_extension("jwk");
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        match folder::write(&self.dir, &name, &jwk, Existing::Stays) {
            // A crash came before the removal.
            Ok(()) | Err(KeyError::Exists { .. }) => self.remove(&held.file),
            Err(error) => Err(error),
        }
    }

    /// Removes a key file.
    ///
    /// # Errors
    /// [`KeyError`] if the folder cannot be written.
    pub fn remove(&self, file: &Path) -> Result<(), KeyError> {
        if self.bundle.is_some() { Err(KeyError::Fixed) } else { folder::remove(file) }
    }

    /// Encrypts the files that are not, if there is a passphrase, and returns their paths.
    ///
    /// # Errors
    /// [`KeyError`] if one cannot be read or written.
    pub fn encrypt(&self) -> Result<Vec<PathBuf>, KeyError> {
        let (Some(passphrase), None) = (&self.passphrase, &self.bundle) else { return Ok(Vec::new()) };
        let mut encrypted = Vec::new();
        for file in folder::list(&self.dir)?.0 {
            if files::encrypt(&file.path, file.ending, passphrase)? {
                encrypted.push(file.path);
            }
        }
        Ok(encrypted)
    }
}

/// The files in the text of the environment, as `tail -n +1 keys/*` prints them: each after a line `==> NAME <==`. PEM
/// sections and root secrets without a name are taken as well.
fn parts(text: &str) -> Result<Vec<(PathBuf, FileExtension, String)>, KeyError> {
    let mut parts: Vec<(PathBuf, FileExtension, String)> = Vec::new();
    let mut named = false;
    let mut in_section = false;
    for line in text.lines().map(str::trim_end) {
        if let Some(name) = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <==")) {
            let name = name.rsplit('/').next().unwrap_or(name);
            let unknown = "a line `==> NAME <==` names no file *.pem, *.secret or *.jwk";
            let ending = FileExtension::of(name).ok_or(KeyError::BrokenBundle(unknown))?;
            parts.push((Path::new(BUNDLE).join(name), ending, String::new()));
            named = true;
        } else if named || in_section {
            in_section = in_section && !line.starts_with("-----END ");
            // A line after a name, or of the section that has begun.
            if let Some((_, _, content)) = parts.last_mut()
                && !line.is_empty()
            {
                content.push_str(line);
                content.push('\n');
            }
        } else if !line.is_empty() {
            let number = parts.len() + 1;
            let (ending, extension) = if line.starts_with("-----BEGIN ") {
                in_section = true;
                (FileExtension::Pem, "pem")
            } else {
                (FileExtension::Secret, "secret")
            };
            let name = Path::new(BUNDLE).join(format!("key {number}.{extension}"));
            parts.push((name, ending, format!("{line}\n")));
        }
    }
    if parts.is_empty() {
        return Err(KeyError::BrokenBundle("it holds no key; set it to what `tail -n +1 keys/*.*` prints"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_what_tail_prints_of_the_folder() {
        let dir = tempfile::TempDir::new().unwrap();
        let source = KeySource::folder(dir.path().to_owned());
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let kinds = [KeyKind::parse("ES256").unwrap(), KeyKind::RootSecret];
        let names = kinds.map(|kind| source.create(kind, now).unwrap());
        let of_folder = source.read(&[].into()).unwrap();
        let text = names.map(|name| {
            let content = std::fs::read_to_string(dir.path().join(&name)).unwrap();
            (format!("==> keys/{name} <==\n{content}\n"), content)
        });
        let bundle = |text: String| KeySource { bundle: Some(text.into()), ..source.clone() };
        let with_names = bundle(text[0].0.clone() + &text[1].0).read(&[].into()).unwrap();
        assert!(with_names.same_keys(&of_folder));
        let without = bundle(text[0].1.clone() + &text[1].1).read(&[].into()).unwrap();
        assert_eq!(without.fingerprints(), of_folder.fingerprints());
        assert_eq!(without.signing_keys()[0].life.published, DateTime::UNIX_EPOCH);
        for broken in ["", "\n", "==> keys/README.md <==\nx\n", "no key at all"] {
            assert!(bundle(broken.to_owned()).read(&[].into()).is_err(), "{broken}");
        }
        assert!(matches!(bundle(text[0].1.clone()).create(kinds[0], now), Err(KeyError::Fixed)));
    }
}
