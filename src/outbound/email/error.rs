//! The error of sending an email.

/// Why a letter was not sent. The text is for the log: it has neither the address nor anything of the letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Try again later: the server cannot be reached, has no good certificate, is slow, says so, or does not like
    /// us. It may have taken the letter all the same, where it went away before it said so.
    #[error("{0}")]
    Later(String),
    /// The server refused this letter for good, or it cannot be written.
    #[error("{0}")]
    Never(String),
}
