//! Rate limits of client networks, in memory: a query would cost more than what is counted.
//!
//! The generic cell rate algorithm (governor's) needs one number for each network: when its quota will be whole again.
//! A network is kept until that moment only, since it is then like one that never called. So filling this memory costs
//! an attacker quota for each entry.
//!
//! Once all entries are taken, none is evicted: an eviction would give an attacker a fresh quota, or let them erase the
//! counts of others. New networks then share a fixed number of slots, each with the quota of one network, by a hash
//! under a random key, so that nobody can choose whom to share with.
//!
//! Each replica counts on its own.

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

/// How many networks have an entry of their own in each limit: some 400 bytes each, so 7 MB when all are taken.
const SLOTS: u64 = 16_384;
/// How many slots new networks share once those are taken, of 8 bytes each.
const SHARED_SLOTS: usize = 8192;

/// One quota, counted for each client network.
#[derive(Debug)]
pub struct NetworkLimit {
    limiter: RateLimiter<ClientNetwork, Slots, Passed, StateInformationMiddleware>,
    passed: Passed,
}

impl NetworkLimit {
    /// A limit with nothing counted yet.
    #[must_use]
    pub fn new(quota: Quota, clock: Arc<dyn Clock>) -> Self {
        let passed = Passed { since: clock.instant(), clock };
        Self::with_slots(quota, Slots::new(SLOTS, SHARED_SLOTS, passed.clone()), passed)
    }

    fn with_slots(quota: Quota, slots: Slots, passed: Passed) -> Self {
        // The interval is never zero, so the quota exists.
        let gcra = governor::Quota::with_period(quota.interval()).unwrap_or(governor::Quota::per_second(quota.count));
        Self { limiter: RateLimiter::new(gcra.allow_burst(quota.count), slots, passed.clone()), passed }
    }

    /// Counts a request of `network`, if the quota allows it.
    #[must_use]
    pub fn count(&self, network: ClientNetwork) -> QuotaState {
        match self.limiter.check_key(&network) {
            Ok(snapshot) => QuotaState::Admitted { remaining: snapshot.remaining_burst_capacity() },
            Err(not_until) => QuotaState::Refused { wait: not_until.wait_time_from(clock::Clock::now(&self.passed)) },
        }
    }
}

/// The time since a limit was made. It never runs backwards, whatever happens to the wall clock.
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

/// When the quota of each network will be whole again. Clones share the state.
#[derive(Debug, Clone)]
struct Slots {
    /// Without a capacity, since the cache would evict.
    own: Cache<ClientNetwork, Nanos>,
    most: u64,
    shared: Arc<[InMemoryState]>,
    hash: RandomState,
}

impl Slots {
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
        // There is at least one slot.
        &self.shared[hash % self.shared.len()]
    }
}

impl StateStore for Slots {
    type Key = ClientNetwork;

    fn measure_and_replace<T, F, E>(&self, network: &ClientNetwork, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut judged = None;
        // This entry is locked meanwhile, so no two requests use the same part of the quota.
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

/// Expires a network when its quota is whole again.
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
