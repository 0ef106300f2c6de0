//! Whether the database takes writes.

use chrono::{DateTime, Utc};
use entity::write_probe::{ActiveModel, Column, Entity};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, Statement, sea_query::OnConflict};

use super::{Database, StoreError, database::is_postgres, rows::unreadable};

/// Tries whether the database can be written; `false` where it says that it is read-only.
///
/// A SQLite file is written, since only a commit meets a full disk or a read-only file system. Postgres is asked: a
/// standby, and a server that was set to be read-only, say so.
///
/// # Errors
/// [`StoreError`] if the database does not answer, or refuses the write.
pub async fn is_writable(db: &Database, now: DateTime<Utc>) -> Result<bool, StoreError> {
    if !is_postgres(db) {
        let row = ActiveModel { id: Set(1), probed_at: Set(now) };
        let again = OnConflict::column(Column::Id).update_column(Column::ProbedAt).to_owned();
        Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
        return Ok(true);
    }
    let sql = "SELECT current_setting('transaction_read_only')";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| unreadable("setting", "no row"))?;
    let is_writable = row.try_get_by_index::<String>(0)? == "off";
    if is_writable {
        db.guard.found_writable();
    } else {
        db.guard.found_read_only();
    }
    Ok(is_writable)
}
