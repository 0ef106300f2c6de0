//! The schema's steps, run by one process at a time.

use migration::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::ConnectionTrait;

use super::{
    Database, StoreError, Transaction,
    database::{begin, commit, is_postgres},
};

/// The key of the advisory lock that replicas take before they migrate or make keys: "signet" in ASCII.
const LOCK: i64 = 0x7369_676e_6574;

/// One step of the schema's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether this database has taken it.
    pub applied: bool,
}

/// Opens a transaction that only one process at a time can be in, however many replicas start at once. The lock ends
/// with the transaction, whatever becomes of the process.
///
/// # Errors
/// [`StoreError::Unavailable`] where the database cannot be reached.
pub async fn lock(db: &Database) -> Result<Transaction, StoreError> {
    // On SQLite an IMMEDIATE transaction is the lock: there is one writer.
    let transaction = begin(db).await?;
    if is_postgres(&transaction) {
        transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    Ok(transaction)
}

/// Takes every step not yet taken, all or none. Processes that start together take turns.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or refuses a step.
pub async fn up(db: &Database) -> Result<(), StoreError> {
    let transaction = lock(db).await?;
    Migrator::up(&transaction, None).await?;
    commit(transaction).await
}

/// Takes the newest step back.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached or refuses.
pub async fn down(db: &Database) -> Result<(), StoreError> {
    let transaction = lock(db).await?;
    Migrator::down(&transaction, Some(1)).await?;
    commit(transaction).await
}

/// The steps, oldest first.
///
/// # Errors
/// [`StoreError`] where the database cannot be reached.
pub async fn status(db: &Database) -> Result<Vec<Step>, StoreError> {
    let transaction = lock(db).await?;
    let steps = Migrator::get_migration_with_status(&transaction).await?;
    commit(transaction).await?;
    Ok(steps
        .into_iter()
        .map(|step| Step { name: step.name().to_owned(), applied: step.status() == MigrationStatus::Applied })
        .collect())
}
