//! Tasks that run beside the requests, for as long as the service runs.

pub mod deliver_mail;
pub mod end_sessions;
pub mod follow_changes;
mod outcome;
pub mod prune;
pub mod resolve_mail;
pub mod run_jobs;
pub mod tell_logout;
