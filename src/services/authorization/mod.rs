//! The authorization endpoint (RFC 6749 §3.1): requests, pushed requests (RFC 9126) and consent.

pub mod authorize;
pub mod consents;
mod parties;
mod pending_request;
pub mod posted_request;
pub mod push;
mod pushed_request;
pub mod question;
