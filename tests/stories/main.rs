//! What Signet does, told from the outside: over real sockets, each story on SQLite and on PostgreSQL.

mod harness;

mod clients;
mod connections;
mod endurance;
mod enumeration;
mod errors;
mod flood;
mod guessing;
mod introspection;
mod mailer;
mod metrics;
mod operations;
mod operator;
mod operator_input;
mod operator_list;
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
