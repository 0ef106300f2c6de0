//! The parts that services and commands share. Each is made once.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    app::error::StartError,
    config::Config,
    crypto::{
        password::hash::{self, HashParameters, PasswordHasher},
        random::Random,
    },
    domain::{clock::Clock, password_policy::PasswordPolicy, session::Lifetimes},
    services::{
        accounts::choose_password::ChoosePassword, admin::accounts::Administer, change_feed::ChangeFeed,
        clients::Clients, outbox::Outbox, sessions::end::EndSession,
    },
    store::{Database, entity_cache::EntityCache, revocations::Revocations},
};

/// The parts that need no keys. The outbox and `end_session` wake the one worker of jobs, which holds a clone of their
/// handle: a second handle made elsewhere would wake nobody.
pub(in crate::app) struct Core<'a> {
    pub(super) config: &'a Config,
    pub(super) db: Database,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Random,
    /// `iss`.
    pub(super) issuer: String,
    pub(super) lifetimes: Lifetimes,
    pub(super) changes: ChangeFeed,
    pub(super) outbox: Outbox,
    pub(super) end_session: EndSession,
}

impl<'a> Core<'a> {
    /// Where no issuer is configured, it follows from `address`.
    pub(in crate::app) fn new(config: &'a Config, address: SocketAddr, db: Database, clock: &Arc<dyn Clock>) -> Self {
        let awake = Arc::default();
        let changes = ChangeFeed {
            db: db.clone(),
            revocations: Revocations::default(),
            entities: EntityCache::default(),
            clock: Arc::clone(clock),
        };
        Self {
            config,
            issuer: config.issuer.clone().unwrap_or_else(|| format!("http://{address}")),
            lifetimes: Lifetimes {
                access_token: config.access_token_ttl,
                refresh_token: config.refresh_token_ttl,
                session: config.session_ttl,
                grace: config.refresh_grace,
            },
            outbox: Outbox { db: db.clone(), random: Random, clock: Arc::clone(clock), awake: Arc::clone(&awake) },
            end_session: EndSession { db: db.clone(), changes: changes.clone(), awake, clock: Arc::clone(clock) },
            changes,
            db,
            clock: Arc::clone(clock),
            random: Random,
        }
    }

    pub(in crate::app) fn clients(&self) -> Clients {
        Clients {
            db: self.db.clone(),
            end_session: self.end_session.clone(),
            entities: self.changes.entities.clone(),
            issuer: self.issuer.clone(),
            random: self.random.clone(),
            clock: self.clock.clone(),
        }
    }

    /// A command hashes one password, if any.
    pub(in crate::app) fn administer(&self) -> Result<Administer, StartError> {
        Ok(Administer {
            db: self.db.clone(),
            choose_password: self.choose_password(self.hasher(1)?, 1),
            end_session: self.end_session.clone(),
            outbox: self.outbox.clone(),
            random: self.random.clone(),
            clock: self.clock.clone(),
        })
    }

    pub(super) fn choose_password(&self, hasher: PasswordHasher, turns: usize) -> ChoosePassword {
        let policy = PasswordPolicy { min_length: self.config.password.min_length };
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
