//! Between rows and domain types: lists are JSON text, and what a row holds is read with care.

use sea_orm::{ConnectionTrait, QueryResult, sea_query::InsertStatement};
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::domain::status_list::StatusPosition;

/// Runs an INSERT that returns its row, if it inserted one.
///
/// All rows are fetched, though there is one at the most: the `SQLite` driver stops a statement at the first row that is
/// asked for alone, commits when it drops it, and ignores what that commit says. On a full disk the row was acknowledged
/// and never written.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    statement: &InsertStatement,
) -> Result<Option<QueryResult>, StoreError> {
    Ok(db.query_all(statement).await?.into_iter().next())
}

/// A list as a column holds it.
pub(super) fn to_json<T: Serialize>(list: &T) -> String {
    // Lists of strings always serialize.
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

/// A list from a column of the table `what`.
pub(super) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|why| unreadable(what, why))
}

/// A place in the status lists from two columns of the table `what`.
pub(super) fn status_position(what: &'static str, list: i32, index: i32) -> Result<StatusPosition, StoreError> {
    let list = u16::try_from(list).map_err(|why| unreadable(what, why))?;
    let index = u32::try_from(index).map_err(|why| unreadable(what, why))?;
    if index >= StatusPosition::LIST_LENGTH {
        return Err(unreadable(what, "a place beyond the end of its status list"));
    }
    Ok(StatusPosition { list, index })
}

/// A row of the table `what` that this version cannot read.
pub(super) fn unreadable(what: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable { what, why: why.to_string() }
}
