//! Verifies Signet's access tokens, in the services that accept them.
//!
//! An access token is a JWT (RFC 9068), so a service verifies it by itself: with the issuer's published keys, which are
//! fetched and kept, and with its status lists, which tell within a minute that a session has ended. Under traffic, only
//! the first request waits for the issuer: what grows old is fetched again behind the callers' backs.
//!
//! ```no_run
//! # async fn example(token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = verifier::Verifier::builder("https://id.example.com").audience("https://api.example.com").build()?;
//!
//! let claims = verifier.verify(token).await?;
//! if claims.has_scope("orders:read") {
//!     println!("orders of {}, for {}", claims.sub, claims.client_id);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A verified token is genuine, for this service, and alive. What it allows is for the service to judge:
//!
//! - [`scope`](Claims::scope) is what the user let the client do. Ask for a scope of your own, such as `orders:read`, and not
//!   for `openid`, which says only that the client may know who the user is.
//! - [`roles`](Claims::roles) are what the user may do. The token is limited by both: a user's role does not widen what the
//!   client was allowed.
//! - [`client_id`](Claims::client_id) is the program that acts. A service for some programs alone compares it.
//!
//! Give the service an audience of its own, and register it as the `--resource` of the clients that may call it. A service
//! whose audience is the issuer takes the tokens of every client, those that registered themselves among them.
//!
//! A refusal is a [`VerifyError`], which distinguishes a bad token (401) from a failure on the service's side (503).
//!
//! # Features
//!
//! - `poem`: a middleware and an extractor for poem, with the challenges of RFC 6750.

#![warn(clippy::unwrap_used)]

mod builder;
mod claims;
mod clock;
mod error;
mod fetch;
mod jwks;
mod jws;
mod keys;
#[cfg(feature = "poem")]
pub mod poem;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod remote_copy;
mod revocation;
mod status_list;
mod verifier;

pub use self::{
    builder::{BuildError, Builder},
    claims::{Claims, Status, StatusReference},
    clock::{Clock, SystemClock},
    error::{Distrust, Document, VerifyError},
    revocation::StatusPolicy,
    verifier::Verifier,
};
