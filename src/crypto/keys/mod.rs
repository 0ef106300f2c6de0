//! Key files, their folder, and the keys read from it.

mod encryption;
pub mod error;
pub mod files;
pub(in crate::crypto) mod folder;
pub(in crate::crypto) mod pem;
pub mod public_key;
pub mod ring;
pub mod root_secret;
pub mod set;
pub mod signing_key;
pub mod source;
