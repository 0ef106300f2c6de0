//! Failures of commands, with the exit status of each.

use crate::app::StartError;

/// Why a command did not do its work, as one line that says what to do.
#[derive(Debug)]
pub(super) enum Failure {
    /// It failed: exit status 1.
    Failed(String),
    /// It was asked for something that cannot be: exit status 2.
    Usage(String),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Failed(error.to_string())
    }
}
