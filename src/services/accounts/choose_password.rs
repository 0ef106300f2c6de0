//! Checks a new password against the policy and hashes it, for every route that sets one.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::{
    crypto::password::hash::PasswordHasher,
    domain::{
        email::EmailAddress,
        password_hash::PasswordHash,
        password_policy::{Password, PasswordPolicy, WeakPassword},
        username::Username,
    },
    services::Unavailable,
};

/// Checks passwords against the policy, and hashes them.
#[derive(Debug, Clone)]
pub struct ChoosePassword {
    hasher: PasswordHasher,
    policy: PasswordPolicy,
    /// The policy check takes up to 35 ms of a core for a malicious password (measured), so it runs off the request
    /// threads, a few at a time.
    turns: Arc<Semaphore>,
    max_wait: Duration,
}

/// Why a password was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ChoosePasswordError {
    /// The policy refuses it.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl ChoosePassword {
    /// Judges by `policy` in `turns` at a time, for each of which a request waits at most `max_wait`, and hashes with
    /// `hasher`.
    #[must_use]
    pub fn new(hasher: PasswordHasher, policy: PasswordPolicy, turns: usize, max_wait: Duration) -> Self {
        Self { hasher, policy, turns: Arc::new(Semaphore::new(turns)), max_wait }
    }

    /// Judges and hashes `password` for the account of that name and address.
    pub async fn run(
        &self,
        password: Password,
        username: &Username,
        email: Option<&EmailAddress>,
    ) -> Result<PasswordHash, ChoosePasswordError> {
        let busy = || Unavailable::Busy { retry_after: self.max_wait };
        let turn = tokio::time::timeout(self.max_wait, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let (policy, username, email) = (self.policy.clone(), username.clone(), email.cloned());
        let judged = tokio::task::spawn_blocking(move || {
            // The permit moves into the task: a dropped request must not free it while the check still runs.
            let _turn = turn;
            policy.judge(&password, &username, email.as_ref()).map(|()| password)
        });
        let password = judged.await.map_err(|_| busy())??;
        Ok(self.hasher.hash(password).await.map_err(Unavailable::from)?)
    }
}
