//! The parts that services and commands share. Each is made once.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use chrono::TimeDelta;

use crate::{
    app::error::StartError,
    config::{ClientIdDocuments, Config, RateLimit},
    crypto::{
        keys::ring::Keyring,
        password::hash::{self, HashParameters, PasswordHasher},
        random::Random,
    },
    domain::{
        clock::Clock, password_policy::PasswordPolicy, rate_limit::Quota, session::Lifetimes, throttle::ThrottleRules,
        username::ReservedUsernames,
    },
    services::{
        accounts::{choose_password::ChoosePassword, password_costs::PasswordCosts},
        admin::accounts::Administer,
        change_feed::ChangeFeed,
        clients::{Clients, documents::DocumentSource},
        outbox::Outbox,
        rate_limit::FailureLimit,
        sessions::end::EndSession,
    },
    store::{
        Database, Pools, entity_cache::EntityCache, refused_names::RefusedNames, revocations::Revocations,
        verified_tokens::VerifiedTokens,
    },
};

/// The parts that need no keys. The outbox and `end_session` wake the one worker of jobs, which holds a clone of their
/// handle: a second handle made elsewhere would wake nobody.
pub(in crate::app) struct Core<'a> {
    pub(super) config: &'a Config,
    pub(super) db: Database,
    /// The connections of requests that end sessions.
    pub(super) revocation_db: Database,
    /// The connections of the readiness probe, and of the follower of changes.
    pub(super) follower_db: Database,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Random,
    /// The issuer (`iss`).
    pub(super) issuer: String,
    pub(super) lifetimes: Lifetimes,
    pub(super) changes: ChangeFeed,
    pub(super) outbox: Outbox,
    pub(super) end_session: EndSession,
    /// The access tokens that this process has verified.
    pub(super) verified: VerifiedTokens,
    /// Failed client authentications, for all endpoints together.
    client_failures: FailureLimit,
}

impl<'a> Core<'a> {
    /// Makes the parts. If no issuer is configured, the issuer follows from `address`.
    /// A command has no keys.
    pub(in crate::app) fn new(
        config: &'a Config,
        address: SocketAddr,
        pools: Pools,
        clock: &Arc<dyn Clock>,
        keyring: Option<&Arc<Keyring>>,
    ) -> Self {
        let awake = Arc::default();
        let Pools { requests: db, revocations: revocation_db, follower: follower_db } = pools;
        let changes = ChangeFeed {
            db: follower_db.clone(),
            revocations: Revocations::default(),
            entities: EntityCache::default(),
            refused: RefusedNames::default(),
            keyring: keyring.cloned(),
            clock: Arc::clone(clock),
        };
        Self {
            config,
            verified: VerifiedTokens::default(),
            issuer: config.issuer.clone().unwrap_or_else(|| format!("http://{address}")),
            lifetimes: Lifetimes {
                access_token: config.access_token_ttl,
                refresh_token: config.refresh_token_ttl,
                session: config.session_ttl,
                grace: config.refresh_grace,
            },
            outbox: Outbox { db: db.clone(), random: Random, clock: Arc::clone(clock), awake: Arc::clone(&awake) },
            end_session: EndSession {
                db: revocation_db.clone(),
                changes: changes.clone(),
                awake,
                random: Random,
                clock: Arc::clone(clock),
            },
            client_failures: client_failures(config, clock),
            changes,
            db,
            revocation_db,
            follower_db,
            clock: Arc::clone(clock),
            random: Random,
        }
    }

    pub(in crate::app) fn changes(self) -> ChangeFeed {
        self.changes
    }

    pub(in crate::app) fn clients(&self) -> Clients {
        Clients {
            db: self.db.clone(),
            end_session: self.end_session.clone(),
            entities: self.changes.entities.clone(),
            documents: match self.config.client_id_documents {
                ClientIdDocuments::Off => DocumentSource::Off,
                ClientIdDocuments::On => DocumentSource::Stored,
            },
            failures: self.client_failures.clone(),
            issuer: self.issuer.clone(),
            service_name: self.config.pages.name.clone(),
            random: self.random.clone(),
            clock: self.clock.clone(),
        }
    }

    /// A command hashes one password, if any.
    pub(in crate::app) fn administer(&self) -> Result<Administer, StartError> {
        let hasher = self.hasher(1)?;
        Ok(Administer {
            db: self.db.clone(),
            choose_password: self.choose_password(hasher.clone(), 1),
            password_costs: PasswordCosts { db: self.db.clone(), hasher },
            end_session: self.end_session.clone(),
            outbox: self.outbox.clone(),
            throttle_rules: self.throttle_rules(),
            random: self.random.clone(),
            clock: self.clock.clone(),
        })
    }

    /// The rules of failed passwords; `None` if they are off.
    pub(super) fn throttle_rules(&self) -> Option<ThrottleRules> {
        let limits = &self.config.rate_limits;
        let per = TimeDelta::from_std(limits.account.per).unwrap_or(TimeDelta::days(1));
        limits.enabled.then(|| ThrottleRules::new(limits.account.count, per))
    }

    /// The names that only the operator can give.
    pub(super) fn reserved_usernames(&self) -> ReservedUsernames {
        ReservedUsernames::new(&self.config.reserved_usernames)
    }

    pub(super) fn choose_password(&self, hasher: PasswordHasher, turns: usize) -> ChoosePassword {
        let host = self.issuer.split_once("://").map_or("", |(_, host)| host);
        let policy = PasswordPolicy::new(self.config.password.min_length, &[&self.config.pages.name, host]);
        ChoosePassword::new(hasher, policy, turns, self.config.password.max_wait)
    }

    pub(super) fn hasher(&self, workers: usize) -> Result<PasswordHasher, hash::StartError> {
        let password = &self.config.password;
        let parameters = HashParameters {
            memory_kib: password.memory_kib,
            iterations: password.iterations,
            parallelism: password.parallelism,
        };
        PasswordHasher::start(parameters, workers, password.max_wait)
    }
}

/// The quota of failed client authentications: one network may fail as often as it may make token requests.
fn client_failures(config: &Config, clock: &Arc<dyn Clock>) -> FailureLimit {
    let limits = &config.rate_limits;
    if limits.enabled && limits.network {
        FailureLimit::new(quota(limits.token), clock)
    } else {
        FailureLimit::default()
    }
}

/// The configuration refuses a count below one.
pub(super) fn quota(limit: RateLimit) -> Quota {
    Quota { count: NonZeroU32::new(limit.count).unwrap_or(NonZeroU32::MIN), per: limit.per }
}
