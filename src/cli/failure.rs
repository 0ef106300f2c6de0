//! Failures of commands, with the exit status of each.

use crate::app::StartError;

/// The failure of a command: one line that says what to do.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command failed: exit status 1.
    Failed(String),
    /// The arguments or the configuration are wrong: exit status 2.
    Usage(String),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        if error.is_of_the_configuration() { Self::Usage(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}
