//! The folder in place of a mail server: one `.eml` file for each email (RFC 5322).

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use chrono::{DateTime, NaiveDateTime, Utc};
use uuid::Uuid;

use crate::domain::mail::Email;

/// The time in a file's name.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// The file name of an email: the same each time it is sent, and sorted by time.
pub(in crate::outbound) fn file_name(email: &Email) -> String {
    format!("{}-{}.eml", email.written_at.format(TIME), email.id)
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

/// Deletes the emails that were written before `over`, and drafts of that time that a crash left behind. Files of other
/// names are not ours. Returns how many there were.
///
/// # Errors
/// The system's error for the folder or a file. A folder that does not exist is empty.
pub fn prune(dir: &Path, over: DateTime<Utc>) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut deleted = 0;
    for entry in entries {
        let entry = entry?;
        let is_old = entry.file_name().to_str().and_then(written_at).is_some_and(|written| written < over);
        if is_old {
            fs::remove_file(entry.path())?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// When the email of a file was written, by the file's name; `None` if we did not choose the name.
fn written_at(name: &str) -> Option<DateTime<Utc>> {
    let draft = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
    let (time, id) = draft.unwrap_or(name).strip_suffix(".eml")?.split_once('-')?;
    Uuid::parse_str(id).ok()?;
    NaiveDateTime::parse_from_str(time, TIME).ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_tell_a_time() {
        let id = Uuid::from_u128(7);
        let time: DateTime<Utc> = "2026-11-03T09:05:07Z".parse().unwrap();
        assert_eq!(written_at(&format!("20261103T090507Z-{id}.eml")), Some(time));
        assert_eq!(written_at(&format!(".20261103T090507Z-{id}.eml.new")), Some(time));
        for name in ["", "a.eml", "20261103T090507Z.eml", "20261103T090507Z-x.eml", "-.eml", "README"] {
            assert_eq!(written_at(name), None, "{name}");
        }
    }
}
