//! Use cases, one a file, in folders named by their subject. The OAuth endpoints, the JSON API, the original routes and the
//! commands all run the same services.
//!
//! - [`grants`]: the grants of the token endpoint.
//! - [`authorization`]: the authorization endpoint, pushed requests, consent.
//! - [`sessions`]: login, logout, revocation, introspection, status lists.
//! - [`accounts`]: registration, passwords, email addresses, recovery, throttling.
//! - [`federation`]: login with other providers.
//! - [`clients`]: registered OAuth clients and their authentication.
//! - [`admin`]: the operator's use cases.
//! - [`keys`]: the service's keys.
//! - [`background`]: tasks that run beside the requests.

#[macro_use]
mod error;

pub mod accounts;
pub mod admin;
pub mod audit;
pub mod authorization;
pub mod background;
pub mod change_feed;
pub mod clients;
pub mod csrf;
pub mod federation;
pub mod grants;
pub mod keys;
pub mod metrics;
pub mod outbox;
pub mod rate_limit;
pub mod readiness;
pub mod sealed;
pub mod sessions;

pub use error::Unavailable;
