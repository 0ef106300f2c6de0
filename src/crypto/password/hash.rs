//! Password hashing: argon2id (RFC 9106) with admission control.

use std::{fmt, io, sync::Arc, time::Duration};

use argon2::{
    ARGON2ID_IDENT, Params, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
};

pub use crate::{
    crypto::password::parameters::{HashError, HashParameters},
    domain::password_hash::PasswordHash,
};
use crate::{
    crypto::{
        digest,
        password::{
            costs::HashCosts,
            engine::Argon2id,
            worker_pool::{FailureCost, HashJob, HashWorkerPool, Hasher},
        },
        random::Random,
    },
    domain::password_policy::Password,
};

/// The length of a new hash in bytes, and the least that counts as strong (RFC 9106 §3.1).
const OUTPUT_LENGTH: usize = 32;

/// The most that a stored hash may cost, if the current parameters are not higher. A worker keeps the most memory that
/// it ever took, so this bounds each worker's memory: somebody who can write hashes, by an import for example, must not
/// be able to take all memory of the machine.
const CEILING: HashParameters = HashParameters { memory_kib: 256 * 1024, iterations: 16, parallelism: 16 };

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// The password is right, but its hash is cheaper than the current parameters: store a new one.
    RightButWeaker,
}

/// Why hashing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// argon2 refuses these parameters.
    #[error(
        "argon2id takes 1 iteration or more, parallelism 1 to 16777215, and 8 KiB of memory or more for each lane; \
         not {} KiB, {} iterations and parallelism {}", .0.memory_kib, .0.iterations, .0.parallelism
    )]
    Parameters(HashParameters),
    /// The number of workers is out of range.
    #[error("password hashing needs 1 to 1024 workers, not {0}")]
    Workers(usize),
    /// The system refuses a thread.
    #[error("cannot start a hashing worker: {0}")]
    Thread(#[from] io::Error),
}

/// Hashes and verifies passwords. Clones share the workers, which end with the last clone.
#[derive(Clone)]
pub struct PasswordHasher {
    pool: Arc<HashWorkerPool>,
    current: HashParameters,
    costs: HashCosts,
}

/// Whether an account may log in with its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    Enabled,
    /// A right password fails, and costs as much as a wrong one.
    Disabled,
}

impl PasswordHasher {
    /// Starts `workers` threads that hash with `parameters`. Each takes its memory at its first hash and keeps it. A
    /// request that would wait longer than `max_wait` is refused.
    ///
    /// # Errors
    /// [`StartError`] if argon2 refuses the parameters or the system refuses a thread.
    pub fn start(parameters: HashParameters, workers: usize, max_wait: Duration) -> Result<Self, StartError> {
        Self::open(parameters, workers, max_wait, Argon2id::fastest)
    }

    fn open<E: Hasher>(
        parameters: HashParameters,
        workers: usize,
        max_wait: Duration,
        engine: impl Fn() -> E + Clone + Send + 'static,
    ) -> Result<Self, StartError> {
        parameters.params(OUTPUT_LENGTH).map_err(|_| StartError::Parameters(parameters))?;
        let threads = u32::try_from(workers).ok().filter(|n| (1..=1024).contains(n));
        let threads = threads.ok_or(StartError::Workers(workers))?;
        let pool = HashWorkerPool::open(threads, max_wait, parameters.guess(), engine)?;
        Ok(Self { pool: Arc::new(pool), current: parameters, costs: HashCosts::new(parameters) })
    }

    /// The parameters of new hashes.
    #[must_use]
    pub fn current(&self) -> HashParameters {
        self.current
    }

    /// Tells with which parameters stored hashes were made, the current ones aside. A failed check costs one hash with
    /// each. Those above the ceiling are left out: no check computes them.
    pub fn know_costs(&self, stored: impl IntoIterator<Item = HashParameters>) {
        let ceiling = self.ceiling();
        self.costs.replace(stored.into_iter().filter(|parameters| !ceiling.is_below(*parameters)));
    }

    /// Whether a hash would be queued now, so that a flood is refused before it costs anything else.
    ///
    /// # Errors
    /// [`HashError::Busy`] where it would wait too long.
    pub fn has_room(&self) -> Result<(), HashError> {
        self.pool.has_room()
    }

    /// The number of passwords that wait for a worker, and how long a new one would wait.
    #[must_use]
    pub fn queue(&self) -> (usize, Duration) {
        self.pool.queue()
    }

    /// Hashes a new password with the current parameters and a random salt of 128 bits.
    ///
    /// # Errors
    /// [`HashError::Busy`] where it would wait too long.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let salt = Random.bytes::<16>();
        let work = HashJob {
            parameters: self.current,
            password: Some(password),
            salt: salt.to_vec(),
            length: OUTPUT_LENGTH,
            failure: None,
        };
        let hash = self.pool.hash(work).await?;
        written(self.current, &salt, &hash).map(PasswordHash::from_stored)
    }

    /// Verifies `password` against `stored`, the hash of an account in this `state`.
    ///
    /// Every failure costs the same: one hash with each of the parameters that stored hashes have. So neither a missing
    /// account, nor one without a password, nor an old or a disabled one can be told by the time.
    ///
    /// # Errors
    /// [`HashError::Busy`] if the wait would be too long; [`HashError::Broken`] if `stored` cannot be parsed or exceeds
    /// the ceiling.
    pub async fn verify(
        &self,
        password: Option<Password>,
        stored: Option<PasswordHash>,
        state: AccountState,
    ) -> Result<Verdict, HashError> {
        let (Some(password), Some(stored)) = (password, stored) else {
            let failure = FailureCost { expected: None, parameters: self.costs.without(self.current) };
            let work = HashJob {
                parameters: self.current,
                password: None,
                salt: vec![0; 16],
                length: OUTPUT_LENGTH,
                failure: Some(failure),
            };
            self.pool.hash(work).await?;
            return Ok(Verdict::Wrong);
        };
        let Stored { parameters, salt, hash: expected } = self.read(&stored)?;
        self.costs.learn(parameters);
        let length = expected.len();
        let failure = FailureCost {
            expected: (state == AccountState::Enabled).then(|| expected.clone()),
            parameters: self.costs.without(parameters),
        };
        let work = HashJob { parameters, password: Some(password), salt, length, failure: Some(failure) };
        let hash = self.pool.hash(work).await?;
        if !digest::equal(&hash, &expected) {
            Ok(Verdict::Wrong)
        } else if parameters.is_below(self.current) || length < OUTPUT_LENGTH {
            Ok(Verdict::RightButWeaker)
        } else {
            Ok(Verdict::Right)
        }
    }

    /// Parses a stored hash, and refuses a cost above the ceiling.
    fn read(&self, stored: &PasswordHash) -> Result<Stored, HashError> {
        let stored =
            Stored::parse(stored.as_str()).ok_or_else(|| broken("a stored hash is not argon2id in a PHC string"))?;
        if self.ceiling().is_below(stored.parameters) {
            return Err(broken("a stored hash costs more than is allowed"));
        }
        Ok(stored)
    }

    fn ceiling(&self) -> HashParameters {
        HashParameters {
            memory_kib: self.current.memory_kib.max(CEILING.memory_kib),
            iterations: self.current.iterations.max(CEILING.iterations),
            parallelism: self.current.parallelism.max(CEILING.parallelism),
        }
    }
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher").field("current", &self.current).finish_non_exhaustive()
    }
}

fn broken(why: &str) -> HashError {
    HashError::Broken(why.to_owned())
}

/// A parsed PHC string.
struct Stored {
    parameters: HashParameters,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    /// `None` for anything but argon2id of version 19 with salt and hash, and without key id or associated data.
    fn parse(phc: &str) -> Option<Self> {
        let phc = phc::PasswordHash::new(phc).ok()?;
        if phc.algorithm != ARGON2ID_IDENT || phc.version != Some(Version::V0x13.into()) {
            return None;
        }
        let params = Params::try_from(&phc).ok()?;
        let plain = params.keyid().is_empty() && params.data().is_empty();
        plain.then_some(())?;
        Some(Self {
            parameters: HashParameters {
                memory_kib: params.m_cost(),
                iterations: params.t_cost(),
                parallelism: params.p_cost(),
            },
            salt: phc.salt?.as_ref().to_vec(),
            hash: phc.hash?.as_bytes().to_vec(),
        })
    }
}

/// The PHC string of a new hash.
fn written(parameters: HashParameters, salt: &[u8], hash: &[u8]) -> Result<String, HashError> {
    let phc = || {
        let params = parameters.params(hash.len()).ok()?;
        Some(phc::PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).ok()?,
            salt: Some(Salt::new(salt).ok()?),
            hash: Some(Output::new(hash).ok()?),
        })
    };
    phc().map(|phc| phc.to_string()).ok_or_else(|| broken("a new hash does not fit a PHC string"))
}

#[cfg(test)]
mod tests;
