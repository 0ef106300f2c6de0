//! The OpenAPI document and the pages that show it.

pub(in crate::http) mod answers;
pub(in crate::http) mod date;
mod describe;
pub(in crate::http) mod docs;
pub(in crate::http) mod document;
