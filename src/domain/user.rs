//! Accounts.

use chrono::{DateTime, Utc};

use super::{email::EmailAddress, ids::UserId, role::Role, username::Username};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    /// Its email address, if it has one.
    pub email: Option<EmailAddress>,
    /// Whether the owner has verified the email address.
    pub email_verified: bool,
    /// Its roles, sorted.
    pub roles: Vec<Role>,
    pub created_at: DateTime<Utc>,
    /// When it was disabled, if it is.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// An account as its owner or an operator sees it. It never includes the password hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    pub user: User,
    /// Whether it has a password to log in with.
    pub has_password: bool,
}
