//! The cost of a password hash, and the errors of hashing.

use std::time::Duration;

use argon2::Params;

/// The cost of a hash (RFC 9106 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashParameters {
    /// Memory, in kibibytes.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes, computed one after the other.
    pub parallelism: u32,
}

/// Why a password could not be hashed or verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error("too many passwords wait to be hashed")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The stored hash cannot be parsed or costs too much, or the pool is broken.
    #[error("password hashing failed: {0}")]
    Broken(String),
}

impl HashParameters {
    pub(in crate::crypto) fn params(self, output_length: usize) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, Some(output_length))
    }

    /// A first estimate of the time for one hash, until the pool has measured it: half a millisecond for each mebibyte
    /// and pass, as on a slow core.
    pub(in crate::crypto) fn guess(self) -> Duration {
        let kibibytes = u64::from(self.memory_kib) * u64::from(self.iterations);
        Duration::from_micros((kibibytes / 2).max(1))
    }

    /// Whether any of these parameters is below the other's.
    pub(in crate::crypto) fn is_below(self, other: Self) -> bool {
        self.memory_kib < other.memory_kib || self.iterations < other.iterations || self.parallelism < other.parallelism
    }
}
