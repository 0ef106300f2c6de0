//! What Signet does, told from the outside: over real sockets, each story on SQLite and on PostgreSQL.

mod harness;

mod addresses;
mod clients;
mod connections;
mod cors;
mod endurance;
mod enumeration;
mod errors;
mod flood;
mod guessing;
mod introspection;
mod known_devices;
mod mailer;
mod metrics;
mod operations;
mod operator;
mod operator_input;
mod operator_list;
mod original;
mod outbox;
mod passwords;
mod pruning;
mod rate_limits;
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
