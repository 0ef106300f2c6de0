//! Connections to Postgres without a ping before or after each use: a statement costs one round trip.
//!
//! sqlx's own pool asks a connection for a sign of life when it takes it back, and that cannot be turned off. What the
//! pings are for is done here where it is needed: a connection is given back only after its answer was read whole, and
//! a dead one is noticed by the statement that meets it ([`Pool::run`]). docs/adr/0016-one-round-trip.md has the reasons.

mod fault;
mod idle;
mod lease;
mod pool;
mod transaction;

pub(super) use pool::Pool;
pub(super) use transaction::PgTransaction;
