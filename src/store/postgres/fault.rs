//! What a failed statement means for its connection, and for the statement.

use std::io;

use sea_orm::sqlx::{
    self,
    postgres::{PgDatabaseError, PgSeverity},
};

/// Why a statement failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: sqlx::Error,
    pub(super) kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The server refused the statement; the connection can be used on.
    Refused,
    /// The connection is lost, and the statement certainly had no effect.
    LostBefore,
    /// The connection is lost. Whether the statement took effect is not known.
    Lost,
}

impl Fault {
    /// `is_answered`: whether a part of the answer had come before.
    pub(super) fn of(error: sqlx::Error, is_answered: bool) -> Self {
        let kind = match &error {
            sqlx::Error::Database(refusal) => of_refusal(refusal.try_downcast_ref(), is_answered),
            // Postgres closed the connection before the end of the statement reached it. A statement takes effect no
            // sooner than at the Sync message, which is its last.
            sqlx::Error::Io(cause) if cause.kind() == io::ErrorKind::BrokenPipe && !is_answered => {
                FaultKind::LostBefore
            }
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                FaultKind::Lost
            }
            _ => FaultKind::Refused,
        };
        Self { error, kind }
    }

    /// Whether `sql` may run once more, on another connection.
    pub(super) fn may_be_repeated(&self, sql: &str) -> bool {
        match self.kind {
            FaultKind::Refused => false,
            FaultKind::LostBefore => true,
            FaultKind::Lost => is_read(sql),
        }
    }
}

/// Postgres ends a connection with an error of severity FATAL: after `pg_terminate_backend`, or when it stops. Such an
/// error in place of an answer says that the statement was rolled back: the answer to a statement comes before its
/// commit.
fn of_refusal(refusal: Option<&PgDatabaseError>, is_answered: bool) -> FaultKind {
    let Some(refusal) = refusal else { return FaultKind::Lost };
    match refusal.severity() {
        PgSeverity::Fatal if refusal.code().starts_with("57P") && !is_answered => FaultKind::LostBefore,
        PgSeverity::Fatal | PgSeverity::Panic => FaultKind::Lost,
        _ if refusal.code().starts_with("57P") || refusal.code().starts_with("08") => FaultKind::Lost,
        _ => FaultKind::Refused,
    }
}

/// Only reads: entities build no SELECT that changes a row, and locks that one takes end with it.
fn is_read(sql: &str) -> bool {
    sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = "SELECT 1";
    const WRITE: &str = "UPDATE session SET generation = 2";

    fn io(kind: io::ErrorKind, is_answered: bool) -> Fault {
        Fault::of(sqlx::Error::Io(kind.into()), is_answered)
    }

    #[test]
    fn a_write_is_repeated_only_if_it_cannot_have_taken_effect() {
        assert!(io(io::ErrorKind::BrokenPipe, false).may_be_repeated(WRITE));
        for (kind, is_answered) in [
            (io::ErrorKind::BrokenPipe, true),
            (io::ErrorKind::ConnectionReset, false),
            (io::ErrorKind::UnexpectedEof, false),
            (io::ErrorKind::TimedOut, false),
        ] {
            assert!(!io(kind, is_answered).may_be_repeated(WRITE), "{kind}");
            assert!(io(kind, is_answered).may_be_repeated(READ), "{kind}");
        }
    }

    #[test]
    fn an_error_of_our_own_leaves_the_connection_as_it_is() {
        let fault = Fault::of(sqlx::Error::RowNotFound, false);
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(!fault.may_be_repeated(READ));
    }
}
