//! Rate limits: how often one client network may call a class of routes (NIST SP 800-63B-4 §3.2.2). Failed passwords of
//! an account are counted by the throttle.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

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
        let network = ClientNetwork::from(client.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        Some((*quota, limit.count(network)))
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

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
    fn those_without_an_address_share_a_quota() {
        let limit = limit();
        assert!(is_admitted(&limit, RouteClass::Token, None));
        assert!(!is_admitted(&limit, RouteClass::Token, None));
    }
}
