//! Services for tokens, sessions and clients.

use std::sync::Arc;

use super::parts::Parts;
use crate::{
    config::ClientRegistration,
    services::{
        clients::{
            Clients,
            documents::DocumentSource,
            register::{RegisterClient, RegistrationPolicy},
        },
        grants::{client_credentials::ClientCredentials, refresh::Refresh, token_issuer::TokenIssuer},
        sessions::{
            bearer::Bearer,
            begin::BeginSession,
            check::Check,
            introspect::Introspect,
            list::Sessions,
            login::LogIn,
            revoke::Revoke,
            status_lists::{StatusListCache, StatusLists},
            userinfo::Userinfo,
        },
    },
};

impl Parts<'_> {
    pub(super) fn bearer(&self) -> Bearer {
        Bearer {
            jwt: Arc::clone(&self.jwt),
            revocations: self.core.changes.revocations.clone(),
            entities: self.core.changes.entities.clone(),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
            issuer: self.core.issuer.clone(),
            audience: self.audience(),
            verified: self.core.verified.clone(),
        }
    }

    pub(super) fn begin_session(&self) -> BeginSession {
        BeginSession {
            db: self.core.db.clone(),
            random: self.core.random.clone(),
            status_indexes: self.status_indexes.clone(),
            end_session: self.core.end_session.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn client_credentials(&self) -> ClientCredentials {
        ClientCredentials { issue: self.token_issuer(), clock: self.core.clock.clone() }
    }

    pub(super) fn introspect(&self) -> Introspect {
        Introspect {
            bearer: self.bearer(),
            jwt: Arc::clone(&self.jwt),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn log_in(&self) -> LogIn {
        LogIn {
            authenticate: self.authenticate(),
            issue: self.token_issuer(),
            begin_session: self.begin_session(),
            clock: self.core.clock.clone(),
        }
    }

    /// The clients of the endpoint that begins an authorization without a browser.
    pub(super) fn pushing_clients(&self) -> Clients {
        let documents = self
            .documents
            .clone()
            .map_or(DocumentSource::Off, |documents| DocumentSource::Fetched(Box::new(documents)));
        Clients { documents, ..self.core.clients() }
    }

    pub(super) fn refresh(&self) -> Refresh {
        Refresh {
            jwt: Arc::clone(&self.jwt),
            issue: self.token_issuer(),
            end_session: self.core.end_session.clone(),
            entities: self.core.changes.entities.clone(),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn register_client(&self) -> RegisterClient {
        let config = self.core.config;
        let admission = match (config.client_registration, &config.client_registration_token) {
            (ClientRegistration::Off, _) => RegistrationPolicy::Off,
            (ClientRegistration::Open, Some(token)) => RegistrationPolicy::Holders(token.clone()),
            (ClientRegistration::Open, None) => RegistrationPolicy::Anybody,
        };
        RegisterClient { clients: self.core.clients(), admission }
    }

    pub(super) fn revoke(&self) -> Revoke {
        Revoke {
            jwt: Arc::clone(&self.jwt),
            end_session: self.core.end_session.clone(),
            changes: self.core.changes.clone(),
            db: self.core.revocation_db.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn sessions(&self) -> Sessions {
        Sessions {
            db: self.core.db.clone(),
            entities: self.core.changes.entities.clone(),
            end_session: self.core.end_session.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn status_lists(&self) -> StatusLists {
        StatusLists {
            jwt: Arc::clone(&self.jwt),
            revocations: self.core.changes.revocations.clone(),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
            issuer: self.core.issuer.clone(),
            built: StatusListCache::default(),
        }
    }

    pub(super) fn token_issuer(&self) -> TokenIssuer {
        TokenIssuer {
            jwt: Arc::clone(&self.jwt),
            random: self.core.random.clone(),
            audience: self.audience(),
            issuer: self.core.issuer.clone(),
            open_resources: self.core.config.open_resources.clone(),
            lifetimes: self.core.lifetimes,
        }
    }

    /// The audience of access tokens if the client requests none.
    fn audience(&self) -> String {
        self.core.config.audience.clone().unwrap_or_else(|| self.core.issuer.clone())
    }

    pub(super) fn check(&self) -> Check {
        Check { bearer: self.bearer(), audience: self.audience() }
    }

    pub(super) fn userinfo(&self) -> Userinfo {
        Userinfo { bearer: self.bearer(), entities: self.core.changes.entities.clone(), db: self.core.db.clone() }
    }
}
