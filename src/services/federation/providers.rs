//! The configured providers and our credentials with them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::{
    crypto::jose::apple_secret::AppleSecret,
    domain::identity::{ProviderKind, ProviderName},
    outbound::provider::Provider,
    services::{Unavailable, federation::error::FederateError},
};

/// A configured provider.
#[derive(Debug)]
pub struct ConfiguredProvider {
    pub provider: Provider,
    /// Our client credential.
    pub credential: Credential,
    /// Whether its `email_verified` is trusted.
    pub trust_email: bool,
}

/// Our client credential with a provider.
#[derive(Debug)]
pub enum Credential {
    Secret(SecretString),
    /// A key that signs the client secret.
    Apple(AppleSecret),
}

/// All configured providers, by name.
#[derive(Debug, Default)]
pub struct Providers(BTreeMap<ProviderName, ConfiguredProvider>);

impl Providers {
    #[must_use]
    pub fn new(providers: impl IntoIterator<Item = ConfiguredProvider>) -> Self {
        Self(providers.into_iter().map(|configured| (configured.provider.name().clone(), configured)).collect())
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ConfiguredProvider> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ProviderName, ProviderKind)> {
        self.0.iter().map(|(name, configured)| (name, configured.provider.kind()))
    }
}

impl ConfiguredProvider {
    /// Our client secret for the provider with this issuer.
    pub(in crate::services) fn secret(&self, issuer: &str, now: DateTime<Utc>) -> Result<SecretString, FederateError> {
        match &self.credential {
            Credential::Secret(secret) => Ok(secret.clone()),
            Credential::Apple(apple) => {
                // The key was tried at start-up.
                let signed = apple.sign(self.provider.client_id(), issuer, now);
                signed.map_err(|_| Unavailable::Sign(crate::crypto::jose::jwt::SignError::NotSigned).into())
            }
        }
    }
}
