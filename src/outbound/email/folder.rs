//! The folder in place of a mail server: one `.eml` file for each email (RFC 5322).

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::domain::mail::Email;

/// The file name of an email: the same each time it is sent, and sorted by time.
pub(in crate::outbound) fn file_name(email: &Email) -> String {
    format!("{}-{}.eml", email.written_at.format("%Y%m%dT%H%M%SZ"), email.id)
}

/// Writes `content` to `dir/name`, readable by this process's user alone, and returns the path. The folder is created
/// if it is missing. Once this returns, neither a reader nor a crash ever sees less than the whole file. An existing
/// file is the same email sent before, and is replaced.
///
/// # Errors
/// The system's error for the folder or the file.
pub(in crate::outbound) fn put(dir: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let (path, draft) = (dir.join(name), dir.join(format!(".{name}.new")));
    // A draft that a crash left behind may be incomplete. Nobody else writes this email at the same time.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(path)
}
