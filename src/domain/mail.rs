//! What the service writes to the owner of an address.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::email::EmailAddress;

/// A mail about to be sent to the owner of an address.
#[derive(Debug, Clone)]
pub struct Email {
    /// Names it for ever: a mail sent twice after a crash has one Message-ID.
    pub id: Uuid,
    /// The stored address of the account.
    pub to: EmailAddress,
    /// What it says.
    pub message: Message,
    /// When its cause happened: its `Date` (RFC 5322 §3.6.1), however late it leaves.
    pub written_at: DateTime<Utc>,
}

/// What a letter says. Every username is that of the account which `to` belongs to.
#[derive(Debug, Clone)]
pub enum Message {
    /// Somebody asked for a new password; whoever has the link may set one.
    PasswordReset {
        /// Whose password.
        username: String,
        /// Where to set it; made from the issuer alone.
        link: SecretString,
        /// How long the link works, from `written_at`.
        valid_for: TimeDelta,
    },
    /// The account names this address; whoever has the link can prove that it is theirs.
    EmailVerification {
        /// Whose address.
        username: String,
        /// Where to prove it; made from the issuer alone.
        link: SecretString,
        /// How long the link works, from `written_at`.
        valid_for: TimeDelta,
    },
    /// The password was changed.
    PasswordChanged {
        /// Whose.
        username: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// The account has another address now. Goes to the old one.
    EmailChanged {
        /// Whose.
        username: String,
        /// The address from now on.
        new: EmailAddress,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody tried to register with an address that is already an account's own.
    RegistrationTried {
        /// The account that has the address.
        username: String,
        /// When.
        at: DateTime<Utc>,
    },
}
