//! The database, and caches of it in memory.
//!
//! One file for each aggregate; no other layer knows SQL. Queries take a [`Database`] or a [`Transaction`] and return
//! domain types. A rule that two requests may race for is part of the statement itself, never of a SELECT before it.
//! SQLite and Postgres run the same queries.

pub mod authorization_codes;
mod backup;
pub mod changes;
pub mod client_assertions;
pub mod clients;
mod connection;
pub mod consents;
pub mod counted_emails;
mod database;
mod ended_indexes;
pub mod entity_cache;
mod error;
pub mod federation_attempts;
mod guard;
pub mod identities;
pub mod jobs;
pub mod key_records;
pub mod logout_notices;
pub mod one_use_secrets;
pub mod outbox;
pub mod password_costs;
pub mod pending_ends;
#[cfg(test)]
mod plans;
mod postgres;
mod probe;
pub mod rate_limits;
pub mod refused_names;
pub mod revocations;
mod rows;
pub mod schema;
pub mod session_cutoffs;
pub mod sessions;
pub mod throttles;
pub mod users;
pub mod verified_tokens;

pub use backup::backup;
pub use connection::{Database, Transaction};
pub use database::{Pools, Use, begin, close, commit, connect, connections, sqlite_file};
pub use error::StoreError;
pub use probe::is_writable;
