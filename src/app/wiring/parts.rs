//! The parts that the services of a running process share.

use std::sync::Arc;

use super::core::Core;
use crate::{
    app::error::StartError,
    config::ClientIdDocuments,
    crypto::{jose::jwt::Jwt, keys::ring::Keyring, password::hash::PasswordHasher},
    outbound::client_document::{DocumentFetcher, DocumentNetwork},
    services::{
        accounts::{choose_password::ChoosePassword, throttle::Throttle},
        clients::documents::{ClientDocuments, DocumentCache},
        metrics::Metrics,
        sessions::status_indexes::StatusIndexes,
    },
};

/// [`Core`], with the keys and the parts that hold a state of their own. Every service is made from clones of them.
pub(super) struct Parts<'a> {
    pub(super) core: Core<'a>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) jwt: Arc<Jwt>,
    pub(super) hasher: PasswordHasher,
    pub(super) choose_password: ChoosePassword,
    pub(super) throttle: Throttle,
    pub(super) status_indexes: StatusIndexes,
    pub(super) metrics: Metrics,
    /// Clients that documents describe; `None` if there are none.
    pub(super) documents: Option<ClientDocuments>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(core: Core<'a>, keyring: Arc<Keyring>, network: DocumentNetwork) -> Result<Self, StartError> {
        let config = core.config;
        let hasher = core.hasher(config.password.workers)?;
        Ok(Self {
            jwt: Arc::new(Jwt::new(Arc::clone(&keyring), core.issuer.clone(), config.signing_algorithm)),
            choose_password: core.choose_password(hasher.clone(), config.password.workers),
            throttle: throttle(&core, &keyring),
            status_indexes: StatusIndexes::new(core.random.clone()),
            metrics: Metrics::new(core.clock.now()),
            documents: documents(&core, network),
            hasher,
            keyring,
            core,
        })
    }
}

fn documents(core: &Core<'_>, network: DocumentNetwork) -> Option<ClientDocuments> {
    (core.config.client_id_documents == ClientIdDocuments::On).then(|| ClientDocuments {
        fetcher: DocumentFetcher::new(network),
        cache: DocumentCache::default(),
        db: core.db.clone(),
        changes: core.changes.clone(),
        service_name: core.config.pages.name.clone(),
        clock: core.clock.clone(),
    })
}

fn throttle(core: &Core<'_>, keyring: &Arc<Keyring>) -> Throttle {
    Throttle {
        rules: core.throttle_rules(),
        db: core.db.clone(),
        refused: core.changes.refused.clone(),
        keyring: Arc::clone(keyring),
        random: core.random.clone(),
        clock: core.clock.clone(),
    }
}
