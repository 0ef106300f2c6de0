//! Connections and transactions on either database.

use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, sqlx::sqlite::SqliteJournalMode, sqlx::sqlite::SqliteSynchronous,
};
use secrecy::{ExposeSecret, SecretString};

use super::StoreError;

/// A pool of connections.
pub type Database = DatabaseConnection;
/// An open transaction; dropped without [`commit`] it leaves nothing behind.
pub type Transaction = DatabaseTransaction;

/// How long a request waits for a connection, and a connection for its server: far less than a client waits for us.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a `SQLite` statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Statements are milliseconds of work, so a replica needs few connections, and many replicas share one Postgres.
const POSTGRES_CONNECTIONS: u32 = 16;
/// `SQLite` has one writer at a time; the others read beside it.
const SQLITE_CONNECTIONS: u32 = 4;

/// Opens the database at `url` (`sqlite:` or `postgres:`), making a `SQLite` file where the URL says `mode=rwc`.
///
/// # Errors
/// [`StoreError::Unavailable`] where it cannot be reached or opened.
pub async fn connect(url: &SecretString) -> Result<Database, StoreError> {
    let url = url.expose_secret();
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false).acquire_timeout(ACQUIRE_TIMEOUT).connect_timeout(ACQUIRE_TIMEOUT);
    if url.starts_with("sqlite:") {
        options.max_connections(SQLITE_CONNECTIONS).map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                // WAL with NORMAL may lose the last commits to a power cut; an acknowledged change must not be lost.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
        });
    } else {
        options
            .max_connections(POSTGRES_CONNECTIONS)
            .map_sqlx_postgres_opts(|postgres| postgres.application_name("signet"));
    }
    Ok(sea_orm::Database::connect(options).await?)
}

/// Opens a transaction that may write: `IMMEDIATE` on `SQLite`, where a transaction that reads first and writes later
/// fails with "database is locked" when another wrote in between.
///
/// # Errors
/// [`StoreError::Unavailable`] where no connection is free in time.
pub async fn begin(db: &Database) -> Result<Transaction, StoreError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    Ok(db.begin_with_options(options).await?)
}

/// Makes the transaction's changes durable.
///
/// # Errors
/// [`StoreError::Unavailable`] where the database did not confirm; it may have committed all the same.
pub async fn commit(transaction: Transaction) -> Result<(), StoreError> {
    Ok(transaction.commit().await?)
}

/// Asks the database for nothing, to see that it answers.
///
/// # Errors
/// [`StoreError::Unavailable`] where it does not.
pub async fn is_reachable(db: &Database) -> Result<(), StoreError> {
    db.execute_unprepared("SELECT 1").await?;
    Ok(())
}

/// Whether this is Postgres.
pub(super) fn is_postgres(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Postgres
}
