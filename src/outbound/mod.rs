//! Outgoing calls: to the mail server (or the folder in its place), to identity providers, to the documents of clients, and
//! to their back-channel logout URIs.
//!
//! Every call has a deadline. An answer is never trusted: it is bounded in length and not logged. `services` decides
//! what is sent, and when it is tried again.

pub mod backchannel;
pub mod client_document;
pub mod email;
pub mod provider;
