//! The outcome of a job.

use chrono::{DateTime, Utc};

use crate::services::audit::Event;

/// The outcome of a job.
#[derive(Debug)]
pub(super) enum JobOutcome {
    /// It is done.
    Done,
    /// There is nothing to do any more.
    Dropped,
    /// It has to wait until then, for this reason. That is no failure.
    PutOff(DateTime<Utc>, &'static str),
    Failed(Failure),
}

/// Why a job was not done.
#[derive(Debug)]
pub(super) struct Failure {
    /// For the log: no address, no token, nothing of an email.
    pub(super) why: String,
    /// Whether the receiver refused it for good.
    pub(super) is_final: bool,
    /// The audit event, should it be given up now.
    pub(super) given_up: Event,
}
