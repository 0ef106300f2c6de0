//! The stored hash of a password.

use std::fmt;

/// The parameters of an argon2id hash, which decide its cost (RFC 9106 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub parallelism: u32,
}

impl PasswordCost {
    /// The prefix of every hash of this cost.
    #[must_use]
    pub fn phc_prefix(&self) -> String {
        let Self { memory_kib, iterations, parallelism } = self;
        format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}$")
    }
}

/// A password's argon2id hash as a PHC string: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`. Never logged or shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes the text that the database stores; only verification shows whether the text can be parsed.
    #[must_use]
    pub fn from_stored(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
