//! The origin of a request, and the credentials that a person typed.

use chrono::TimeDelta;
use secrecy::SecretString;

/// How long a device is known after its last login.
pub const KNOWN_FOR: TimeDelta = TimeDelta::days(180);

/// The origin of a request, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct ClientInfo {
    /// The name that the program gave itself.
    pub user_agent: Option<String>,
    pub ip: Option<String>,
    /// The token of a device that has logged in before.
    pub device: Option<SecretString>,
}

/// The credentials that a person typed to log in.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// A username or a verified email address.
    pub username: &'a str,
    pub password: &'a SecretString,
}
