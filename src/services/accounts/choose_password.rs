//! Chooses a password: judged by the policy and hashed, the one way for every route that sets one.

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

/// Judges and hashes passwords.
#[derive(Debug, Clone)]
pub struct ChoosePassword {
    hasher: PasswordHasher,
    policy: PasswordPolicy,
    /// Judging takes up to 35 ms of a core for a password made to be slow (measured), so it keeps off the threads that
    /// answer requests, and takes turns.
    turns: Arc<Semaphore>,
    max_wait: Duration,
}

/// Why a password was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChoosePasswordError {
    /// The policy refuses it.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
    /// Trouble on our side.
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
    ///
    /// # Errors
    /// [`ChoosePasswordError`].
    pub async fn run(
        &self,
        password: Password,
        username: &Username,
        email: Option<&EmailAddress>,
    ) -> Result<PasswordHash, ChoosePasswordError> {
        let busy = || Unavailable::Busy { retry_after: self.max_wait };
        let turn = tokio::time::timeout(self.max_wait, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let (policy, username, email) = (self.policy, username.clone(), email.cloned());
        let judged = tokio::task::spawn_blocking(move || {
            // The turn goes with the work: a request that has gone does not make room for another's.
            let _turn = turn;
            policy.judge(&password, &username, email.as_ref()).map(|()| password)
        });
        let password = judged.await.map_err(|_| busy())??;
        Ok(self.hasher.hash(password).await.map_err(Unavailable::from)?)
    }
}
