//! The service's keys: creating the first ones, publishing them, following their folder, and their life.

pub mod establish;
pub mod manage;
pub mod published;
pub mod rotate;
pub mod watch;
