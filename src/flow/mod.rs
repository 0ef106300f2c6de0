//! One use case a file, named as the RFC names it: the only place where the rooms below meet. Nothing here knows HTTP;
//! the OAuth endpoints, the JSON API, the original routes and the commands all run the same flows.
//!
//! Flows are whole by themselves; only [`issue`], [`authenticate`], [`bearer`], [`begin_session`], [`changes`],
//! [`choose_password`], [`clients`], [`end_session`], [`outbox`], [`resolve_mail`] and [`throttle`] are called by others.

pub mod account;
pub mod administer;
pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod bearer;
pub mod begin_session;
pub mod browser_session;
pub mod change_password;
pub mod changes;
pub mod choose_password;
pub mod client_credentials;
pub mod clients;
pub mod consents;
pub mod csrf;
pub mod deliver_mail;
pub mod end_session;
mod error;
pub mod establish_keys;
pub mod federate;
pub mod follow_changes;
pub mod grant;
pub mod identities;
pub mod introspect;
pub mod issue;
pub mod limit;
pub mod log_in;
pub mod log_out;
pub mod metrics;
pub mod outbox;
pub mod prune;
pub mod published_keys;
pub mod readiness;
pub mod redeem_code;
pub mod refresh;
pub mod register;
pub mod register_client;
pub mod request_reset;
pub mod reset_password;
pub mod resolve_mail;
pub mod revoke;
pub mod sealed;
pub mod sessions;
pub mod status_lists;
pub mod status_places;
pub mod tell_logout;
pub mod throttle;
pub mod userinfo;
pub mod verify_email;

pub use error::Trouble;
