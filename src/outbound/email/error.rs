//! The error of sending an email.

/// Why an email was not sent. The text is for the log: it contains neither the email address nor anything of the email.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Try again later: the server is unreachable, slow, without a valid certificate, asks to wait, or refuses us as a
    /// sender. If the connection broke before its answer, it may have taken the email all the same.
    #[error("{0}")]
    Later(String),
    /// The server refused this email for good, or the email cannot be rendered.
    #[error("{0}")]
    Never(String),
}
