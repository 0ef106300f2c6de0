//! What Signet does, told from the outside: over real sockets, each story on SQLite and on PostgreSQL.

mod harness;

mod clients;
mod cors;
mod endurance;
mod errors;
mod forwarding;
mod headers;
mod introspection;
mod operations;
mod original;
mod passwords;
mod pruning;
mod rate_limits;
mod readme;
mod replicas;
mod revocation;
mod rotation;
mod sessions;
mod start;
mod status_lists;
mod tokens;
mod users;
mod verification;
