//! Steps that every request and response passes.

pub(in crate::http) mod built_answers;
pub(in crate::http) mod client_info;
pub(in crate::http) mod cors;
pub(in crate::http) mod forwarded;
pub(in crate::http) mod rate_limit;
pub(in crate::http) mod response_layer;
pub(in crate::http) mod token_answers;
pub(in crate::http) mod transport;
