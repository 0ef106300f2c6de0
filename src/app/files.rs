//! The data folders, and the lock of a SQLite database.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::error::StartError;
use crate::{config::Config, store::sqlite_file};

/// Creates the folders and locks a SQLite database: only one process may serve a file.
pub(super) fn prepare_files(config: &Config) -> Result<Option<File>, StartError> {
    prepare_data_dir(config)?;
    let Some(database) = sqlite_file(&config.database_url) else { return Ok(None) };
    let mut name = database.into_os_string();
    name.push(".lock");
    let path = PathBuf::from(name);
    let cannot = |cause| StartError::Folder { path: path.clone(), cause };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked(path)),
        Err(TryLockError::Error(cause)) => Err(cannot(cause)),
    }
}

/// Refuses a configuration whose SQLite file does not exist: in a wrong folder, a new one would read as "there are no
/// users".
pub(super) fn require_database(config: &Config) -> Result<(), StartError> {
    match sqlite_file(&config.database_url) {
        Some(file) if !file.exists() => Err(StartError::NoDatabase(file)),
        Some(_) | None => Ok(()),
    }
}

/// Restricts the SQLite file, and the files of its journal, to their owner: a restored database often has the mode of
/// the archive. The files are not opened: closing a descriptor would drop the locks of SQLite.
pub(super) fn close_to_others(config: &Config) -> Result<(), StartError> {
    let Some(database) = sqlite_file(&config.database_url) else { return Ok(()) };
    for ending in ["", "-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(ending);
        let path = PathBuf::from(name);
        let tightened = match fs::metadata(&path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
                tracing::warn!("{} could be read or written by others; it is its owner's alone now", path.display());
                fs::set_permissions(&path, Permissions::from_mode(0o600))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        tightened.map_err(|cause| StartError::ExposedDatabase { path, cause })?;
    }
    Ok(())
}

/// Creates the data folder and the folder of a SQLite file if they are missing, readable by their owner alone.
pub(super) fn prepare_data_dir(config: &Config) -> Result<(), StartError> {
    let database = sqlite_file(&config.database_url);
    let beside = database.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    for folder in [Some(config.data_dir.as_path()), beside].into_iter().flatten() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|cause| StartError::Folder { path: folder.to_owned(), cause })?;
    }
    Ok(())
}
