//! Extractors: the parts of a request that endpoints read.

pub(in crate::http) mod accept;
pub(in crate::http) mod bearer;
pub(in crate::http) mod body;
pub(in crate::http) mod client_auth;
pub(in crate::http) mod cookies;
pub(in crate::http) mod lenient_string;
