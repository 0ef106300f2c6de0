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
    username::Username,
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
    /// How often the signing keys are replaced; `None`: only by the operator.
    pub key_rotation: Option<TimeDelta>,
    /// How long a key is published before it signs.
    pub key_lead_time: TimeDelta,
    /// Encrypts key files.
    pub keys_passphrase: Option<SecretString>,
    /// The keys themselves, in place of those in the folder.
    pub keys: Option<SecretString>,
    /// The folder of the SQLite database and the email outbox.
    pub data_dir: PathBuf,
    /// The algorithm that signs access tokens.
    pub signing_algorithm: SigningAlgorithm,
    /// The `aud` of access tokens if the client requests none; `None` stands for the issuer.
    pub audience: Option<String>,
    /// Lifetime of an access token, in whole seconds.
    pub access_token_ttl: TimeDelta,
    /// Lifetime of a refresh token since its last use, in whole seconds; not shorter than `access_token_ttl`.
    pub refresh_token_ttl: TimeDelta,
    /// Lifetime of a session since its login, in whole seconds; not shorter than `refresh_token_ttl`.
    pub session_ttl: TimeDelta,
    /// How long a repeated refresh gets the same successor; zero turns that off.
    pub refresh_grace: TimeDelta,
    /// Whether anyone may register.
    pub registration: RegistrationMode,
    /// Whether OAuth clients may register themselves.
    pub client_registration: ClientRegistration,
    /// The initial access token that registration requires, if one is set.
    pub client_registration_token: Option<SecretString>,
    /// The resources for which every self-registered client may request tokens.
    pub open_resources: Vec<String>,
    /// Whether the URL of a client's document is a client id.
    pub client_id_documents: ClientIdDocuments,
    /// Certificate and key, if the service terminates TLS itself.
    pub tls: Option<TlsFiles>,
    /// The networks whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The origins whose scripts may call the API, as browsers write them.
    pub cors_origins: Vec<String>,
    /// The mail server, in lettre's URL form; `None`: emails are written to `data_dir/outbox`.
    pub smtp_url: Option<SecretString>,
    /// The sender of emails.
    pub mail_from: Mailbox,
    /// The hashing of passwords, and the rules for new ones.
    pub password: PasswordConfig,
    /// The rate limits.
    pub rate_limits: RateLimits,
    /// The usernames that only the operator can give.
    pub reserved_usernames: Vec<Username>,
    /// The appearance of the browser pages.
    pub pages: PagesConfig,
    /// How long the port still answers once the service must stop.
    pub shutdown_delay: Duration,
    /// The address of the metrics listener; `None` turns it off.
    pub metrics_listen: Option<SocketAddr>,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The identity providers to log in with, by name.
    pub providers: BTreeMap<ProviderName, Provider>,
    /// The keys of future features that were given, as texts.
    pub(super) planned: BTreeMap<&'static str, String>,
    /// Settings that work but deserve attention, one line each, without secrets.
    pub warnings: Vec<String>,
    /// The source of each key that is not at its default.
    pub(super) origins: BTreeMap<String, ValueSource>,
}

/// Whether OAuth clients may register themselves (RFC 7591).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientRegistration {
    /// Only the operator registers clients.
    Off,
    /// Any client may register itself. If an initial access token is set, the client must present it.
    Open,
}

/// Whether the https URL of a client's metadata is a client id (draft-ietf-oauth-client-id-metadata-document).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientIdDocuments {
    /// Clients are registered.
    Off,
    /// A client may be described by a document on the web.
    On,
}

/// Whether anyone may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Anyone may register.
    Open,
    /// Only the operator creates accounts.
    Closed,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For human readers.
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

/// The hashing of passwords (argon2id, RFC 9106), and the rules for new ones.
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

/// The rate limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// `false` turns all of them off.
    pub enabled: bool,
    /// `false` turns those of client networks off.
    pub network: bool,
    /// Logins and token requests of one client network.
    pub token: RateLimit,
    /// Registrations of one client network.
    pub registration: RateLimit,
    /// Username lookups of one client network.
    pub availability: RateLimit,
    /// Emails to one account.
    pub mail: RateLimit,
    /// Browser pages of one client network.
    pub pages: RateLimit,
    /// Failed passwords at one name from one network.
    pub account: RateLimit,
}

/// The appearance of the browser pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesConfig {
    /// The name of the service on the pages.
    pub name: String,
    /// The colour of buttons and highlights.
    pub color: Color,
}

/// An identity provider to log in with.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its preset.
    pub kind: ProviderKind,
    /// The client id that the provider issued.
    pub client_id: String,
    /// The client secret that the provider issued; for [`ProviderKind::Apple`] the private key, as PEM.
    pub client_secret: SecretString,
    /// The identifiers of that key; present for [`ProviderKind::Apple`] and no other kind.
    pub apple: Option<AppleKey>,
    /// Its issuer; required for [`ProviderKind::Oidc`], otherwise it overrides the preset's.
    pub issuer: Option<String>,
    /// Overrides the preset's authorization endpoint.
    pub authorize_url: Option<String>,
    /// Overrides the preset's token endpoint.
    pub token_url: Option<String>,
    /// Overrides the preset's user-info endpoint.
    pub userinfo_url: Option<String>,
    /// Scopes to request; empty stands for the preset's.
    pub scopes: Vec<String>,
    /// Whether an email address that the provider verified may link to a local account that verified the same one.
    pub trust_email: bool,
}

/// Apple's identifiers of the private key that stands for a client secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppleKey {
    /// The team that the key belongs to.
    pub team_id: String,
    /// The identifier of the key.
    pub key_id: String,
}

impl Config {
    /// Whether the operator set `key`, even to its default.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }
}

/// The problems of a configuration: one line each, without secrets.
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

/// A number of attempts within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The number of attempts; at least one.
    pub count: u32,
    /// The time.
    pub per: Duration,
}
