//! Wires the services: the shared parts first, then one method for each service.

mod accounts;
mod background;
mod browser;
mod core;
mod parts;
mod tokens;

use std::{num::NonZeroU32, sync::Arc};

pub(super) use self::core::Core;
use self::core::quota;
use self::parts::Parts;
use super::error::StartError;
use crate::{
    crypto::keys::ring::Keyring,
    domain::rate_limit::RouteClass,
    http::{HttpConfig, Services},
    outbound::client_document::DocumentNetwork,
    services::{
        accounts::password_costs::PasswordCosts,
        audit::RequestIds,
        background::{prune::Prune, run_jobs::RunJobs},
        change_feed::ChangeFeed,
        csrf::Csrf,
        keys::{published::PublishedKeys, rotate::RotateKeys, watch::WatchKeys},
        metrics::{DroppedLines, MetricsSnapshot},
        rate_limit::Limit,
        readiness::Readiness,
    },
};

/// The parts of a running process.
pub(super) struct Components {
    /// The services that requests run.
    pub(super) services: Services,
    pub(super) http: HttpConfig,
    pub(super) changes: ChangeFeed,
    pub(super) prune: Prune,
    pub(super) metrics: MetricsSnapshot,
    pub(super) run_jobs: RunJobs,
    pub(super) password_costs: PasswordCosts,
    pub(super) watch_keys: WatchKeys,
    pub(super) rotate_keys: Option<RotateKeys>,
}

/// Makes every service from `core` and the keys.
pub(super) fn wire(
    core: Core<'_>,
    keyring: Arc<Keyring>,
    dropped: DroppedLines,
    network: DocumentNetwork,
) -> Result<Components, StartError> {
    let parts = Parts::new(core, keyring, network)?;
    Ok(Components {
        run_jobs: parts.run_jobs()?,
        services: services(&parts)?,
        http: http_config(&parts),
        changes: parts.core.changes.clone(),
        prune: parts.prune(),
        metrics: parts.metrics_snapshot(dropped),
        password_costs: parts.password_costs(),
        watch_keys: parts.watch_keys(),
        rotate_keys: parts.rotate_keys(),
    })
}

fn services(parts: &Parts<'_>) -> Result<Services, StartError> {
    let providers = Arc::new(parts.providers()?);
    Ok(Services {
        account: parts.account(),
        authorize: parts.authorize(),
        bearer: parts.bearer(),
        browser_sessions: parts.browser_sessions(),
        change_password: parts.change_password(),
        client_credentials: parts.client_credentials(),
        clients: parts.core.clients(),
        pushing_clients: parts.pushing_clients(),
        consents: parts.consents(),
        federate: parts.federate(&providers),
        identities: parts.identities(providers),
        introspect: parts.introspect(),
        log_in: parts.log_in(),
        log_out: parts.log_out(),
        redeem_code: parts.redeem_code(),
        refresh: parts.refresh(),
        register: parts.register(),
        register_client: parts.register_client(),
        request_reset: parts.request_reset(),
        reset_password: parts.reset_password(),
        revoke: parts.revoke(),
        sessions: parts.sessions(),
        status_lists: parts.status_lists(),
        check: parts.check(),
        userinfo: parts.userinfo(),
        verify_email: parts.verify_email(),
    })
}

fn http_config(parts: &Parts<'_>) -> HttpConfig {
    let Parts { core, keyring, metrics, .. } = parts;
    let config = core.config;
    HttpConfig {
        issuer: core.issuer.clone(),
        limit: limit(core),
        csrf: Csrf { keyring: Arc::clone(keyring), random: core.random.clone(), clock: core.clock.clone() },
        published_keys: PublishedKeys::new(Arc::clone(keyring), core.clock.clone()),
        readiness: Readiness::new(core.follower_db.clone(), core.changes.revocations.clone(), core.clock.clone()),
        request_ids: RequestIds(core.random.clone()),
        metrics: metrics.clone(),
        name: config.pages.name.clone(),
        color: config.pages.color,
        tls: config.tls.is_some(),
        https: config.tls.is_some() || core.issuer.starts_with("https://"),
        trusted_proxies: config.trusted_proxies.clone(),
        cors_origins: config.cors_origins.clone(),
    }
}

/// A whole office may share one address, so one network may cause this many times the emails of one account.
/// The compiler evaluates the `unwrap`.
const ACCOUNTS_OF_A_NETWORK: NonZeroU32 = NonZeroU32::new(10).unwrap();

fn limit(core: &Core<'_>) -> Limit {
    let limits = &core.config.rate_limits;
    if !limits.enabled || !limits.network {
        return Limit::default();
    }
    let quotas = [
        (RouteClass::Token, quota(limits.token)),
        (RouteClass::Registration, quota(limits.registration)),
        (RouteClass::Availability, quota(limits.availability)),
        (RouteClass::Mail, quota(limits.mail).times(ACCOUNTS_OF_A_NETWORK)),
        (RouteClass::Pages, quota(limits.pages)),
    ];
    Limit::new(quotas, &core.clock)
}
