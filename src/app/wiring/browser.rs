//! Services for the browser pages: login, login with other providers, authorization for a client.

use std::sync::Arc;

use super::{core::Core, parts::Parts};
use crate::{
    app::error::StartError,
    config::{self, AppleKey, RegistrationMode},
    crypto::jose::apple_secret::AppleSecret,
    domain::identity::ProviderName,
    outbound::provider::{self, Provider},
    services::{
        authorization::{authorize::Authorize, consents::Consents},
        federation::{ConfiguredProvider, Credential, Federate, Providers, identities::Identities},
        grants::authorization_code::RedeemCode,
        sealed::Sealer,
        sessions::{browser::BrowserSessions, logout::LogOut},
    },
};

impl Parts<'_> {
    pub(super) fn sealer(&self) -> Sealer {
        Sealer { keyring: Arc::clone(&self.keyring), clock: self.core.clock.clone() }
    }

    pub(super) fn authorize(&self) -> Authorize {
        Authorize {
            issue: self.token_issuer(),
            jwt: Arc::clone(&self.jwt),
            sealer: self.sealer(),
            random: self.core.random.clone(),
            documents: self.documents.clone(),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn browser_sessions(&self) -> BrowserSessions {
        BrowserSessions {
            sealer: self.sealer(),
            end_session: self.core.end_session.clone(),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
            lifetimes: self.core.lifetimes,
        }
    }

    pub(super) fn consents(&self) -> Consents {
        Consents {
            db: self.core.db.clone(),
            entities: self.core.changes.entities.clone(),
            end_session: self.core.end_session.clone(),
        }
    }

    pub(super) fn federate(&self, providers: &Arc<Providers>) -> Federate {
        Federate {
            providers: Arc::clone(providers),
            sealer: self.sealer(),
            begin_session: self.begin_session(),
            changes: self.core.changes.clone(),
            outbox: self.core.outbox.clone(),
            random: self.core.random.clone(),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
            lifetimes: self.core.lifetimes,
            reserved: self.core.reserved_usernames(),
            open: self.core.config.registration == RegistrationMode::Open,
        }
    }

    pub(super) fn identities(&self, providers: Arc<Providers>) -> Identities {
        Identities {
            providers,
            db: self.core.db.clone(),
            authenticate: self.authenticate(),
            outbox: self.core.outbox.clone(),
            end_session: self.core.end_session.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn log_out(&self) -> LogOut {
        LogOut {
            jwt: Arc::clone(&self.jwt),
            sealer: self.sealer(),
            end_session: self.core.end_session.clone(),
            browser_sessions: BrowserSessions { db: self.core.revocation_db.clone(), ..self.browser_sessions() },
            db: self.core.revocation_db.clone(),
            clock: self.core.clock.clone(),
        }
    }

    pub(super) fn redeem_code(&self) -> RedeemCode {
        RedeemCode {
            issue: self.token_issuer(),
            begin_session: self.begin_session(),
            end_session: self.core.end_session.clone(),
            entities: self.core.changes.entities.clone(),
            db: self.core.db.clone(),
            clock: self.core.clock.clone(),
        }
    }

    /// The providers that users may log in with.
    pub(super) fn providers(&self) -> Result<Providers, StartError> {
        let Core { config, issuer, .. } = &self.core;
        let clock = &self.core.clock;
        let provider = |(name, configured): (&ProviderName, &config::Provider)| {
            let refused = |why: &dyn ToString| StartError::Provider(name.clone(), why.to_string());
            let secret = &configured.client_secret;
            let credential = match &configured.apple {
                Some(AppleKey { team_id, key_id }) => AppleSecret::new(secret, key_id.clone(), team_id.clone())
                    .map(Credential::Apple)
                    .map_err(|why| refused(&format!("client_secret {why}")))?,
                None => Credential::Secret(secret.clone()),
            };
            let settings = provider::Settings {
                name: name.clone(),
                kind: configured.kind,
                client_id: configured.client_id.clone(),
                issuer: configured.issuer.clone(),
                authorize_url: configured.authorize_url.clone(),
                token_url: configured.token_url.clone(),
                userinfo_url: configured.userinfo_url.clone(),
                scopes: configured.scopes.clone(),
                redirect_uri: format!("{issuer}/federation/{name}/callback"),
            };
            let provider = Provider::new(settings, Arc::clone(clock)).map_err(|why| refused(&why))?;
            Ok(ConfiguredProvider { provider, credential, trust_email: configured.trust_email })
        };
        let all: Result<Vec<_>, StartError> = config.providers.iter().map(provider).collect();
        all.map(Providers::new)
    }
}
