//! The flows that a browser goes through: log-in at the pages, with other providers, and for a client.

use std::sync::Arc;

use super::{StartError, lifetimes};
use crate::{
    config::{self, AppleKey, Config, RegistrationMode},
    crypto::{
        jose::{apple_secret::AppleSecret, jwt::Jwt},
        random::Random,
    },
    domain::identity::ProviderName,
    outbound::provider::{self, Provider},
    services::{
        accounts::authenticate::Authenticate,
        authorization::{authorize::Authorize, consents::Consents},
        change_feed::ChangeFeed,
        federation::{ConfiguredProvider, Credential, Federate, Providers, identities::Identities},
        grants::{authorization_code::RedeemCode, token_issuer::TokenIssuer},
        outbox::Outbox,
        sealed::Sealer,
        sessions::{begin::BeginSession, browser::BrowserSessions, end::EndSession, logout::LogOut},
    },
};

/// What they are made of.
pub(super) struct Browser<'a> {
    pub(super) config: &'a Config,
    pub(super) issuer: &'a str,
    pub(super) jwt: &'a Arc<Jwt>,
    pub(super) issue: &'a TokenIssuer,
    pub(super) authenticate: &'a Authenticate,
    pub(super) begin_session: &'a BeginSession,
    pub(super) end_session: &'a EndSession,
    pub(super) changes: &'a ChangeFeed,
    pub(super) outbox: &'a Outbox,
    pub(super) sealer: Sealer,
}

impl Browser<'_> {
    pub(super) fn authorize(&self) -> Authorize {
        Authorize {
            issue: self.issue.clone(),
            jwt: Arc::clone(self.jwt),
            sealer: self.sealer.clone(),
            random: Random,
            db: self.changes.db.clone(),
            clock: self.changes.clock.clone(),
        }
    }

    pub(super) fn browser_sessions(&self) -> BrowserSessions {
        BrowserSessions {
            sealer: self.sealer.clone(),
            end_session: self.end_session.clone(),
            db: self.changes.db.clone(),
            clock: self.changes.clock.clone(),
            lifetimes: lifetimes(self.config),
        }
    }

    pub(super) fn consents(&self) -> Consents {
        let ChangeFeed { db, remembered, .. } = self.changes.clone();
        Consents { db, remembered, end_session: self.end_session.clone() }
    }

    pub(super) fn federate(&self, providers: &Arc<Providers>) -> Federate {
        Federate {
            providers: Arc::clone(providers),
            sealer: self.sealer.clone(),
            begin_session: self.begin_session.clone(),
            changes: self.changes.clone(),
            outbox: self.outbox.clone(),
            random: Random,
            db: self.changes.db.clone(),
            clock: self.changes.clock.clone(),
            lifetimes: lifetimes(self.config),
            open: self.config.registration == RegistrationMode::Open,
        }
    }

    pub(super) fn identities(&self, providers: Arc<Providers>) -> Identities {
        Identities {
            providers,
            db: self.changes.db.clone(),
            authenticate: self.authenticate.clone(),
            end_session: self.end_session.clone(),
            clock: self.changes.clock.clone(),
        }
    }

    pub(super) fn log_out(&self) -> LogOut {
        LogOut {
            jwt: Arc::clone(self.jwt),
            sealer: self.sealer.clone(),
            end_session: self.end_session.clone(),
            db: self.changes.db.clone(),
            clock: self.changes.clock.clone(),
        }
    }

    pub(super) fn redeem_code(&self) -> RedeemCode {
        let ChangeFeed { db, remembered, clock, .. } = self.changes.clone();
        RedeemCode {
            issue: self.issue.clone(),
            begin_session: self.begin_session.clone(),
            end_session: self.end_session.clone(),
            remembered,
            db,
            clock,
        }
    }

    /// The providers that people may log in with.
    pub(super) fn providers(&self) -> Result<Providers, StartError> {
        let Self { config, issuer, .. } = self;
        let clock = &self.changes.clock;
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
