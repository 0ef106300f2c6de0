//! JSON Object Signing and Encryption: our tokens (RFC 7519, RFC 8725), published keys (RFC 7517), client assertions
//! (RFC 7523) and the ID tokens of other providers.

pub mod apple_secret;
pub mod client_assertion;
pub mod client_keys;
pub mod jwks;
mod jws;
pub mod jwt;
pub mod provider_token;
pub(in crate::crypto) mod token_kind;
