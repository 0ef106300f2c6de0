//! Migrations, run by one process at a time.

use migration::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::ConnectionTrait;

use super::{
    Database, StoreError, Transaction,
    database::{begin, commit, is_postgres},
};

/// The key of the advisory lock that replicas take before they migrate or make keys: "signet" in ASCII.
const LOCK: i64 = 0x7369_676e_6574;

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether it is applied to this database.
    pub applied: bool,
}

/// Opens a transaction that only one process at a time can hold, however many replicas start at once. The lock ends
/// with the transaction, even if the process dies.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database cannot be reached.
pub async fn lock(db: &Database) -> Result<Transaction, StoreError> {
    // On SQLite the IMMEDIATE transaction is the lock, since there is one writer.
    let transaction = begin(db).await?;
    if is_postgres(&transaction) {
        transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    Ok(transaction)
}

/// Applies all pending migrations, or none. Processes that start together take turns.
///
/// # Errors
/// [`StoreError`] if the database cannot be reached or refuses a migration.
pub async fn up(db: &Database) -> Result<(), StoreError> {
    let transaction = lock(db).await?;
    Migrator::up(&transaction, None).await?;
    commit(transaction).await
}

/// Reverts the newest migration.
///
/// # Errors
/// [`StoreError`] if the database cannot be reached or refuses.
pub async fn down(db: &Database) -> Result<(), StoreError> {
    let transaction = lock(db).await?;
    Migrator::down(&transaction, Some(1)).await?;
    commit(transaction).await
}

/// The migrations, oldest first.
///
/// # Errors
/// [`StoreError`] if the database cannot be reached.
pub async fn status(db: &Database) -> Result<Vec<Step>, StoreError> {
    let transaction = lock(db).await?;
    let steps = Migrator::get_migration_with_status(&transaction).await?;
    commit(transaction).await?;
    Ok(steps
        .into_iter()
        .map(|step| Step { name: step.name().to_owned(), applied: step.status() == MigrationStatus::Applied })
        .collect())
}
