//! Identity providers: the client's side of the authorization code flow (RFC 6749 §4.1, OpenID Connect Core 1.0 §3.1).
//!
//! A provider is a foreign computer: it may be slow, broken or hostile. Nothing that it answers sends our requests to
//! other origins than those of the operator or the preset.

pub mod exchange;
mod fetch;
mod presets;
mod token_answer;
mod user_info;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

pub use self::fetch::{NoClient, ProviderError};
use self::{
    fetch::Fetcher,
    presets::{Endpoints, Preset},
};
use crate::domain::{
    clock::Clock,
    identity::{ProviderKind, ProviderName, TENANT, is_issuer},
};

/// The operator's settings of a provider.
#[derive(Debug)]
pub struct Settings {
    /// The name in our paths.
    pub name: ProviderName,
    pub kind: ProviderKind,
    /// Us, as it calls us.
    pub client_id: String,
    /// The issuer, if it is not the preset's.
    pub issuer: Option<String>,
    /// Likewise.
    pub authorize_url: Option<String>,
    /// Likewise.
    pub token_url: Option<String>,
    /// Likewise.
    pub userinfo_url: Option<String>,
    /// The scopes to request; empty means the preset's.
    pub scopes: Vec<String>,
    /// Our callback.
    pub redirect_uri: String,
}

/// Why a provider cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The value of this key is not a URL.
    #[error("{0} is not a URL")]
    NotAUrl(&'static str),
    #[error(transparent)]
    Client(#[from] NoClient),
}

#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    preset: Preset,
    issuer: String,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    metadata: Mutex<Option<Arc<Metadata>>>,
    keys: Mutex<Option<Arc<KeySet>>>,
}

/// A provider's metadata (OpenID Connect Discovery 1.0 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// `iss` of its ID tokens. Microsoft's has `{tenantid}` in place of the organization.
    pub issuer: String,
    /// Whether every answer of its authorization endpoint must say `iss` (RFC 9207 §3).
    pub sends_issuer: bool,
    authorize: Url,
    token: Url,
    userinfo: Option<Url>,
    jwks: Option<Url>,
    in_form: bool,
    read_at: DateTime<Utc>,
}

/// The members of the metadata document that we read.
#[derive(Debug, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    jwks_uri: String,
    /// A list of texts; anything else counts as left out.
    #[serde(default)]
    token_endpoint_auth_methods_supported: Value,
    /// `true`; anything else counts as left out.
    #[serde(default)]
    authorization_response_iss_parameter_supported: Value,
}

/// A provider's published keys, unparsed.
#[derive(Debug)]
pub struct KeySet {
    /// The JSON (RFC 7517 §5).
    pub json: Vec<u8>,
    read_at: DateTime<Utc>,
}

/// How long metadata and keys are used without reading them again.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// How long they are used if they cannot be read again.
const STALE: TimeDelta = TimeDelta::days(1);
/// The shortest time between two reads of the keys because of an unknown `kid`. Otherwise anybody could make us flood
/// the provider with such tokens.
const COOL_DOWN: TimeDelta = TimeDelta::minutes(1);
/// The tenant of Microsoft's personal accounts, which the metadata of `consumers` name.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

impl Provider {
    /// Sets a provider up, without any request yet.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let mut preset = presets::of(settings.kind);
        // With another issuer, the endpoints come from its metadata.
        let named = settings.issuer.as_deref().is_some_and(|issuer| issuer != preset.issuer);
        if named && matches!(preset.endpoints, Endpoints::Signing { .. }) {
            preset.endpoints = Endpoints::Discovered;
        }
        let overrides = [
            ("authorize_url", &settings.authorize_url),
            ("token_url", &settings.token_url),
            ("userinfo_url", &settings.userinfo_url),
            ("issuer", &settings.issuer),
        ];
        let mut origins = BTreeSet::new();
        for (key, text) in overrides {
            if let Some(text) = text {
                origins.insert(url(text).ok_or(SettingsError::NotAUrl(key))?.origin().ascii_serialization());
            }
        }
        let (issuer, own) = match (&settings.issuer, preset.endpoints) {
            (Some(issuer), _) => (issuer.clone(), &[][..]),
            // The host that vouches for users is the issuer: another user-info endpoint is not GitHub.
            (None, Endpoints::Known { userinfo, .. }) => match settings.userinfo_url.as_deref().and_then(url) {
                Some(other) if other.as_str() != userinfo => (other.origin().ascii_serialization(), &[][..]),
                _ => (preset.issuer.to_owned(), preset.origins),
            },
            (None, Endpoints::Discovered | Endpoints::Signing { .. }) => (preset.issuer.to_owned(), preset.origins),
        };
        origins.extend(own.iter().map(|origin| (*origin).to_owned()));
        origins.extend(url(&issuer).map(|issuer| issuer.origin().ascii_serialization()));
        if let Endpoints::Known { authorize, token, userinfo } = preset.endpoints {
            let given = [&settings.authorize_url, &settings.token_url, &settings.userinfo_url];
            let known = [authorize, token, userinfo].into_iter().zip(given).filter(|(_, given)| given.is_none());
            origins.extend(known.filter_map(|(known, _)| Some(url(known)?.origin().ascii_serialization())));
        }
        let fetcher = Fetcher::new(origins)?;
        Ok(Self { settings, preset, issuer, fetcher, clock, metadata: Mutex::default(), keys: Mutex::default() })
    }

    #[must_use]
    pub fn name(&self) -> &ProviderName {
        &self.settings.name
    }

    #[must_use]
    pub fn kind(&self) -> ProviderKind {
        self.settings.kind
    }

    /// Our client id at the provider.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// The configured issuer. Identities without an ID token are stored under it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether the provider signs ID tokens.
    #[must_use]
    pub fn signs(&self) -> bool {
        matches!(self.preset.endpoints, Endpoints::Discovered | Endpoints::Signing { .. })
    }

    /// The published keys, from the cache while they are fresh.
    ///
    /// # Errors
    /// [`ProviderError`] if none are cached and none can be read.
    pub async fn keys(&self) -> Result<Arc<KeySet>, ProviderError> {
        let known = held(&self.keys).clone();
        match known {
            Some(keys) if self.is_younger(keys.read_at, FRESH) => Ok(keys),
            Some(keys) if self.is_younger(keys.read_at, STALE) => Ok(self.read_keys().await.unwrap_or(keys)),
            _ => self.read_keys().await,
        }
    }

    /// Reads the keys again, because a token names a key that is not among `keys`; `None` if that was done a moment
    /// ago.
    pub async fn newer_keys(&self, keys: &KeySet) -> Result<Option<Arc<KeySet>>, ProviderError> {
        if self.is_younger(keys.read_at, COOL_DOWN) {
            return Ok(None);
        }
        self.read_keys().await.map(Some)
    }

    async fn read_keys(&self) -> Result<Arc<KeySet>, ProviderError> {
        let metadata = self.metadata().await?;
        let url = metadata.jwks.as_ref().ok_or(ProviderError::Garbage("no keys"))?;
        let keys = Arc::new(KeySet { json: self.fetcher.get(url, None).await?, read_at: self.clock.now() });
        *held(&self.keys) = Some(Arc::clone(&keys));
        Ok(keys)
    }

    /// The metadata, from the cache while they are fresh.
    ///
    /// # Errors
    /// [`ProviderError`] if they cannot be read or are not valid.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let known = held(&self.metadata).clone();
        let read = match known {
            Some(metadata) if !self.signs() || self.is_younger(metadata.read_at, FRESH) => return Ok(metadata),
            Some(metadata) if self.is_younger(metadata.read_at, STALE) => {
                self.read_metadata().await.map_or(metadata, Arc::new)
            }
            _ => Arc::new(self.read_metadata().await?),
        };
        *held(&self.metadata) = Some(Arc::clone(&read));
        Ok(read)
    }

    async fn read_metadata(&self) -> Result<Metadata, ProviderError> {
        const GARBAGE: ProviderError = ProviderError::Garbage("its metadata");
        let Settings { authorize_url, token_url, userinfo_url, .. } = &self.settings;
        let endpoint = |given: &Option<String>, said: &str| {
            url(given.as_deref().unwrap_or(said)).filter(|url| self.fetcher.allows(url)).ok_or(GARBAGE)
        };
        let read_at = self.clock.now();
        if let Endpoints::Known { authorize, token, userinfo } = self.preset.endpoints {
            return Ok(Metadata {
                issuer: self.issuer.clone(),
                sends_issuer: false,
                authorize: endpoint(authorize_url, authorize)?,
                token: endpoint(token_url, token)?,
                userinfo: Some(endpoint(userinfo_url, userinfo)?),
                jwks: None,
                in_form: true,
                read_at,
            });
        }
        if let Endpoints::Signing { authorize, token, jwks } = self.preset.endpoints {
            return Ok(Metadata {
                issuer: self.issuer.clone(),
                sends_issuer: false,
                authorize: endpoint(authorize_url, authorize)?,
                token: endpoint(token_url, token)?,
                userinfo: None,
                jwks: Some(endpoint(&None, jwks)?),
                in_form: true,
                read_at,
            });
        }
        let place = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document = self.fetcher.get(&url(&place).ok_or(GARBAGE)?, None).await?;
        let document: Document = serde_json::from_slice(&document).map_err(|_| GARBAGE)?;
        if !self.is_own_issuer(&document.issuer) {
            return Err(ProviderError::Garbage("another's metadata"));
        }
        let userinfo = document.userinfo_endpoint.as_deref().or(userinfo_url.as_deref());
        let methods = document.token_endpoint_auth_methods_supported;
        let speaks = |method: &str| methods.as_array().is_some_and(|methods| methods.iter().any(|one| one == method));
        Ok(Metadata {
            sends_issuer: document.authorization_response_iss_parameter_supported == true,
            // A provider may omit `authorization_endpoint`; then `authorize_url` must be configured.
            authorize: endpoint(authorize_url, document.authorization_endpoint.as_deref().unwrap_or_default())?,
            token: endpoint(token_url, &document.token_endpoint)?,
            userinfo: userinfo.map(|said| endpoint(userinfo_url, said)).transpose()?,
            jwks: Some(endpoint(&None, &document.jwks_uri)?),
            // If the member is missing, the default is `client_secret_basic` (OpenID Connect Discovery 1.0 §3).
            in_form: speaks("client_secret_post") && !speaks("client_secret_basic"),
            issuer: document.issuer,
            read_at,
        })
    }

    /// Whether metadata with this `issuer` are the ones asked for (OpenID Connect Discovery 1.0 §4.3). Microsoft's
    /// metadata for many organizations name a template, or the tenant of its personal accounts.
    fn is_own_issuer(&self, issuer: &str) -> bool {
        let serves = |whom: &str, named: &str| {
            let template = self.issuer.replacen(&format!("/{whom}/"), &format!("/{named}/"), 1);
            template != self.issuer && template == issuer
        };
        let many = || serves("common", TENANT) || serves("organizations", TENANT) || serves("consumers", CONSUMERS);
        issuer == self.issuer || (self.kind() == ProviderKind::Microsoft && many())
    }

    /// Whether an authorization response with this `iss`, or without one, comes from this provider (RFC 9207 §2.4).
    #[must_use]
    pub fn answers_as(&self, metadata: &Metadata, iss: Option<&str>) -> bool {
        match iss {
            // Providers without metadata announce no `iss`; each has a redirect URI of its own instead.
            _ if !self.signs() => true,
            Some(iss) => is_issuer(&metadata.issuer, iss),
            None => !metadata.sends_issuer,
        }
    }

    fn is_younger(&self, read_at: DateTime<Utc>, age: TimeDelta) -> bool {
        self.clock.now() < read_at + age
    }
}

fn url(text: &str) -> Option<Url> {
    Url::parse(text).ok()
}

/// No code panics while holding these locks.
fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
