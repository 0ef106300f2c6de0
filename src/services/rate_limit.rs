//! Rate limits: how often one client network may call a class of routes (NIST SP 800-63B-4 §3.2.2). Failed passwords of
//! an account are counted by the throttle.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;

use crate::{
    domain::{
        client_network::ClientNetwork,
        clock::Clock,
        rate_limit::{Quota, QuotaState, RouteClass},
    },
    store::rate_limits::NetworkLimit,
};

/// The limits of every route class. The default limits nothing.
#[derive(Debug, Clone, Default)]
pub struct Limit(Arc<HashMap<RouteClass, (Quota, NetworkLimit)>>);

impl Limit {
    /// Unused limits with these quotas.
    pub fn new(quotas: impl IntoIterator<Item = (RouteClass, Quota)>, clock: &Arc<dyn Clock>) -> Self {
        let limits = quotas.into_iter().map(|(class, quota)| (class, (quota, NetworkLimit::new(quota, clock.clone()))));
        Self(Arc::new(limits.collect()))
    }

    /// Counts a request to a route of `class`. Returns the quota and its state for the client's network; `None` without
    /// a limit. Requests without a client address share one quota.
    #[must_use]
    pub fn run(&self, class: RouteClass, client: Option<IpAddr>) -> Option<(Quota, QuotaState)> {
        let (quota, limit) = self.0.get(&class)?;
        Some((*quota, limit.count(network(client))))
    }
}

/// A limit on failures, for routes whose successes are free: a network over it is refused before anything is looked up.
/// The default limits nothing.
#[derive(Debug, Clone, Default)]
pub struct FailureLimit(Option<Arc<Failures>>);

#[derive(Debug)]
struct Failures {
    quota: Quota,
    limit: NetworkLimit,
    /// Until when networks that have used their quota up are refused.
    refused: Cache<ClientNetwork, Instant>,
    clock: Arc<dyn Clock>,
}

/// The most networks that are refused at a time; a forgotten one has a look-up more.
const MOST_REFUSED: u64 = 16_384;

impl FailureLimit {
    /// An unused limit of as many failures as `quota` says.
    #[must_use]
    pub fn new(quota: Quota, clock: &Arc<dyn Clock>) -> Self {
        let refused = Cache::builder().max_capacity(MOST_REFUSED).time_to_live(quota.per).build();
        let limit = NetworkLimit::new(quota, Arc::clone(clock));
        Self(Some(Arc::new(Failures { quota, limit, refused, clock: Arc::clone(clock) })))
    }

    /// How long the client's network must wait; `None` if it may try.
    #[must_use]
    pub fn wait(&self, client: Option<IpAddr>) -> Option<Duration> {
        let failures = self.0.as_ref()?;
        let until = failures.refused.get(&network(client))?;
        until.checked_duration_since(failures.clock.instant()).filter(|wait| !wait.is_zero())
    }

    /// Counts a failure.
    pub fn count(&self, client: Option<IpAddr>) {
        let Some(failures) = &self.0 else { return };
        let wait = match failures.limit.count(network(client)) {
            QuotaState::Admitted { remaining: 0 } => failures.quota.interval(),
            QuotaState::Admitted { .. } => return,
            QuotaState::Refused { wait } => wait,
        };
        failures.refused.insert(network(client), failures.clock.instant() + wait);
    }
}

/// Clients without an address are one network.
fn network(client: Option<IpAddr>) -> ClientNetwork {
    ClientNetwork::from(client.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::domain::clock::SystemClock;

    fn limit() -> Limit {
        let quota = Quota { count: NonZeroU32::MIN, per: Duration::from_hours(1) };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Limit::new([(RouteClass::Token, quota), (RouteClass::Mail, quota)], &clock)
    }

    fn is_admitted(limit: &Limit, class: RouteClass, client: Option<IpAddr>) -> bool {
        matches!(limit.run(class, client), None | Some((_, QuotaState::Admitted { .. })))
    }

    #[test]
    fn each_class_counts_for_itself_and_one_without_a_limit_does_not() {
        let limit = limit();
        let client = Some(IpAddr::from([203, 0, 113, 9]));
        assert!(is_admitted(&limit, RouteClass::Token, client));
        assert!(!is_admitted(&limit, RouteClass::Token, client));
        assert!(is_admitted(&limit, RouteClass::Mail, client));
        assert_eq!(limit.run(RouteClass::Pages, client), None);
        assert_eq!(Limit::default().run(RouteClass::Token, client), None);
    }

    #[test]
    fn a_network_is_refused_once_its_failures_are_used_up_and_no_other_is() {
        let quota = Quota { count: NonZeroU32::new(3).expect("some"), per: Duration::from_hours(1) };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (client, other) = (Some(IpAddr::from([203, 0, 113, 9])), Some(IpAddr::from([203, 0, 113, 10])));
        let limit = FailureLimit::new(quota, &clock);
        for _ in 0..3 {
            assert_eq!(limit.wait(client), None);
            limit.count(client);
        }
        assert!(limit.wait(client).is_some_and(|wait| wait <= Duration::from_mins(20)));
        assert_eq!((limit.wait(other), limit.wait(None)), (None, None));
        FailureLimit::default().count(client);
        assert_eq!(FailureLimit::default().wait(client), None);
    }

    #[test]
    fn those_without_an_address_share_a_quota() {
        let limit = limit();
        assert!(is_admitted(&limit, RouteClass::Token, None));
        assert!(!is_admitted(&limit, RouteClass::Token, None));
    }
}
