//! The end of a connection's task.

use tokio::task::JoinError;

/// Logs a panic of a connection's task. The endpoint turns its own panics into answers, so this one is a defect here.
pub(super) fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
