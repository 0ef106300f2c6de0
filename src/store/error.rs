//! Database errors.

use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row has this unique value.
    #[error("another row has the same {0}")]
    Duplicate(&'static str),
    /// The database is unreachable, busy, full or shutting down: the same request may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] DbErr),
    /// The database refused a statement that it never should: a fault of the code or the schema.
    #[error("the database refused a statement: {0}")]
    Broken(#[source] DbErr),
    /// This version cannot read a row.
    #[error("the database holds a {what} that cannot be read: {why}")]
    Unreadable {
        what: &'static str,
        /// The fault of the row.
        why: String,
    },
}

/// Postgres' classes of transient errors (its manual, appendix A): connection, transaction rollback, resources, object
/// state, operator intervention, system.
const PASSING_CLASSES: [&str; 6] = ["08", "40", "53", "55", "57", "58"];
/// Transient ones of another class: the transaction is read-only (after a failover), or was idle for too long.
const PASSING_STATES: [&str; 2] = ["25006", "25P03"];
/// SQLite's primary codes of transient errors: busy, locked, read-only, I/O error, full, cannot open.
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

impl StoreError {
    /// Whether the database gave way to another transaction: the same again may succeed at once. (Postgres: deadlock,
    /// serialization failure.)
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        let Self::Unavailable(DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) =
            self
        else {
            return false;
        };
        let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| ["40P01", "40001"].contains(&&*code))
    }

    /// Whether the connection broke during a statement: nobody knows whether that took effect.
    #[must_use]
    pub fn is_lost_connection(&self) -> bool {
        let Self::Unavailable(DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) =
            self
        else {
            return false;
        };
        matches!(&**cause, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
    }

    /// Whether the database answers and takes no writes: it is read-only, or its disk is full or broken.
    #[must_use]
    pub fn is_refused_write(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
            return false;
        };
        let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| {
            // SQLite: read-only, I/O error, full. Postgres: read-only, out of disk.
            let primary = code.parse::<u32>().map(|code| code & 0xFF);
            (code.len() < 5 && primary.is_ok_and(|code| [8, 10, 13].contains(&code)))
                || ["25006", "53100"].contains(&&*code)
        })
    }
}

/// Whether an error code of either database is transient. Postgres' codes have five characters; SQLite's are extended
/// result codes whose low byte is the primary code.
fn passes(code: &str) -> bool {
    if code.len() == 5
        && (PASSING_STATES.contains(&code) || PASSING_CLASSES.iter().any(|class| code.starts_with(class)))
    {
        return true;
    }
    code.len() != 5 && code.parse::<u32>().is_ok_and(|code| PASSING_CODES.contains(&(code & 0xFF)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_broken() {
        for passing in ["57P01", "53300", "40001", "25006", "5", "517", "13", "1038", "14"] {
            assert!(passes(passing), "{passing}");
        }
        for broken in ["42P01", "22021", "1", "20", "2067"] {
            assert!(!passes(broken), "{broken}");
        }
    }
}
