//! The types of the configuration: plain values that [`Config::load`] has checked.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use chrono::TimeDelta;
use ipnet::IpNet;
use lettre::message::Mailbox;
use secrecy::SecretString;

use super::given::ValueSource;
use crate::domain::{
    color::Color,
    identity::{ProviderKind, ProviderName},
    signing_key::SigningAlgorithm,
};

/// The effective configuration of the service. Every value has been checked by [`Config::load`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the service listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The public origin, without a trailing slash; `None` stands for `http://` and the address that is bound.
    pub issuer: Option<String>,
    /// The database: `sqlite:` or `postgres://`.
    pub database_url: SecretString,
    /// The direct connection for LISTEN, migrations and locks; of the same kind as `database_url`.
    pub database_listen_url: SecretString,
    /// Whether starting runs the migrations.
    pub auto_migrate: bool,
    /// The folder of the signing keys.
    pub keys_dir: PathBuf,
    /// The folder of the SQLite database and the mail outbox.
    pub data_dir: PathBuf,
    /// What access tokens are signed with.
    pub signing_algorithm: SigningAlgorithm,
    /// The `aud` of access tokens where the client asks for none; `None` stands for the issuer.
    pub audience: Option<String>,
    /// Lifetime of an access token, in whole seconds.
    pub access_token_ttl: TimeDelta,
    /// Lifetime of a refresh token since its last use, in whole seconds; not shorter than `access_token_ttl`.
    pub refresh_token_ttl: TimeDelta,
    /// Lifetime of a session since its log-in, in whole seconds; not shorter than `refresh_token_ttl`.
    pub session_ttl: TimeDelta,
    /// How long a repeated refresh gets the same successor; zero turns that off.
    pub refresh_grace: TimeDelta,
    /// Whether anyone may register.
    pub registration: RegistrationMode,
    /// Whether OAuth clients may register themselves.
    pub client_registration: ClientRegistration,
    /// The initial access token that they need for it, where one is set.
    pub client_registration_token: Option<SecretString>,
    /// Certificate and key, where the service terminates TLS itself.
    pub tls: Option<TlsFiles>,
    /// The networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The origins whose scripts may call the API, as browsers write them.
    pub cors_origins: Vec<String>,
    /// The mail server, in lettre's URL form; `None`: mail is written to `data_dir/outbox`.
    pub smtp_url: Option<SecretString>,
    /// The sender of mail.
    pub mail_from: Mailbox,
    /// How passwords are hashed and what new ones must be.
    pub password: PasswordConfig,
    /// How often things may be tried.
    pub rate_limits: RateLimits,
    /// How the browser pages look.
    pub pages: PagesConfig,
    /// Where the metrics are served; `None` turns them off.
    pub metrics_listen: Option<SocketAddr>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The identity providers to log in with, by name.
    pub providers: BTreeMap<ProviderName, Provider>,
    /// What works but should be looked at, one line each, without secrets.
    pub warnings: Vec<String>,
    /// Where each key that is not at its default came from.
    pub(super) origins: BTreeMap<String, ValueSource>,
}

/// Whether OAuth clients may register themselves (RFC 7591).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRegistration {
    /// They are the operator's to register.
    Off,
    /// Anybody's client may, or that of whoever has the initial access token where one is set.
    Open,
}

/// Whether anyone may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Anyone may.
    Open,
    /// Accounts are made by the operator alone.
    Closed,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// PEM files with which the service terminates TLS itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How passwords are hashed (argon2id, RFC 9106) and what new ones must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordConfig {
    /// Memory of one hash in KiB; at least 8 times `parallelism` (RFC 9106 §3.1).
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Hashes computed at the same time.
    pub workers: usize,
    /// How long a password may wait for a worker.
    pub max_wait: Duration,
    /// The fewest characters of a new password.
    pub min_length: usize,
}

/// How often things may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// `false` turns all of them off.
    pub enabled: bool,
    /// Log-ins and token requests of one client network.
    pub token: RateLimit,
    /// Registrations of one client network.
    pub registration: RateLimit,
    /// Username look-ups of one client network.
    pub availability: RateLimit,
    /// Mails to one account.
    pub mail: RateLimit,
    /// Browser pages of one client network.
    pub pages: RateLimit,
    /// Failed passwords of one account.
    pub account: RateLimit,
}

/// How the browser pages look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesConfig {
    /// What they call the service.
    pub name: String,
    /// The colour of what is pressed and what stands out.
    pub color: Color,
}

/// An identity provider to log in with.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Which preset it follows.
    pub kind: ProviderKind,
    /// The client id that it gave.
    pub client_id: String,
    /// The client secret that it gave; of [`ProviderKind::Apple`] the private key, as PEM.
    pub client_secret: SecretString,
    /// What [`ProviderKind::Apple`] calls that key; always there for it, and for no other kind.
    pub apple: Option<AppleKey>,
    /// Its issuer; always there for [`ProviderKind::Oidc`], elsewhere it overrides the preset's.
    pub issuer: Option<String>,
    /// Overrides the preset's authorization endpoint.
    pub authorize_url: Option<String>,
    /// Overrides the preset's token endpoint.
    pub token_url: Option<String>,
    /// Overrides the preset's user-info endpoint.
    pub userinfo_url: Option<String>,
    /// Scopes to ask for; empty stands for the preset's.
    pub scopes: Vec<String>,
    /// Whether an address that it verified may link to a local account that verified the same.
    pub trust_email: bool,
}

/// What Apple calls the private key that stands for a client secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppleKey {
    /// The team that it belongs to.
    pub team_id: String,
    /// Its identifier.
    pub key_id: String,
}

impl Config {
    /// Whether the operator set `key`, to whatever value.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }
}

/// Why there is no configuration: one clear line a problem, none of which holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct ConfigError {
    pub(super) problems: Vec<String>,
}

impl ConfigError {
    /// The problems, one line each; never empty.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// How often a thing may be tried within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How often; at least once.
    pub count: u32,
    /// Within which time.
    pub per: Duration,
}
