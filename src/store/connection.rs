//! Connections and transactions, with two guards around every statement.
//!
//! A statement of a request ends within [`PATIENCE`], also where the server has stopped in the middle of it: Postgres'
//! own time-outs do not run in a process that hangs. And a connection that turns out to be read-only is replaced: after a
//! failover, or after a change of `default_transaction_read_only`, it would stay so for the half hour of its life.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, RuntimeErr, Statement, TransactionOptions, TransactionTrait,
    entity::prelude::async_trait::async_trait, sqlx,
};

/// The longest wait for one statement, beyond the time-outs of Postgres itself. With the wait for a connection it is
/// less than ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);
/// A younger connection is not replaced: while the whole database is read-only, a new one would be no better.
const REPLACED_AFTER: Duration = Duration::from_secs(1);
/// Postgres' code for a write in a read-only transaction (its manual, appendix A).
const READ_ONLY: &str = "25006";

/// A pool of connections.
#[derive(Debug, Clone, Default)]
pub struct Database {
    pub(super) connections: DatabaseConnection,
    pub(super) guard: Guard,
}

/// An open transaction. Dropping it without [`commit`](super::commit) rolls it back.
#[derive(Debug)]
pub struct Transaction {
    pub(super) transaction: DatabaseTransaction,
    guard: Guard,
}

/// Watches statements.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    patience: Option<Duration>,
    /// When a connection was last found to be read-only.
    read_only: Arc<Mutex<Option<Instant>>>,
}

impl Guard {
    /// The guard of connections that answer requests.
    pub(super) fn of_requests() -> Self {
        Self { patience: Some(PATIENCE), ..Self::default() }
    }

    /// Whether a connection that was opened `age` ago may be used on.
    pub(super) fn admits(&self, age: Duration) -> bool {
        let found = *self.read_only.lock().unwrap_or_else(PoisonError::into_inner);
        age < REPLACED_AFTER || found.is_none_or(|found| found.elapsed() > age)
    }

    /// Notes that connections opened until now may be read-only.
    pub(super) fn found_read_only(&self) {
        *self.read_only.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    async fn watch<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
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

impl From<DatabaseConnection> for Database {
    fn from(connections: DatabaseConnection) -> Self {
        Self { connections, guard: Guard::default() }
    }
}

impl Database {
    pub(super) async fn begin(self, options: TransactionOptions) -> Result<Transaction, DbErr> {
        let begun = self.guard.watch(self.connections.begin_with_options(options)).await?;
        Ok(Transaction { transaction: begun, guard: self.guard })
    }

    /// The numbers of used and of idle connections.
    pub(super) fn counts(&self) -> (u32, u32) {
        // The accessors panic for a pool of another kind.
        let (open, idle) = match &self.connections.inner {
            DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
                let pool = self.connections.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
                let pool = self.connections.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            DatabaseConnectionType::Disconnected => (0, 0),
        };
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(open);
        (open - idle, idle)
    }
}

impl Transaction {
    pub(super) async fn commit(self) -> Result<(), DbErr> {
        self.guard.watch(self.transaction.commit()).await
    }
}

#[async_trait]
impl ConnectionTrait for Database {
    fn get_database_backend(&self) -> DbBackend {
        self.connections.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.guard.watch(self.connections.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.guard.watch(self.connections.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.guard.watch(self.connections.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.guard.watch(self.connections.query_all_raw(statement)).await
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.transaction.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.guard.watch(self.transaction.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.guard.watch(self.transaction.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.guard.watch(self.transaction.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.guard.watch(self.transaction.query_all_raw(statement)).await
    }
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
        assert!(guard.admits(Duration::ZERO), "it is as new as can be");
    }
}
