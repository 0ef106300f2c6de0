//! Key files, their folder, and the keys read from it.

pub mod error;
pub mod files;
pub(in crate::crypto) mod folder;
pub mod ring;
pub mod root_secret;
pub mod set;
pub mod signing_key;
