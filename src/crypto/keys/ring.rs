//! The keys in force, shared by all services that sign and verify.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

pub use crate::crypto::keys::{
    root_secret::Purpose,
    set::{KeyKind, KeySet},
};
use crate::{
    crypto::keys::{
        files::{self, KeyError},
        folder,
    },
    domain::signing_key::SigningAlgorithm,
};

/// Holds the last valid reading of the key folder.
#[derive(Debug)]
pub struct Keyring {
    dir: PathBuf,
    set: RwLock<Arc<KeySet>>,
}

impl Keyring {
    /// A keyring with `set`, as read from `dir`.
    #[must_use]
    pub fn new(dir: PathBuf, set: KeySet) -> Self {
        Self { dir, set: RwLock::new(Arc::new(set)) }
    }

    /// The set in force. A request asks for it once, so that its keys do not change halfway.
    #[must_use]
    pub fn current(&self) -> Arc<KeySet> {
        // A poisoned lock still holds a whole set: sets are only replaced as a whole.
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the folder again if one of its files has changed, and returns whether the keys have. An unchanged folder
    /// costs one look at each file's metadata. It blocks on the file system.
    ///
    /// # Errors
    /// [`KeyError`] if the folder is not valid any more, or lacks all keys of an algorithm or all root secrets. The
    /// last valid set stays in force: a lost mount must not make every token a forgery.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let old = self.current();
        if folder::list(&self.dir)? == *old.listing() {
            return Ok(false);
        }
        let new = files::read(&self.dir)?;
        let vanished = |what| Err(KeyError::Vanished { path: self.dir.clone(), what });
        for algorithm in SigningAlgorithm::ALL {
            let kind = KeyKind::Signing(algorithm);
            if old.has(kind) && !new.has(kind) {
                return vanished(kind.as_str());
            }
        }
        if new.root_secrets().is_empty() && !old.root_secrets().is_empty() {
            return vanished("root secret");
        }
        let changed = !new.same_keys(&old);
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::{DateTime, TimeDelta};
    use tempfile::TempDir;

    use super::*;
    use crate::domain::signing_key::SigningAlgorithm;

    const ES256: KeyKind = KeyKind::Signing(SigningAlgorithm::ES256);

    /// A folder with an ES256 key and a root secret, and its keyring.
    fn opened() -> (TempDir, Keyring, Vec<PathBuf>) {
        let dir = TempDir::new().unwrap();
        let make = |kind| dir.path().join(files::create(dir.path(), kind, DateTime::UNIX_EPOCH).unwrap());
        let files = vec![make(ES256), make(KeyKind::RootSecret)];
        let keyring = Keyring::new(dir.path().to_owned(), files::read(dir.path()).unwrap());
        (dir, keyring, files)
    }

    #[test]
    fn a_broken_folder_leaves_the_last_good_set_in_force() {
        let (dir, keyring, _) = opened();
        let before = keyring.current();
        fs::write(dir.path().join("broken.pem"), "broken").unwrap();
        assert!(keyring.reload().is_err() && keyring.reload().is_err());
        assert!(Arc::ptr_eq(&before, &keyring.current()));
        fs::remove_file(dir.path().join("broken.pem")).unwrap();
        assert!(!keyring.reload().unwrap());
    }

    #[test]
    fn a_lost_mount_takes_no_key_out_of_force() {
        for lost in [0, 1] {
            let (dir, keyring, files) = opened();
            fs::remove_file(&files[lost]).unwrap();
            assert!(matches!(keyring.reload(), Err(KeyError::Vanished { .. })));
            fs::remove_dir_all(dir.path()).unwrap();
            assert!(matches!(keyring.reload(), Err(KeyError::Vanished { .. })));
            assert!(keyring.current().has(ES256) && keyring.current().has(KeyKind::RootSecret));
        }
    }

    #[test]
    fn a_new_key_is_seen_and_one_taken_away_is_gone() {
        let (dir, keyring, files) = opened();
        assert!(!keyring.reload().unwrap(), "nothing changed");
        let old = keyring.current().kids()[0].to_owned();
        files::create(dir.path(), ES256, DateTime::UNIX_EPOCH + TimeDelta::days(1)).unwrap();
        assert!(keyring.reload().unwrap());
        assert_eq!(keyring.current().kids().len(), 2);
        fs::remove_file(&files[0]).unwrap();
        assert!(keyring.reload().unwrap());
        assert!(keyring.current().find(&old).is_none());
        assert!(!keyring.reload().unwrap());
    }

    #[test]
    fn a_touched_file_is_read_again_but_is_no_change() {
        let (_dir, keyring, files) = opened();
        let content = fs::read(&files[0]).unwrap();
        fs::write(&files[0], content).unwrap();
        assert!(!keyring.reload().unwrap());
    }

    #[test]
    fn a_file_that_becomes_readable_for_others_is_an_error_from_then_on() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, keyring, files) = opened();
        fs::set_permissions(&files[0], fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(keyring.reload(), Err(KeyError::ExposedFile { .. })));
    }
}
