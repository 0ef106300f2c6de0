//! Keys and hashes: whatever in Signet is secret, random or signed is made and checked here.
//!
//! The room owns the folder of key files ([`key_files`]) and what is read from it ([`keyring`]), tokens (JWT, RFC 7519
//! and RFC 8725, in [`jwt`]), the published keys (JWK sets, RFC 7517 and RFC 7638, in [`jwks`]), what clients prove
//! themselves with (RFC 7523, in [`client_assertion`]), the ID tokens of other providers ([`provider_token`]), password
//! hashing (argon2id, RFC 9106, in [`password_hash`]), digests and randomness. All cryptography is aws-lc's, but for
//! argon2.
//!
//! It leaves to others: which claims a token carries and whether its session still lives (`flow`), where hashes are
//! kept (`store`), and when keys are rotated and the folder is read again (`app`, `flow`). The states of keys are
//! rules of [`crate::domain::signing_key`].

pub mod apple_secret;
pub mod client_assertion;
pub mod client_keys;
pub mod digest;
mod hashing_desk;
pub mod jwks;
mod jws;
pub mod jwt;
pub mod key_files;
mod key_folder;
pub mod key_set;
pub mod keyring;
pub mod known_device;
#[cfg(any(test, fuzzing))]
pub mod laws;
pub mod mac;
pub mod one_use_secret;
pub mod password_hash;
pub mod provider_token;
pub mod random;
pub mod root_secret;
pub mod seal;
pub mod signing_key;
pub mod status_list;
mod token_kind;
