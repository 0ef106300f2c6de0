//! What Signet does, told from the outside: over real sockets, each story on SQLite and on PostgreSQL.

mod harness;

mod clients;
mod errors;
mod operations;
mod original;
mod passwords;
mod readme;
mod sessions;
mod start;
mod tokens;
mod users;
mod verification;
