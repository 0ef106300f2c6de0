//! The service's keys: creating the first ones, publishing them, following their folder.

pub mod establish;
pub mod published;
pub mod watch;
