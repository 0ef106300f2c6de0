//! Two guards around every statement.
//!
//! A statement of a request ends within [`PATIENCE`], also where the server has stopped in the middle of it: Postgres'
//! own time-outs do not run in a process that hangs. And a connection that turns out to be read-only is replaced: after a
//! failover, or after a change of `default_transaction_read_only`, it would stay so for the half hour of its life.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// The longest wait for one statement, beyond the time-outs of Postgres itself. With the wait for a connection it is
/// less than ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);
/// A younger connection is not replaced: while the whole database is read-only, a new one would be no better.
const REPLACED_AFTER: Duration = Duration::from_secs(1);
/// Postgres' code for a write in a read-only transaction (its manual, appendix A).
const READ_ONLY: &str = "25006";

/// Watches statements.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    patience: Option<Duration>,
    read_only: Arc<Mutex<Option<ReadOnly>>>,
}

/// Connections opened before may be read-only.
#[derive(Debug, Clone, Copy)]
struct ReadOnly {
    found: Instant,
    /// Whether the database was writable at that time, so that a new connection is better than any from before.
    is_over: bool,
}

impl Guard {
    /// The guard of connections that answer requests.
    pub(super) fn of_requests() -> Self {
        Self { patience: Some(PATIENCE), ..Self::default() }
    }

    /// Whether a connection that was opened `age` ago may be used on.
    pub(super) fn admits(&self, age: Duration) -> bool {
        let state = *self.read_only.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_none_or(|state| state.found.elapsed() > age || (!state.is_over && age < REPLACED_AFTER))
    }

    /// Notes that connections opened until now may be read-only.
    pub(super) fn found_read_only(&self) {
        *self.read_only.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(ReadOnly { found: Instant::now(), is_over: false });
    }

    /// Notes that the database is writable: after a time when it was not, connections from before are replaced.
    pub(super) fn found_writable(&self) {
        let mut state = self.read_only.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_some_and(|state| !state.is_over) {
            *state = Some(ReadOnly { found: Instant::now(), is_over: true });
        }
    }

    pub(super) async fn watch<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let outcome = match self.patience {
            None => statement.await,
            Some(patience) => tokio::time::timeout(patience, statement).await.unwrap_or_else(|_| Err(hangs())),
        };
        if outcome.as_ref().is_err_and(is_read_only) {
            self.found_read_only();
        }
        outcome
    }
}

/// Nothing was answered in time. Whether the statement takes effect is not known.
fn hangs() -> DbErr {
    let error = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(error))))
}

fn is_read_only(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(cause))
    | DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return false;
    };
    cause.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == READ_ONLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_statement_that_hangs_ends_and_may_be_tried_again() {
        let guard = Guard { patience: Some(Duration::from_millis(1)), ..Guard::default() };
        let outcome = guard.watch(std::future::pending::<Result<(), DbErr>>()).await;
        let error = crate::store::StoreError::from(outcome.expect_err("it never ends"));
        assert!(matches!(error, crate::store::StoreError::Unavailable(_)), "{error}");
    }

    #[test]
    fn connections_from_before_the_last_refusal_are_replaced() {
        let guard = Guard::default();
        assert!(guard.admits(Duration::from_hours(1)));
        guard.found_read_only();
        assert!(!guard.admits(Duration::from_hours(1)));
        assert!(guard.admits(Duration::from_millis(500)), "a new one would be no better");
        guard.found_writable();
        assert!(!guard.admits(Duration::from_millis(500)), "a new one is better");
        assert!(guard.admits(Duration::ZERO), "it is as new as can be");
    }
}
