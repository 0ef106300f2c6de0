//! Copies of a SQLite database.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{
    error::StartError,
    files::{close_to_others, require_database},
};
use crate::{
    config::Config,
    store::{self, Use, sqlite_file},
};

/// Copies the SQLite database to a new file `to`, for its owner alone, while services run. When this returns, the copy
/// is whole and survives a crash.
///
/// The database is not migrated: a copy is made before an upgrade, too.
///
/// # Errors
/// [`StartError`]; then there is no file `to`, or the one that was there before.
pub async fn backup(config: &Config, to: &Path) -> Result<(), StartError> {
    if sqlite_file(&config.database_url).is_none() {
        return Err(StartError::BackupOfPostgres);
    }
    require_database(config)?;
    close_to_others(config)?;
    let cannot = |cause| StartError::Backup { path: to.to_owned(), cause };
    let name = to.to_str().ok_or_else(|| cannot(io::Error::other("its name is not UTF-8")))?;
    // SQLite treats an empty file as a missing one, and keeps its mode.
    File::options().write(true).create_new(true).mode(0o600).open(to).map_err(cannot)?;
    let copied = copy(config, name).await;
    if copied.is_err() {
        // Best effort: the first failure is the one to report.
        drop(fs::remove_file(to));
    }
    copied?;
    // SQLite does not sync a copy.
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(to).and_then(|file| file.sync_all()).and_then(|()| File::open(folder)?.sync_all());
    synced.map_err(cannot)
}

async fn copy(config: &Config, to: &str) -> Result<(), StartError> {
    let db = store::connect(&config.database_url, Use::Schema).await?;
    store::backup(&db, to).await?;
    Ok(store::close(db).await?)
}
