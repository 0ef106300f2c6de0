//! The folder that stands for a mail server where none is configured: one `.eml` file a mail (RFC 5322).

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::domain::mail::Email;

/// The name of a letter's file: the same each time it is sent, and sorted by time.
pub(in crate::outbound) fn file_name(letter: &Email) -> String {
    format!("{}-{}.eml", letter.written_at.format("%Y%m%dT%H%M%SZ"), letter.id)
}

/// Puts `mail` into `dir` under `name`, for the owner of this process alone, and tells the file's path. The folder is
/// made where it is missing. After this returns, neither a reader nor a crash ever sees less than the whole file; one
/// that is there already is the same mail, sent again, and is replaced.
///
/// # Errors
/// What the system says of the folder or the file.
pub(in crate::outbound) fn put(dir: &Path, name: &str, mail: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let (path, draft) = (dir.join(name), dir.join(format!(".{name}.new")));
    // A draft that a crash left behind may have less in it; nobody else writes this letter meanwhile.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(mail)?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(path)
}
