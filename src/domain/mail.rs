//! Emails to the owners of accounts.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::email::EmailAddress;

/// An email about to be sent.
#[derive(Debug, Clone)]
pub struct Email {
    /// Identifies the email: if it is sent twice after a crash, both copies have one Message-ID.
    pub id: Uuid,
    /// The stored email address of the account.
    pub to: EmailAddress,
    /// The content.
    pub message: Message,
    /// When its cause happened. It becomes the `Date` (RFC 5322 §3.6.1), however late the email is sent.
    pub written_at: DateTime<Utc>,
}

/// The content of an email. The username is always that of the recipient's account.
#[derive(Debug, Clone)]
pub enum Message {
    /// A password reset was requested; the link allows its holder to set a new password.
    PasswordReset {
        /// The username of the account.
        username: String,
        /// The page that sets it; built from the issuer alone, never from a request.
        link: SecretString,
        /// How long the link works, from `written_at`.
        valid_for: TimeDelta,
    },
    /// The account names this email address; opening the link proves that the owner reads it.
    EmailVerification {
        /// The username of the account.
        username: String,
        /// The page that verifies it; built from the issuer alone, never from a request.
        link: SecretString,
        /// How long the link works, from `written_at`.
        valid_for: TimeDelta,
    },
    /// The password was changed.
    PasswordChanged {
        /// The username of the account.
        username: String,
        /// When it happened.
        at: DateTime<Utc>,
    },
    /// The account has another email address now. Sent to the old one.
    EmailChanged {
        /// The username of the account.
        username: String,
        /// The new email address.
        new: EmailAddress,
        /// When it happened.
        at: DateTime<Utc>,
    },
    /// A registration used an email address that already belongs to an account.
    RegistrationTried {
        /// The account that has the email address.
        username: String,
        /// When it happened.
        at: DateTime<Utc>,
    },
}
