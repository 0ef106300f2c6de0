//! The cost of a password hash, and the errors of hashing.

use std::time::Duration;

use argon2::Params;

/// The cost of a hash (RFC 9106 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashParameters {
    /// Memory, in kibibytes.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes; they are computed one after the other.
    pub parallelism: u32,
}

/// Why there is no hash and no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many passwords wait to be hashed")]
    Busy {
        /// When to come again.
        retry_after: Duration,
    },
    /// The stored hash cannot be read or asks for too much, or the service is broken.
    #[error("password hashing failed: {0}")]
    Broken(String),
}

impl HashParameters {
    pub(in crate::crypto) fn params(self, output_length: usize) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, Some(output_length))
    }

    /// A first guess at how long one hash takes, until the desk has learnt better: half a millisecond a mebibyte and
    /// pass, which is what a slow core needs.
    pub(in crate::crypto) fn guess(self) -> Duration {
        let kibibytes = u64::from(self.memory_kib) * u64::from(self.iterations);
        Duration::from_micros((kibibytes / 2).max(1))
    }

    /// Whether any of these is below the other's.
    pub(in crate::crypto) fn is_below(self, other: Self) -> bool {
        self.memory_kib < other.memory_kib || self.iterations < other.iterations || self.parallelism < other.parallelism
    }
}
