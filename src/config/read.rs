//! Parses the texts and checks every key, alone and with the keys that it depends on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    thread,
    time::Duration,
};

use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    given::{Gathered, ValueSource, Values},
    keys,
    model::{AppleKey, Config, ConfigError, LogFormat, PagesConfig, PasswordConfig, Provider, RateLimits, TlsFiles},
    planned, urls,
    values::{self, DurationText},
    warnings,
};
use crate::domain::identity::{ProviderKind, ProviderName};

/// Reads the configuration from the gathered values; `terminal` is whether standard error is a terminal.
///
/// # Errors
/// [`ConfigError`] with the problems of gathering and of reading.
pub(super) fn read(gathered: Gathered, terminal: bool) -> Result<Config, ConfigError> {
    let Gathered { values, problems } = gathered;
    let mut reader = Reader { values, problems };
    match reader.config(terminal) {
        Ok(mut config) if reader.problems.is_empty() => {
            config.warnings = warnings::of(&config, &reader.values);
            config.origins = reader.values.into_iter().map(|(key, given)| (key, given.origin)).collect();
            Ok(config)
        }
        _ => Err(ConfigError { problems: reader.problems }),
    }
}

/// The value is missing, and the reason is already among the problems.
struct Reported;

/// Reads keys and collects problems. Each method reads all its keys before it gives up, so that one start shows all.
struct Reader {
    values: Values,
    problems: Vec<String>,
}

const DAY: Duration = Duration::from_hours(24);
/// The longest lifetime: sums of dates must not overflow.
const TEN_YEARS: Duration = Duration::from_hours(24 * 3650);

impl Reader {
    fn config(&mut self, terminal: bool) -> Result<Config, Reported> {
        let network = self.network();
        let auto_migrate = self.value("auto_migrate", values::boolean);
        let keys_dir = self.value("keys_dir", values::path);
        let data_dir = self.value("data_dir", values::path);
        let database = self.database(data_dir.as_deref().ok());
        let signing_algorithm = self.value("signing_algorithm", values::signing_algorithm);
        let audience = self.given("audience", values::identifier);
        let lifetimes = self.lifetimes();
        let cors_origins = self.given("cors_origins", urls::origins);
        let registration = self.value("registration", values::registration);
        let client_registration = self.value("client_registration", values::client_registration);
        let client_registration_token = self.given("client_registration_token", values::token);
        let client_id_documents = self.value("client_id_documents", values::client_id_documents);
        let open_resources = self.given("open_resources", urls::resources);
        let smtp_url = self.given("smtp_url", urls::smtp_url);
        let mail_from = self.value("mail_from", values::mailbox);
        let password = self.password();
        let rate_limits = self.rate_limits();
        let reserved_usernames = self.value("reserved_usernames", values::usernames);
        let pages_name = self.value("pages.name", values::title);
        let pages_color = self.value("pages.color", values::color);
        let shutdown_delay =
            self.value("shutdown_delay", |text| values::duration(text, &(Duration::ZERO..=Duration::from_mins(10))));
        let metrics_listen = self.value("metrics_listen", values::address_or_off);
        let log_format = self.given("log_format", values::log_format);
        let (key_rotation, key_lead_time) = self.key_times();
        let keys_passphrase = self.given("keys_passphrase", values::passphrase);
        let keys = self.given("keys", values::keys);
        let planned = self.planned();
        let names = self.provider_names();
        let providers: Vec<_> = names.into_iter().map(|name| (self.provider(&name), name)).collect();

        let (network, lifetimes, database) = (network?, lifetimes?, database?);
        Ok(Config {
            listen: network.listen,
            issuer: network.issuer,
            database_url: database.url,
            database_listen_url: database.listen_url,
            auto_migrate: auto_migrate?,
            keys_dir: keys_dir?,
            key_rotation: key_rotation?,
            key_lead_time: key_lead_time?,
            keys_passphrase: keys_passphrase?,
            keys: keys?,
            data_dir: data_dir?,
            signing_algorithm: signing_algorithm?,
            audience: audience?,
            access_token_ttl: lifetimes.access_token,
            refresh_token_ttl: lifetimes.refresh_token,
            session_ttl: lifetimes.session,
            refresh_grace: lifetimes.grace,
            registration: registration?,
            client_registration: client_registration?,
            client_registration_token: client_registration_token?,
            client_id_documents: client_id_documents?,
            open_resources: open_resources?.unwrap_or_default(),
            tls: network.tls,
            trusted_proxies: network.trusted_proxies,
            cors_origins: cors_origins?.unwrap_or_default(),
            smtp_url: smtp_url?,
            mail_from: mail_from?,
            password: password?,
            rate_limits: rate_limits?,
            reserved_usernames: reserved_usernames?,
            pages: PagesConfig { name: pages_name?, color: pages_color? },
            shutdown_delay: shutdown_delay?,
            metrics_listen: metrics_listen?,
            log_format: log_format?.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }),
            providers: providers
                .into_iter()
                // The name is valid; otherwise the key would have been unknown.
                .map(|(provider, name)| Ok((ProviderName::parse(&name).map_err(|_| Reported)?, provider?)))
                .collect::<Result<_, Reported>>()?,
            planned: planned?,
            warnings: Vec::new(),
            origins: BTreeMap::new(),
        })
    }

    fn network(&mut self) -> Result<Network, Reported> {
        let listen = self.value("listen", values::address);
        let issuer = self.given("issuer", urls::issuer);
        let tls = self.tls();
        let trusted_proxies = self.given("trusted_proxies", values::networks).map(Option::unwrap_or_default);
        if let Ok(listen) = listen
            && !values::is_loopback(listen.ip())
        {
            let origin = self.origin("listen");
            if matches!((&tls, &trusted_proxies), (Ok(None), Ok(proxies)) if proxies.is_empty()) {
                self.problems.push(format!(
                    "listen = {listen} would serve passwords in the clear: set tls_cert and tls_key, or set \
                     trusted_proxies to the proxy that terminates TLS, or listen on a loopback address such as \
                     127.0.0.1:{} ({origin})",
                    listen.port()
                ));
            }
            // The default, http:// and this address, must not be the issuer.
            if matches!(issuer, Ok(None)) {
                self.problems.push(format!(
                    "issuer must be set where listen is not a loopback address: the https:// origin that clients use \
                     ({origin} sets listen)"
                ));
            }
        }
        Ok(Network { listen: listen?, issuer: issuer?, tls: tls?, trusted_proxies: trusted_proxies? })
    }

    fn tls(&mut self) -> Result<Option<TlsFiles>, Reported> {
        let cert = self.given("tls_cert", values::path);
        let key = self.given("tls_key", values::path);
        let (there, missing) = match (cert?, key?) {
            (Some(cert), Some(key)) => return Ok(Some(TlsFiles { cert, key })),
            (None, None) => return Ok(None),
            (Some(_), None) => ("tls_cert", "tls_key"),
            (None, Some(_)) => ("tls_key", "tls_cert"),
        };
        self.problems.push(format!("{there} needs {missing} beside it ({})", self.origin(there)));
        Err(Reported)
    }

    fn database(&mut self, data_dir: Option<&Path>) -> Result<Database, Reported> {
        let url = self.given("database_url", urls::database_url);
        let listen_url = self.given("database_listen_url", urls::database_url);
        let url = match url? {
            Some(url) => url,
            None => default_database_url(data_dir.ok_or(Reported)?),
        };
        let listen_url = listen_url?.unwrap_or_else(|| url.clone());
        if !urls::same_database_kind(url.expose_secret(), listen_url.expose_secret()) {
            self.problems.push(format!(
                "database_listen_url must be the same database as database_url: one is SQLite, the other PostgreSQL \
                 ({}; {})",
                self.origin("database_listen_url"),
                self.origin("database_url")
            ));
        }
        Ok(Database { url, listen_url })
    }

    fn lifetimes(&mut self) -> Result<Lifetimes, Reported> {
        let access_token = self.value("access_token_ttl", |text| values::lifetime(text, DAY));
        let refresh_token = self.value("refresh_token_ttl", |text| values::lifetime(text, TEN_YEARS));
        let session = self.value("session_ttl", |text| values::lifetime(text, TEN_YEARS));
        let grace = self.value("refresh_grace", values::grace);
        self.not_longer("access_token_ttl", &access_token, "refresh_token_ttl", &refresh_token);
        self.not_longer("refresh_token_ttl", &refresh_token, "session_ttl", &session);
        Ok(Lifetimes { access_token: access_token?, refresh_token: refresh_token?, session: session?, grace: grace? })
    }

    /// How often keys are replaced, and how long each is published first.
    fn key_times(&mut self) -> (Result<Option<TimeDelta>, Reported>, Result<TimeDelta, Reported>) {
        let rotation = self.value("key_rotation", values::key_rotation);
        let lead = self.value("key_lead_time", values::key_lead_time);
        if let (Ok(Some(every)), Ok(lead)) = (&rotation, &lead) {
            self.not_longer("key_lead_time", &Ok(*lead), "key_rotation", &Ok(*every));
        }
        (rotation, lead)
    }

    fn not_longer(
        &mut self,
        shorter_key: &str,
        shorter: &Result<TimeDelta, Reported>,
        longer_key: &str,
        longer: &Result<TimeDelta, Reported>,
    ) {
        if let (Ok(shorter), Ok(longer)) = (shorter, longer)
            && shorter > longer
        {
            let shown = |span: &TimeDelta| DurationText(span.to_std().unwrap_or_default());
            self.problems.push(format!(
                "{shorter_key} must not be longer than {longer_key}: it is {} ({}), the other {} ({})",
                shown(shorter),
                self.origin(shorter_key),
                shown(longer),
                self.origin(longer_key)
            ));
        }
    }

    fn password(&mut self) -> Result<PasswordConfig, Reported> {
        let memory_kib = self.value("password.memory_kib", |text| values::number(text, &(8..=1_048_576)));
        let iterations = self.value("password.iterations", |text| values::number(text, &(1..=16)));
        let parallelism = self.value("password.parallelism", |text| values::number(text, &(1..=16)));
        let workers = self.given("password.workers", |text| values::number(text, &(1..=256)));
        let max_wait = self.value("password.max_wait", |text| {
            values::duration(text, &(Duration::from_millis(1)..=Duration::from_mins(1)))
        });
        let min_length = self.value("password.min_length", |text| values::number(text, &(1..=64)));
        if let (Ok(memory_kib), Ok(parallelism)) = (&memory_kib, &parallelism)
            && *memory_kib < 8 * parallelism
        {
            self.problems.push(format!(
                "password.memory_kib must be at least 8 for each of password.parallelism: {memory_kib} ({}) is too \
                 little for {parallelism} ({})",
                self.origin("password.memory_kib"),
                self.origin("password.parallelism")
            ));
        }
        Ok(PasswordConfig {
            memory_kib: memory_kib?,
            iterations: iterations?,
            parallelism: parallelism?,
            workers: workers?
                .unwrap_or_else(|| thread::available_parallelism().map_or(1, |cores| cores.get().min(256))),
            max_wait: max_wait?,
            min_length: min_length?,
        })
    }

    fn rate_limits(&mut self) -> Result<RateLimits, Reported> {
        let enabled = self.value("rate_limits.enabled", values::boolean);
        let network = self.value("rate_limits.network", values::boolean);
        let mut limit = |name: &str| self.value(&format!("rate_limits.{name}"), values::rate_limit);
        let (token, registration, availability) = (limit("token"), limit("registration"), limit("availability"));
        let (mail, pages, account) = (limit("mail"), limit("pages"), limit("account"));
        Ok(RateLimits {
            enabled: enabled?,
            network: network?,
            token: token?,
            registration: registration?,
            availability: availability?,
            mail: mail?,
            pages: pages?,
            account: account?,
        })
    }

    /// The keys of future features that were given.
    fn planned(&mut self) -> Result<BTreeMap<&'static str, String>, Reported> {
        let read: Vec<_> = keys::PLANNED
            .into_iter()
            .map(|key| (key, self.given(key, |text| planned::check(key, text).map(|()| text.to_owned()))))
            .collect();
        let mut given = BTreeMap::new();
        for (key, text) in read {
            given.extend(text?.map(|text| (key, text)));
        }
        Ok(given)
    }

    /// The names of the providers with at least one given key.
    fn provider_names(&self) -> BTreeSet<String> {
        let name = |key: &String| key.strip_prefix("providers.")?.split_once('.').map(|(name, _)| name.to_owned());
        self.values.keys().filter_map(name).collect()
    }

    fn provider(&mut self, name: &str) -> Result<Provider, Reported> {
        let key = |field: &str| format!("providers.{name}.{field}");
        let kind = self.required(&key("kind"), values::provider_kind);
        let client_id = self.required(&key("client_id"), values::identifier);
        let client_secret = if let Ok(ProviderKind::Apple) = kind {
            self.required(&key("client_secret"), values::private_key)
        } else {
            self.required(&key("client_secret"), values::client_secret)
        };
        let apple = self.apple(kind.as_ref().ok().copied(), &key("team_id"), &key("key_id"));
        let issuer = if let Ok(ProviderKind::Oidc) = kind {
            self.required(&key("issuer"), urls::provider_issuer).map(Some)
        } else {
            self.given(&key("issuer"), urls::provider_issuer)
        };
        let authorize_url = self.given(&key("authorize_url"), urls::provider_url);
        let token_url = self.given(&key("token_url"), urls::provider_url);
        let userinfo_url = self.given(&key("userinfo_url"), urls::provider_url);
        let scopes = self.given(&key("scopes"), values::scopes);
        let trust_email = self.value(&key("trust_email"), values::boolean);
        Ok(Provider {
            kind: kind?,
            client_id: client_id?,
            client_secret: client_secret?,
            apple: apple?,
            issuer: issuer?,
            authorize_url: authorize_url?,
            token_url: token_url?,
            userinfo_url: userinfo_url?,
            scopes: scopes?.unwrap_or_default(),
            trust_email: trust_email?,
        })
    }

    /// Apple's identifiers of its key; no other kind of provider has them.
    fn apple(&mut self, kind: Option<ProviderKind>, team: &str, id: &str) -> Result<Option<AppleKey>, Reported> {
        if kind == Some(ProviderKind::Apple) {
            let (team_id, key_id) = (self.required(team, values::identifier), self.required(id, values::identifier));
            return Ok(Some(AppleKey { team_id: team_id?, key_id: key_id? }));
        }
        for key in [team, id] {
            if kind.is_some() && self.values.contains_key(key) {
                self.problems.push(format!("{key} is for kind apple alone ({})", self.origin(key)));
            }
        }
        Ok(None)
    }

    /// The value of `key`, or its default if none is given.
    fn value<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Reported> {
        if let Some(value) = self.given(key, &parse)? {
            return Ok(value);
        }
        let default = keys::find(key).map_or("", |description| description.default);
        parse(default).map_err(|rule| self.refuse(key, &rule))
    }

    /// The value of `key`, which has no default.
    fn required<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Reported> {
        self.given(key, parse)?.ok_or_else(|| {
            self.problems.push(format!("{key} must be set, since other keys of its provider are"));
            Reported
        })
    }

    /// The value of `key`, if one is given.
    fn given<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Reported> {
        let Some(given) = self.values.get(key) else { return Ok(None) };
        let Some(text) = &given.text else { return Err(Reported) };
        parse(text).map(Some).map_err(|rule| self.refuse(key, &rule))
    }

    /// Records that the value of `key` breaks `rule`, and quotes the value if it cannot be a secret.
    fn refuse(&mut self, key: &str, rule: &str) -> Reported {
        let secret = keys::find(key).is_none_or(|description| description.secret);
        let quoted = self.values.get(key).and_then(|given| {
            // A named file may hold a secret for every key, and so may a URL with user information.
            let from_file = matches!(given.origin, ValueSource::NamedFile { .. });
            let text = given.text.as_ref().filter(|text| !secret && !from_file && text.len() <= 80)?;
            (!text.contains('@')).then(|| format!(" = {text:?}"))
        });
        self.problems.push(format!("{key}{} {rule} ({})", quoted.unwrap_or_default(), self.origin(key)));
        Reported
    }

    fn origin(&self, key: &str) -> ValueSource {
        self.values.get(key).map_or(ValueSource::Default, |given| given.origin.clone())
    }
}

struct Network {
    listen: SocketAddr,
    issuer: Option<String>,
    tls: Option<TlsFiles>,
    trusted_proxies: Vec<IpNet>,
}

struct Database {
    url: SecretString,
    listen_url: SecretString,
}

struct Lifetimes {
    access_token: TimeDelta,
    refresh_token: TimeDelta,
    session: TimeDelta,
    grace: TimeDelta,
}

/// SQLite in `data_dir`. The driver percent-decodes the path and ends it at a question mark.
fn default_database_url(data_dir: &Path) -> SecretString {
    let path = data_dir.join("signet.db").to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite://{path}?mode=rwc").into()
}
