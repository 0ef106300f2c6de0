//! The OpenAPI document and the pages that show it.

pub(in crate::http) mod answers;
mod describe;
pub(in crate::http) mod docs;
pub(in crate::http) mod document;
