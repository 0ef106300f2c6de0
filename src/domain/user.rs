//! Accounts.

use chrono::{DateTime, Utc};

use super::{email::EmailAddress, ids::UserId, role::Role, username::Username};

/// An account as the service shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its subject.
    pub id: UserId,
    /// Its name.
    pub username: Username,
    /// Its address, where it has one.
    pub email: Option<EmailAddress>,
    /// Whether the owner proved that the address is theirs.
    pub email_verified: bool,
    /// Its roles, sorted.
    pub roles: Vec<Role>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// Since when it may not be used, if so.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// An account as its owner or an operator sees it. What its password's hash is, nobody sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account.
    pub user: User,
    /// Whether it has a password to log in with.
    pub has_password: bool,
}
