//! The data folders, and the lock of a SQLite database.

use std::{
    fs::{DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt,
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
