//! Keeps the cost of a failed login the same for every name, whichever hashes are stored.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::{
    crypto::password::hash::{HashParameters, PasswordHasher},
    domain::password_hash::PasswordCost,
    services::Unavailable,
    store::{Database, password_costs},
};

/// Tells the hasher which costs stored hashes have.
#[derive(Debug, Clone)]
pub struct PasswordCosts {
    pub db: Database,
    pub hasher: PasswordHasher,
}

/// How often the costs are read: another replica may have other parameters.
const EVERY: Duration = Duration::from_secs(10);
/// Every so many times, costs that no hash has any more are forgotten.
const FORGET_EVERY: u32 = 6 * 60 * 24;

impl PasswordCosts {
    /// Records the configured cost, and reads every other.
    pub async fn load(&self) -> Result<(), Unavailable> {
        let current = cost(self.hasher.current());
        let mut known = password_costs::all(&self.db).await?;
        if !known.contains(&current) {
            password_costs::record(&self.db, current).await?;
            known.push(current);
        }
        self.hasher.know_costs(known.into_iter().map(parameters));
        Ok(())
    }

    /// Reads the costs again and again.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u32;
        loop {
            tick.tick().await;
            round = round.wrapping_add(1);
            let forgets = round.is_multiple_of(FORGET_EVERY);
            if let Err(cause) = if forgets { self.forget().await } else { self.load().await } {
                tracing::warn!(%cause, "the costs of password hashes were not read; it will be tried again");
            }
        }
    }

    /// Forgets the costs that no stored hash has any more: then a failed login no longer pays for them.
    pub async fn forget(&self) -> Result<(), Unavailable> {
        let current = cost(self.hasher.current());
        for cost in password_costs::all(&self.db).await?.into_iter().filter(|cost| *cost != current) {
            password_costs::forget_unused(&self.db, cost).await?;
        }
        self.load().await
    }
}

fn cost(HashParameters { memory_kib, iterations, parallelism }: HashParameters) -> PasswordCost {
    PasswordCost { memory_kib, iterations, parallelism }
}

fn parameters(PasswordCost { memory_kib, iterations, parallelism }: PasswordCost) -> HashParameters {
    HashParameters { memory_kib, iterations, parallelism }
}
