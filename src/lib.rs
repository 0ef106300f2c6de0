//! Signet: a stateless JWT token issuer.
//!
//! The layers, from the entry down; imports point down only:
//!
//! - `cli` and `app`: read the configuration, build every part once, listen.
//! - `http`: parse, call one service, render; the only layer that knows HTTP.
//! - `services`: one use case a file, which uses the layers below.
//! - `crypto` (keys and hashes), `store` (the database and its caches) and `outbound` (mail, providers, client
//!   call-backs), which do not use each other.
//! - `domain`: types, states, rules; no async, no I/O.

#![warn(clippy::unwrap_used)]

pub(crate) mod app;
pub mod cli;
pub(crate) mod config;
#[cfg(test)]
mod corpus;
pub(crate) mod crypto;
pub(crate) mod domain;
pub(crate) mod http;
pub(crate) mod outbound;
pub(crate) mod services;
pub(crate) mod store;
pub mod testing;
