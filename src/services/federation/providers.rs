//! The providers that the operator configured, and what proves to them who we are.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{
    crypto::jose::apple_secret::AppleSecret,
    domain::identity::{ProviderKind, ProviderName},
    outbound::provider::Provider,
    services::{Unavailable, federation::error::FederateError},
};

/// A provider, as it is dealt with.
#[derive(Debug)]
pub struct ConfiguredProvider {
    /// It.
    pub provider: Provider,
    /// What proves to it who we are.
    pub credential: Credential,
    /// Whether its word on addresses is taken.
    pub trust_email: bool,
}

/// What proves to a provider who we are.
#[derive(Debug)]
pub enum Credential {
    /// The secret that it gave.
    Secret(SecretString),
    /// A key that it knows.
    Apple(AppleSecret),
}

/// All of them, by name.
#[derive(Debug, Default)]
pub struct Providers(BTreeMap<ProviderName, ConfiguredProvider>);

impl Providers {
    /// These.
    #[must_use]
    pub fn new(providers: impl IntoIterator<Item = ConfiguredProvider>) -> Self {
        Self(providers.into_iter().map(|configured| (configured.provider.name().clone(), configured)).collect())
    }

    /// The provider of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ConfiguredProvider> {
        self.0.get(name)
    }

    /// Their names and kinds, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ProviderName, ProviderKind)> {
        self.0.iter().map(|(name, configured)| (name, configured.provider.kind()))
    }
}

impl ConfiguredProvider {
    /// What proves at `now` to the provider of `issuer` who we are.
    pub(in crate::services) fn secret(&self, issuer: &str, now: DateTime<Utc>) -> Result<SecretString, FederateError> {
        match &self.credential {
            Credential::Secret(secret) => Ok(secret.clone()),
            Credential::Apple(apple) => {
                // It signed when the service started.
                let signed = apple.sign(self.provider.client_id(), issuer, now);
                signed.map_err(|_| Unavailable::Sign(crate::crypto::jose::jwt::SignError::NotSigned).into())
            }
        }
    }
}
