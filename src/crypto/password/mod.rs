//! Password hashing (argon2id, RFC 9106) by a fixed set of workers.

mod costs;
mod engine;
pub mod hash;
mod parameters;
mod worker_pool;
