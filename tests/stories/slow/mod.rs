//! Stories that judge times, shares of a processor or statistics. A busy machine fails them, so `tests/run` leaves them
//! out: `tests/run --slow` runs them alone, before a release.

mod connections;
mod crafted_passwords;
mod enumeration;
mod flood;
mod rotation;
