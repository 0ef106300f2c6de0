//! Stories of services that verify access tokens: over HTTP against an issuer on a free port, and without any network.

mod edits;
mod forgeries;
mod harness;
mod keys;
#[cfg(feature = "poem")]
mod middleware;
mod offline;
mod revocation;
