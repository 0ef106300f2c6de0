//! The types, states and rules of an OAuth 2 token issuer.
//!
//! Nothing here is async, does I/O or knows HTTP; functions that need the time take it as an argument. Every value is
//! valid: `Username::parse` and its like are the only constructors.

pub mod authorization_request;
pub mod backoff;
pub mod claims;
pub mod client;
pub mod client_assertion;
pub mod client_document;
pub mod client_info;
pub mod client_members;
pub mod client_metadata;
pub mod client_name;
pub mod client_network;
pub mod client_registration;
pub mod clock;
pub mod color;
pub mod document_url;
pub mod email;
pub mod identity;
pub mod ids;
pub mod job;
pub mod key_schedule;
pub mod logout_notice;
pub mod mail;
pub mod mail_server;
pub mod numeric_date;
pub mod oauth;
pub mod one_use_secret;
pub mod password_hash;
pub mod password_policy;
pub mod pkce;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod public_address;
pub mod rate_limit;
pub mod redirect_uri;
pub mod resource;
pub mod return_to;
pub mod role;
pub mod scope;
pub mod session;
pub mod signing_key;
pub mod status_list;
pub mod throttle;
pub mod user;
pub mod username;
