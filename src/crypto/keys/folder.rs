//! Access to the key folder: which files count, and who may read and write them.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use secrecy::zeroize::Zeroizing;

use crate::crypto::keys::error::KeyError;

/// The longest file. No key needs more: RSA of 8192 bits in PEM has less than 7 kB.
const MAX_FILE_LENGTH: u64 = 64 * 1024;

/// The kind of a key file, by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::crypto) enum FileExtension {
    /// `.pem`: a signing key.
    Pem,
    /// `.secret`: a root secret.
    Secret,
    /// `.jwk`: the public half of a signing key that is gone.
    Jwk,
}

impl FileExtension {
    /// The kind of the file with this name. Names that begin with '.' (drafts, and the inner folders of Kubernetes mounts)
    /// and other extensions are of no kind.
    pub(in crate::crypto) fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.') {
            _ if name.starts_with('.') => None,
            Some((_, "pem")) => Some(Self::Pem),
            Some((_, "secret")) => Some(Self::Secret),
            Some((_, "jwk")) => Some(Self::Jwk),
            _ => None,
        }
    }
}

/// A key file, with the metadata that change whenever it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::crypto) struct Listed {
    pub(in crate::crypto) path: PathBuf,
    pub(in crate::crypto) ending: FileExtension,
    length: u64,
    mode: u32,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The key files, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::crypto) struct Listing(pub(in crate::crypto) Vec<Listed>);

/// Lists the key files of `dir`; a missing folder counts as empty.
pub(in crate::crypto) fn list(dir: &Path) -> Result<Listing, KeyError> {
    let unreadable = |path: &Path, source| KeyError::Unreadable { path: path.to_owned(), source };
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        Err(error) => return Err(unreadable(dir, error)),
    };
    refuse_exposed_folder(dir, &metadata)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, error))? {
        let path = entry.map_err(|error| unreadable(dir, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(ending) = FileExtension::of(&name) else { continue };
        // Follows symbolic links: secret mounts consist of them.
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        refuse_exposed_target(dir, &path)?;
        if !metadata.is_file() {
            return Err(KeyError::NotAFile { path });
        }
        files.push(Listed {
            ending,
            length: metadata.len(),
            mode: metadata.mode(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            path,
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Listing(files))
}

/// Reads a whole key file.
///
/// Refuses a file that other users can read or write, or that its group can write. The group may read: so do secret
/// mounts give a file to a process that is not root. The mode is that of the opened file, so that it cannot change in
/// between.
pub(in crate::crypto) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & 0o026 != 0 {
        return Err(KeyError::ExposedFile { path: path.to_owned() });
    }
    let mut content = Zeroizing::new(Vec::new());
    file.take(MAX_FILE_LENGTH).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

/// What becomes of a file that has the name of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::crypto) enum Existing {
    /// It stays, and the new one is refused.
    Stays,
    /// The new one takes its place.
    IsReplaced,
}

/// Writes `content` to a file `name` of `dir`, for its owner alone; creates the folder if it is missing. Once this
/// returns, neither a reader nor a crash ever sees less than the whole file.
///
/// # Errors
/// [`KeyError::Exists`] if the file exists and stays.
pub(in crate::crypto) fn write(dir: &Path, name: &str, content: &[u8], existing: Existing) -> Result<(), KeyError> {
    let unwritable = |path: &Path, source| KeyError::Unwritable { path: path.to_owned(), source };
    make_folder(dir).map_err(|error| unwritable(dir, error))?;
    let metadata = fs::metadata(dir).map_err(|error| unwritable(dir, error))?;
    refuse_exposed_folder(dir, &metadata)?;

    let target = dir.join(name);
    let draft = dir.join(format!(".{name}.new"));
    // The draft's name follows from the target's and is created exclusively. Of two writers of one name, one fails here
    // or finds the other's file below, so check and rename need no lock.
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(KeyError::Exists { path: target }),
        opened => opened.map_err(|error| unwritable(&draft, error))?,
    };
    let published = publish(file, content, &draft, &target, existing);
    if published.is_err() {
        // Best effort: the first failure is the one to report. A draft that stays is private and never read.
        let _ = fs::remove_file(&draft);
    }
    published?;
    sync(dir)
}

/// Removes a key file. When this returns, no crash brings it back.
pub(in crate::crypto) fn remove(path: &Path) -> Result<(), KeyError> {
    fs::remove_file(path).map_err(|source| KeyError::Unwritable { path: path.to_owned(), source })?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

fn sync(dir: &Path) -> Result<(), KeyError> {
    let unwritable = |source| KeyError::Unwritable { path: dir.to_owned(), source };
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(unwritable)
}

fn publish(mut file: File, content: &[u8], draft: &Path, target: &Path, existing: Existing) -> Result<(), KeyError> {
    let unwritable = |path: &Path, source| KeyError::Unwritable { path: path.to_owned(), source };
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| unwritable(draft, error))?;
    match fs::symlink_metadata(target) {
        Ok(_) if existing == Existing::Stays => return Err(KeyError::Exists { path: target.to_owned() }),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unwritable(target, error)),
    }
    fs::rename(draft, target).map_err(|error| unwritable(target, error))
}

fn make_folder(dir: &Path) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A user who can write the folder that a link leads to could put another file in the place of the target.
fn refuse_exposed_target(dir: &Path, path: &Path) -> Result<(), KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
    if !fs::symlink_metadata(path).map_err(unreadable)?.is_symlink() {
        return Ok(());
    }
    let target = fs::canonicalize(path).map_err(unreadable)?;
    let folder = target.parent().unwrap_or(dir);
    refuse_exposed_folder(folder, &fs::metadata(folder).map_err(unreadable)?)
}

/// A user who can write the folder could add a key, which the JWK set would then publish as ours.
fn refuse_exposed_folder(dir: &Path, metadata: &Metadata) -> Result<(), KeyError> {
    if metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    // Kubernetes mounts secrets read-only on folders of mode 1777. Setting the mode that a folder already has changes
    // nothing, and fails on a read-only mount.
    match fs::set_permissions(dir, metadata.permissions()) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        _ => Err(KeyError::ExposedFolder { path: dir.to_owned() }),
    }
}
