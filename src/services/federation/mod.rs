//! Logins with other providers: out to a provider and back, and the account that results (OIDC Core §3.1, RFC 6749
//! §4.1).

mod error;
pub mod identities;
mod link_or_register;
mod login;
mod providers;
mod state;

pub use self::{
    error::FederateError,
    login::{CallbackOutcome, CallbackParams, Federate, Started, UsernamePrompt},
    providers::{ConfiguredProvider, Credential, Providers},
    state::{Intent, PATIENCE, key},
};
