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

/// The content of an email. A username appears only in emails to an address that its account has proved: a stranger may
/// choose a name that reads as a link, and any email address.
#[derive(Debug, Clone)]
pub enum Message {
    /// A password reset was requested; the link allows its holder to set a new password.
    PasswordReset {
        /// The username of the account.
        username: String,
        /// The link to the page that sets the new password, built from the issuer alone, never from a request.
        link: SecretString,
        /// How long the link works, from `written_at`.
        valid_for: TimeDelta,
    },
    /// An account names this email address; opening the link proves that the owner reads it.
    EmailVerification {
        /// The link to the page that verifies the email address, built from the issuer alone, never from a request.
        link: SecretString,
        /// How long the link works, from `written_at`.
        valid_for: TimeDelta,
    },
    /// A change of the account. The email goes to the address that was verified before the change.
    AccountChanged {
        /// The username of the account after the change; empty if the name is no longer known.
        username: String,
        /// The change.
        change: AccountChange,
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

/// A change of an account. Its owner gets an email, because somebody else may have made the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// The password was changed.
    Password,
    /// The account has this email address now.
    Email(EmailAddress),
    /// The username was changed; this is the old one.
    Username(String),
    /// This provider can log in to the account now.
    ProviderLinked(String),
    /// This provider can no longer log in to the account.
    ProviderUnlinked(String),
    /// The account was deleted, by its owner or by the operator.
    Deleted,
}
