//! Keys, tokens, hashes and randomness. All cryptography is aws-lc's, except argon2.
//!
//! - [`jose`]: signed tokens, key sets and assertions.
//! - [`keys`]: key files and the keys read from them.
//! - [`password`]: password hashing.
//!
//! `services` decides which claims a token carries and whether its session is live, `store` keeps the hashes, and `app`
//! re-reads the key folder. The states of keys are rules of [`crate::domain::signing_key`].

pub mod compress;
pub mod digest;
pub mod jose;
pub mod keys;
pub mod known_device;
pub mod mac;
pub mod one_use_secret;
pub mod password;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod random;
pub mod seal;
pub mod status_list;
