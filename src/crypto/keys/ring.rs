//! The keys in force, shared by all services that sign and verify.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use crate::crypto::keys::{
    root_secret::Purpose,
    set::{KeyKind, KeySet},
};
use crate::{
    crypto::keys::{files::KeyError, source::KeySource},
    domain::{key_schedule::RevokedKey, signing_key::SigningAlgorithm},
};

/// Holds the last valid reading of the keys.
#[derive(Debug)]
pub struct Keyring {
    source: KeySource,
    set: RwLock<Arc<KeySet>>,
    /// Held while the set is replaced, so that neither of two changes is lost.
    changing: Mutex<()>,
}

impl Keyring {
    /// A keyring with `set`, as read from `source`.
    #[must_use]
    pub fn new(source: KeySource, set: KeySet) -> Self {
        Self { source, set: RwLock::new(Arc::new(set)), changing: Mutex::default() }
    }

    /// The set in force. A request asks for it once, so that its keys do not change halfway.
    #[must_use]
    pub fn current(&self) -> Arc<KeySet> {
        // A poisoned lock still holds a whole set: sets are only replaced as a whole.
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the keys come from.
    #[must_use]
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// Reads the folder again if one of its files has changed, and returns whether the keys have. An unchanged folder
    /// costs one look at each file's metadata. It blocks on the file system.
    ///
    /// # Errors
    /// [`KeyError`] if the folder is not valid any more, or lacks all keys of an algorithm or all root secrets. The
    /// last valid set stays in force: a lost mount must not make every token a forgery.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current();
        if !self.source.has_changed(old.listing())? {
            return Ok(false);
        }
        let new = self.source.read(old.revoked())?;
        let vanished = |what| Err(KeyError::Vanished { path: self.source.name().to_owned(), what });
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
        self.replace(new);
        Ok(changed)
    }

    /// Takes a revoked key out of force, whether its file is still there or not, and returns whether it was in force. It
    /// reads the folder first, for the key that takes its place; so it blocks on the file system.
    pub fn revoke(&self, key: &RevokedKey) -> bool {
        // The background reader reports what is wrong with the folder.
        let _ = self.reload();
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current();
        if old.revoked().contains(key) {
            return false;
        }
        let revoked = old.revoked().iter().cloned().chain([key.clone()]).collect();
        let new = old.without(revoked);
        let changed = !new.same_keys(&old);
        self.replace(new);
        changed
    }

    fn replace(&self, new: KeySet) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use chrono::{DateTime, TimeDelta};
    use tempfile::TempDir;

    use super::*;
    use crate::crypto::keys::files;

    const ES256: KeyKind = KeyKind::Signing(SigningAlgorithm::ES256);

    /// A folder with an ES256 key and a root secret, and its keyring.
    fn opened() -> (TempDir, Keyring, Vec<PathBuf>) {
        let dir = TempDir::new().unwrap();
        let make = |kind| dir.path().join(files::create(dir.path(), kind, DateTime::UNIX_EPOCH).unwrap());
        let files = vec![make(ES256), make(KeyKind::RootSecret)];
        let keyring = Keyring::new(KeySource::folder(dir.path().to_owned()), files::read(dir.path()).unwrap());
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
        assert!(keyring.current().find_of_any_age(&old).is_none());
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

    #[test]
    fn a_revoked_key_is_out_of_force_although_its_file_stays() {
        let (dir, keyring, _) = opened();
        let old = keyring.current().signing_keys()[0].clone();
        let revoked = RevokedKey {
            kid: old.key.kid().to_owned(),
            kind: ES256,
            published: old.life.published,
            revoked: DateTime::UNIX_EPOCH + TimeDelta::days(1),
        };
        // Its successor is read at the same time.
        files::create(dir.path(), ES256, DateTime::UNIX_EPOCH + TimeDelta::days(1)).unwrap();
        assert!(keyring.revoke(&revoked) && !keyring.revoke(&revoked));
        let kids = |keyring: &Keyring| keyring.current().kids().iter().map(ToString::to_string).collect::<Vec<_>>();
        let left = kids(&keyring);
        assert!(left.len() == 1 && left[0] != revoked.kid);
        files::create(dir.path(), ES256, DateTime::UNIX_EPOCH + TimeDelta::days(2)).unwrap();
        assert!(keyring.reload().unwrap());
        assert!(!kids(&keyring).contains(&revoked.kid), "not after a reading either");
        // The last one of its kind goes, too.
        for held in keyring.current().signing_keys() {
            let kid = held.key.kid().to_owned();
            keyring.revoke(&RevokedKey { kid, ..revoked.clone() });
        }
        assert!(!keyring.current().has(ES256));
    }
}
