//! Copies of a SQLite database, by SQLite's own means.

use sea_orm::{ConnectionTrait, Statement};

use super::{Database, StoreError};

/// Copies the database to `file`, which must be empty: one consistent state, whatever is written meanwhile. Readers and
/// writers go on beside it.
///
/// # Errors
/// [`StoreError`] if the copy cannot be made; what it left in the file is worth nothing.
pub async fn backup(db: &Database, file: &str) -> Result<(), StoreError> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), "VACUUM INTO ?", [file.into()]);
    db.execute_raw(statement).await?;
    Ok(())
}
