//! Migrations, run by one process at a time.

use std::collections::BTreeSet;

use migration::{MigrationStatus, Migrator, MigratorTrait, SchemaManager};
use sea_orm::{ConnectionTrait, Statement};

use super::{
    Database, StoreError, Transaction,
    database::{APPLICATION, begin, commit, is_postgres},
};

/// The key of the advisory lock that replicas take before they migrate or make keys: "signet" in ASCII.
const LOCK: i64 = 0x7369_676e_6574;

/// Why the schema cannot be used or moved.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database has migrations that this version does not know.
    #[error(
        "this database was migrated by a newer signet (it has {0}, which this version does not know): run that version, \
         or revert its migrations with it first (`signet migrate down`)"
    )]
    Newer(String),
    /// Services use the schema.
    #[error("a running signet uses this database ({0} connections): stop every replica before you revert a migration")]
    InUse(i64),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sea_orm::DbErr> for SchemaError {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Store(error.into())
    }
}

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
/// [`SchemaError`] if the database cannot be reached, is newer, or refuses a migration.
pub async fn up(db: &Database) -> Result<(), SchemaError> {
    let transaction = lock(db).await?;
    refuse_newer(&transaction).await?;
    Migrator::up(transaction.of_migrations()?, None).await?;
    Ok(commit(transaction).await?)
}

/// Reverts the newest migration.
///
/// # Errors
/// [`SchemaError`] if the database cannot be reached, is newer or in use, or refuses. On SQLite the caller sees to it
/// that no service runs.
pub async fn down(db: &Database) -> Result<(), SchemaError> {
    let transaction = lock(db).await?;
    refuse_newer(&transaction).await?;
    refuse_in_use(&transaction).await?;
    Migrator::down(transaction.of_migrations()?, Some(1)).await?;
    Ok(commit(transaction).await?)
}

/// The migrations, oldest first.
///
/// # Errors
/// [`SchemaError`] if the database cannot be reached or is newer.
pub async fn status(db: &Database) -> Result<Vec<Step>, SchemaError> {
    let transaction = lock(db).await?;
    refuse_newer(&transaction).await?;
    let steps = Migrator::get_migration_with_status(transaction.of_migrations()?).await?;
    commit(transaction).await?;
    Ok(steps
        .into_iter()
        .map(|step| Step { name: step.name().to_owned(), applied: step.status() == MigrationStatus::Applied })
        .collect())
}

/// The migrations of a database that is not there: none is applied.
#[must_use]
pub fn pending() -> Vec<Step> {
    Migrator::migrations().iter().map(|step| Step { name: step.name().to_owned(), applied: false }).collect()
}

/// An older version must not touch what it does not know. (The library's own error asks for a file of the migration.)
async fn refuse_newer(transaction: &Transaction) -> Result<(), SchemaError> {
    // Its table of applied migrations.
    const TABLE: &str = "seaql_migrations";
    if !SchemaManager::new(transaction.of_migrations()?).has_table(TABLE).await? {
        return Ok(());
    }
    let sql = format!("SELECT version FROM {TABLE} ORDER BY version");
    let rows = transaction.query_all_raw(Statement::from_string(transaction.get_database_backend(), sql)).await?;
    let known: BTreeSet<String> = pending().into_iter().map(|step| step.name).collect();
    for row in rows {
        let version: String = row.try_get_by_index(0)?;
        if !known.contains(&version) {
            return Err(SchemaError::Newer(version));
        }
    }
    Ok(())
}

/// Services keep connections open as long as they run.
async fn refuse_in_use(transaction: &Transaction) -> Result<(), SchemaError> {
    if !is_postgres(transaction) {
        return Ok(());
    }
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{APPLICATION}' \
         AND pid <> pg_backend_pid()"
    );
    let row = transaction.query_one_raw(Statement::from_string(transaction.get_database_backend(), sql)).await?;
    match row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0) {
        0 => Ok(()),
        connections => Err(SchemaError::InUse(connections)),
    }
}
