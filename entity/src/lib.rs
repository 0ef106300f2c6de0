//! Signet's tables as types. Lists are kept as JSON text, so that both databases read alike.
#![expect(missing_docs, reason = "SeaORM's derives make items without docs; the columns are documented in place")]

pub mod authorization_code;
pub mod change;
pub mod client;
pub mod client_assertion;
pub mod consent;
pub mod counted_email;
pub mod federation_attempt;
pub mod identity;
pub mod job;
pub mod key_fingerprint;
pub mod key_record;
pub mod one_use_secret;
pub mod password_cost;
pub mod revoked_key;
pub mod session;
pub mod session_cutoff;
pub mod throttle;
pub mod user;
pub mod write_probe;
