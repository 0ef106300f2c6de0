//! What Signet does, told from the outside: over real sockets, each story on SQLite and on PostgreSQL.

mod harness;

mod addresses;
mod clients;
mod endurance;
mod errors;
mod introspection;
mod mailer;
mod metrics;
mod operations;
mod original;
mod outbox;
mod passwords;
mod pruning;
mod readme;
mod recovery;
mod replicas;
mod revocation;
mod rotation;
mod sessions;
mod start;
mod status_lists;
mod tokens;
mod users;
mod verification;
