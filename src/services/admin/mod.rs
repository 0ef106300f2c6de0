//! The operator's use cases.

pub mod accounts;
