//! How often client networks called, in memory: what it counts is worth less than a query.
//!
//! The generic cell rate algorithm (governor's) needs one number a network: when its quota will be whole again. A
//! network is remembered until that moment and no longer, for then it is like one that never called. So whoever wants to
//! fill this memory must spend quota for each place in it.
//!
//! When the places are all taken, whoever has one keeps it: an eviction would give an attacker a fresh quota, or let it
//! wash away that of others. Newcomers then share a fixed number of places, each with the quota of one network, by a hash
//! under a key of this process, so that nobody can choose to share with somebody.
//!
//! Each replica counts by itself.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use governor::{
    RateLimiter, clock,
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use moka::{Expiry, ops::compute::Op, sync::Cache};

use crate::domain::{
    client_network::ClientNetwork,
    clock::Clock,
    rate_limit::{Quota, QuotaState},
};

/// How many networks have a place of their own, in each limit: some 400 bytes each, so 7 MB when all are taken.
const PLACES: u64 = 16_384;
/// How many places newcomers share when those are taken, of 8 bytes each.
const SHARED_PLACES: usize = 8192;

/// One quota, for every client network.
#[derive(Debug)]
pub struct NetworkLimit {
    limiter: RateLimiter<ClientNetwork, Places, Passed, StateInformationMiddleware>,
    passed: Passed,
}

impl NetworkLimit {
    /// A limit of which nobody has used anything.
    #[must_use]
    pub fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        let passed = Passed { since: clock.instant(), clock };
        Self::with_places(quota, Places::new(PLACES, SHARED_PLACES, passed.clone()), passed)
    }

    fn with_places(quota: Quota, places: Places, passed: Passed) -> Self {
        // The interval is never zero, so there is such a quota.
        let gcra = governor::Quota::with_period(quota.interval()).unwrap_or(governor::Quota::per_second(quota.count));
        Self { limiter: RateLimiter::new(gcra.allow_burst(quota.count), places, passed.clone()), passed }
    }

    /// Counts a request of `network`, if it is within the quota.
    #[must_use]
    pub fn count(&self, network: ClientNetwork) -> QuotaState {
        match self.limiter.check_key(&network) {
            Ok(snapshot) => QuotaState::Admitted { remaining: snapshot.remaining_burst_capacity() },
            Err(not_until) => QuotaState::Refused { wait: not_until.wait_time_from(clock::Clock::now(&self.passed)) },
        }
    }
}

/// The time that has passed since a limit was made: it never runs backwards, whatever becomes of the wall clock.
#[derive(Debug, Clone)]
struct Passed {
    clock: Arc<dyn Clock>,
    since: Instant,
}

impl clock::Clock for Passed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.since)
    }
}

/// What is kept of each network: when its quota will be whole again. Clones are the same places.
#[derive(Debug, Clone)]
struct Places {
    /// Without a capacity of its own: the cache would evict.
    own: Cache<ClientNetwork, Nanos>,
    most: u64,
    shared: Arc<[InMemoryState]>,
    hash: RandomState,
}

impl Places {
    fn new(most: u64, shared: usize, passed: Passed) -> Self {
        Self {
            own: Cache::builder().expire_after(UntilWhole(passed)).build(),
            most,
            shared: (0..shared.max(1)).map(|_| InMemoryState::default()).collect(),
            hash: RandomState::new(),
        }
    }

    fn shared(&self, network: &ClientNetwork) -> &InMemoryState {
        let hash = usize::try_from(self.hash.hash_one(network) & u64::from(u32::MAX)).unwrap_or_default();
        // There is at least one.
        &self.shared[hash % self.shared.len()]
    }
}

impl StateStore for Places {
    type Key = ClientNetwork;

    fn measure_and_replace<T, F, E>(&self, network: &ClientNetwork, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut judged = None;
        // Nobody else judges this network meanwhile, so that no two requests take the same place in the quota.
        self.own.entry(*network).and_compute_with(|entry| {
            let whole = entry.map(moka::Entry::into_value);
            // The count lags behind by some hundred insertions at most.
            if whole.is_none() && self.own.entry_count() >= self.most {
                return Op::Nop;
            }
            match judge(whole) {
                Ok((admitted, whole)) => {
                    judged = Some(Ok(admitted));
                    Op::Put(whole)
                }
                Err(refused) => {
                    judged = Some(Err(refused));
                    Op::Nop
                }
            }
        });
        judged.unwrap_or_else(|| self.shared(network).measure_and_replace(&NotKeyed::NonKey, judge))
    }
}

/// Ends the memory of a network when its quota is whole again.
struct UntilWhole(Passed);

impl UntilWhole {
    fn rest(&self, whole: Nanos) -> Duration {
        Duration::from_nanos(whole.as_u64()).saturating_sub(clock::Clock::now(&self.0))
    }
}

impl Expiry<ClientNetwork, Nanos> for UntilWhole {
    fn expire_after_create(&self, _: &ClientNetwork, whole: &Nanos, _: Instant) -> Option<Duration> {
        Some(self.rest(*whole))
    }

    fn expire_after_update(
        &self,
        _: &ClientNetwork,
        whole: &Nanos,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.rest(*whole))
    }
}

#[cfg(test)]
mod tests;
