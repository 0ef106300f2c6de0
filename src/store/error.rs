//! What can go wrong with the database.

use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// A statement that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row has that unique value.
    #[error("another row has the same {0}")]
    Duplicate(&'static str),
    /// The database cannot be reached, is busy, full or shutting down: the same request may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] DbErr),
    /// The database answered something that it never should: a fault of ours, or of the schema.
    #[error("the database refused a statement: {0}")]
    Broken(#[source] DbErr),
    /// A row holds what this version cannot read.
    #[error("the database holds a {what} that cannot be read: {why}")]
    Unreadable {
        /// The table.
        what: &'static str,
        /// What is wrong with the row.
        why: String,
    },
}

/// Postgres' classes of errors that pass (its manual, appendix A): connection, rollback by a race, resources, not in
/// state, operator's intervention, system.
const PASSING_CLASSES: [&str; 6] = ["08", "40", "53", "55", "57", "58"];
/// SQLite's primary result codes that pass: busy, locked, read-only, I/O error, full, cannot open.
const PASSING_CODES: [u32; 6] = [5, 6, 8, 10, 13, 14];

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
            return Self::Duplicate("value");
        }
        let passing = match &error {
            DbErr::ConnectionAcquire(_) => true,
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => match &**cause {
                sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| passes(&code)),
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                _ => false,
            },
            _ => false,
        };
        if passing { Self::Unavailable(error) } else { Self::Broken(error) }
    }
}

/// Whether an error code of either database tells of something that passes. Postgres' codes have five characters,
/// SQLite's are extended result codes whose low byte is the primary one.
fn passes(code: &str) -> bool {
    if code.len() == 5 && PASSING_CLASSES.iter().any(|class| code.starts_with(class)) {
        return true;
    }
    code.len() != 5 && code.parse::<u32>().is_ok_and(|code| PASSING_CODES.contains(&(code & 0xFF)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_broken() {
        for passing in ["57P01", "53300", "40001", "5", "517", "13", "1038", "14"] {
            assert!(passes(passing), "{passing}");
        }
        for broken in ["42P01", "22021", "1", "20", "2067"] {
            assert!(!passes(broken), "{broken}");
        }
    }
}
