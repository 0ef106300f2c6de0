//! Signet: a stateless JWT token issuer.
//!
//! The house, from the door down; imports point down only:
//!
//! - [`cli`] and [`app`]: read the configuration, build every room once, listen ([`server`]).
//! - [`http`]: parse, run one flow, render; the only room that knows HTTP.
//! - [`flow`]: one use case a file, where the rooms below meet.
//! - [`crypto`] (keys and hashes), [`store`] (all that remembers) and [`outbound`] (all that we call), which never meet.
//! - [`domain`]: words, states, rules; no async, no I/O.

#![warn(clippy::unwrap_used)]

pub mod app;
pub mod cli;
pub mod config;
#[cfg(test)]
mod corpus;
pub mod crypto;
pub mod domain;
pub mod flow;
pub mod http;
pub mod outbound;
pub mod server;
pub mod store;
