//! The service's keys: creating the first ones, publishing them.

pub mod establish;
pub mod published;
