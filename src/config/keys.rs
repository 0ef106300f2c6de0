//! The table of keys: the names, defaults and descriptions of all settings.

use crate::domain::identity::ProviderName;

/// One key of the configuration, as `--help`, the documentation and [`Config::show`](super::Config::show) name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDescription {
    /// The key in the TOML file; a dot separates table and key.
    pub key: &'static str,
    /// The environment variable; with `_FILE` appended, the variable that names a file with the value.
    pub environment: &'static str,
    /// The default, or a description of how it is derived; empty where a provider needs the key.
    pub default: &'static str,
    /// A description of the key, in one line.
    pub help: &'static str,
    /// Whether the value is secret or may hold a password: then it is never echoed.
    pub secret: bool,
}

impl KeyDescription {
    /// The command-line flag, without its dashes: `password.memory_kib` is `password-memory-kib`.
    #[must_use]
    pub fn flag(&self) -> String {
        flag(self.key)
    }
}

/// The command-line flag of `key`, without its dashes.
pub(super) fn flag(key: &str) -> String {
    key.replace(['.', '_'], "-")
}

const fn plain(
    key: &'static str,
    environment: &'static str,
    default: &'static str,
    help: &'static str,
) -> KeyDescription {
    KeyDescription { key, environment, default, help, secret: false }
}

const fn secret(
    key: &'static str,
    environment: &'static str,
    default: &'static str,
    help: &'static str,
) -> KeyDescription {
    KeyDescription { key, environment, default, help, secret: true }
}

/// The default of `reserved_usernames`.
const DEFAULT_RESERVED: &str = "admin,administrator,root,support,security,postmaster,abuse,signet,null,undefined,me";

/// Every key with a fixed name, in the order in which they are documented and shown.
#[rustfmt::skip] // a table reads better with one row a key
pub const KEYS: &[KeyDescription] = &[
    plain("listen", "SIGNET_LISTEN", "127.0.0.1:8080",
        "Address and port to serve on; off loopback it needs TLS or trusted_proxies"),
    plain("issuer", "SIGNET_ISSUER", "http:// and the listen address",
        "Public origin of the service, the `iss` of every token; https unless its host is loopback"),
    secret("database_url", "SIGNET_DATABASE_URL", "sqlite://data/signet.db?mode=rwc",
        "Database: sqlite: or postgres://; the default lies in data_dir"),
    secret("database_listen_url", "SIGNET_DATABASE_LISTEN_URL", "database_url",
        "Direct database connection for LISTEN, migrations and locks, where a transaction pooler stands between"),
    plain("auto_migrate", "SIGNET_AUTO_MIGRATE", "true",
        "Whether starting runs the database migrations"),
    plain("keys_dir", "SIGNET_KEYS_DIR", "keys",
        "Folder of the signing keys"),
    plain("data_dir", "SIGNET_DATA_DIR", "data",
        "Folder of the SQLite database and the mail outbox"),
    plain("signing_algorithm", "SIGNET_SIGNING_ALGORITHM", "ES256",
        "Algorithm of access tokens: ES256, EdDSA or RS256"),
    plain("audience", "SIGNET_AUDIENCE", "the issuer",
        "`aud` of access tokens where the client asks for none"),
    plain("access_token_ttl", "SIGNET_ACCESS_TOKEN_TTL", "10m",
        "Lifetime of an access token, at most 1d"),
    plain("refresh_token_ttl", "SIGNET_REFRESH_TOKEN_TTL", "30d",
        "Lifetime of a refresh token since its last use"),
    plain("session_ttl", "SIGNET_SESSION_TTL", "90d",
        "Lifetime of a session since its login"),
    plain("refresh_grace", "SIGNET_REFRESH_GRACE", "10s",
        "How long a repeated refresh gets the same successor, at most 60s; 0s turns it off"),
    plain("registration", "SIGNET_REGISTRATION", "open",
        "Whether anyone may register: open or closed"),
    plain("client_registration", "SIGNET_CLIENT_REGISTRATION", "off",
        "Whether OAuth clients may register themselves (RFC 7591): off or open"),
    secret("client_registration_token", "SIGNET_CLIENT_REGISTRATION_TOKEN", "none: anyone may where it is open",
        "Initial access token that clients need to register themselves, 32 characters or more"),
    plain("open_resources", "SIGNET_OPEN_RESOURCES", "none",
        "Comma-separated resources that every client may ask tokens for which registered itself, or has a document"),
    plain("client_id_documents", "SIGNET_CLIENT_ID_DOCUMENTS", "off",
        "Whether the https URL of a client's metadata is a client id (Client ID Metadata Documents): off or on"),
    plain("tls_cert", "SIGNET_TLS_CERT", "none",
        "PEM file of the certificate chain, reloaded when it changes; needs tls_key"),
    plain("tls_key", "SIGNET_TLS_KEY", "none",
        "PEM file of the certificate's private key; needs tls_cert"),
    plain("trusted_proxies", "SIGNET_TRUSTED_PROXIES", "none",
        "Comma-separated CIDRs of the proxies whose forwarding headers are believed"),
    plain("cors_origins", "SIGNET_CORS_ORIGINS", "none",
        "Comma-separated origins of the browser apps whose scripts may call the API"),
    secret("smtp_url", "SIGNET_SMTP_URL", "none: mail is written to data_dir/outbox",
        "Mail server: smtps://..., smtp://...?tls=required, or smtp:// to a loopback host"),
    plain("mail_from", "SIGNET_MAIL_FROM", "Signet <no-reply@localhost>",
        "Sender of mail: an address, or Name <address>"),
    plain("password.memory_kib", "SIGNET_PASSWORD__MEMORY_KIB", "19456",
        "Memory of one argon2id hash in KiB, at most 1048576"),
    plain("password.iterations", "SIGNET_PASSWORD__ITERATIONS", "2",
        "Passes of one argon2id hash, 1 to 16"),
    plain("password.parallelism", "SIGNET_PASSWORD__PARALLELISM", "1",
        "Lanes of one argon2id hash, 1 to 16"),
    plain("password.workers", "SIGNET_PASSWORD__WORKERS", "number of cores",
        "Passwords hashed at the same time, 1 to 256"),
    plain("password.max_wait", "SIGNET_PASSWORD__MAX_WAIT", "2s",
        "Longest wait for a worker before a login gets 503, 1ms to 60s"),
    plain("password.min_length", "SIGNET_PASSWORD__MIN_LENGTH", "8",
        "Fewest characters of a new password, 1 to 64"),
    plain("rate_limits.enabled", "SIGNET_RATE_LIMITS__ENABLED", "true",
        "false turns the network, account and mail limits off together"),
    plain("rate_limits.network", "SIGNET_RATE_LIMITS__NETWORK", "true",
        "false turns the limits by client network off alone, where a proxy has its own"),
    plain("rate_limits.token", "SIGNET_RATE_LIMITS__TOKEN", "60/1m",
        "Logins, refreshes and the like of one client network, COUNT/DURATION"),
    plain("rate_limits.registration", "SIGNET_RATE_LIMITS__REGISTRATION", "10/1m",
        "Registrations of one client network, COUNT/DURATION"),
    plain("rate_limits.availability", "SIGNET_RATE_LIMITS__AVAILABILITY", "60/1m",
        "Username look-ups of one client network, COUNT/DURATION"),
    plain("rate_limits.mail", "SIGNET_RATE_LIMITS__MAIL", "5/1h",
        "Mails to one account, and ten times as many from one client network, COUNT/DURATION"),
    plain("rate_limits.pages", "SIGNET_RATE_LIMITS__PAGES", "120/1m",
        "Browser pages of one client network, COUNT/DURATION"),
    plain("rate_limits.account", "SIGNET_RATE_LIMITS__ACCOUNT", "10/15m",
        "Failed passwords at one name from one network, and ten times as many (90 at most) from all, COUNT/DURATION"),
    plain("reserved_usernames", "SIGNET_RESERVED_USERNAMES", DEFAULT_RESERVED,
        "Comma-separated usernames that only the operator can give, and what looks like them"),
    plain("pages.name", "SIGNET_PAGES__NAME", "Signet",
        "What the browser pages and mails call the service, at most 40 characters"),
    plain("pages.color", "SIGNET_PAGES__COLOR", "#3452d6",
        "Colour of buttons and links on the browser pages, as #rrggbb"),
    plain("shutdown_delay", "SIGNET_SHUTDOWN_DELAY", "0s",
        "How long after SIGTERM the port still answers while /readyz says 503, at most 10m"),
    plain("metrics_listen", "SIGNET_METRICS_LISTEN", "127.0.0.1:9464",
        "Address and port of the Prometheus metrics; off turns them off"),
    plain("log_format", "SIGNET_LOG_FORMAT", "text on a terminal, else json",
        "Log lines: text or json"),
    plain("key_rotation", "SIGNET_KEY_ROTATION", "off",
        "How often a replica makes the next signing keys, or off"),
    plain("key_lead_time", "SIGNET_KEY_LEAD_TIME", "6m",
        "How long a key is published before it signs, 6m or longer"),
    secret("keys_passphrase", "SIGNET_KEYS_PASSPHRASE", "none",
        "Passphrase that encrypts key files (PKCS#8)"),
    secret("keys", "SIGNET_KEYS", "none: the keys are in keys_dir",
        "The keys themselves, where there is no disk: what `tail -n +1 keys/*.*` prints"),
    plain("audit_retention", "SIGNET_AUDIT_RETENTION", "90d",
        "How long audit events are kept (has no effect yet)"),
    plain("otlp_endpoint", "SIGNET_OTLP_ENDPOINT", "none",
        "Where traces are sent, by OTLP over HTTP (has no effect yet)"),
];

/// The keys of [`KEYS`] for future features. They are checked and accepted, with a warning.
pub(super) const PLANNED: [&str; 2] = ["audit_retention", "otlp_endpoint"];

/// The keys of one provider, where `NAME` stands for the name of the provider. They have no flags.
#[rustfmt::skip] // as above
pub const PROVIDER_KEYS: &[KeyDescription] = &[
    plain("providers.NAME.kind", "SIGNET_PROVIDERS__NAME__KIND", "",
        "google, facebook, github, microsoft, apple or oidc"),
    plain("providers.NAME.client_id", "SIGNET_PROVIDERS__NAME__CLIENT_ID", "",
        "Client id that the provider gave"),
    secret("providers.NAME.client_secret", "SIGNET_PROVIDERS__NAME__CLIENT_SECRET", "",
        "Client secret that the provider gave; for kind apple the private key (.p8) as PEM"),
    plain("providers.NAME.team_id", "SIGNET_PROVIDERS__NAME__TEAM_ID", "",
        "Team that the key belongs to; kind apple needs it"),
    plain("providers.NAME.key_id", "SIGNET_PROVIDERS__NAME__KEY_ID", "",
        "Identifier of the key; kind apple needs it"),
    plain("providers.NAME.issuer", "SIGNET_PROVIDERS__NAME__ISSUER", "the kind's own",
        "Issuer of the provider; kind oidc needs it"),
    plain("providers.NAME.authorize_url", "SIGNET_PROVIDERS__NAME__AUTHORIZE_URL", "the kind's own",
        "Authorization endpoint, where it is not the one that the provider's metadata names"),
    plain("providers.NAME.token_url", "SIGNET_PROVIDERS__NAME__TOKEN_URL", "the kind's own",
        "Token endpoint, likewise"),
    plain("providers.NAME.userinfo_url", "SIGNET_PROVIDERS__NAME__USERINFO_URL", "the kind's own",
        "User-info endpoint, likewise"),
    plain("providers.NAME.scopes", "SIGNET_PROVIDERS__NAME__SCOPES", "the kind's own",
        "Scopes to ask the provider for, parted by commas or spaces"),
    plain("providers.NAME.trust_email", "SIGNET_PROVIDERS__NAME__TRUST_EMAIL", "false",
        "Whether an address that the provider verified may link to a local account that verified it too"),
];

/// The description of `key`; for `providers.NAME.…`, the row with `NAME`. `None` if the key is unknown.
pub(super) fn find(key: &str) -> Option<&'static KeyDescription> {
    let Some((name, field)) = key.strip_prefix("providers.").and_then(|rest| rest.split_once('.')) else {
        return KEYS.iter().find(|description| description.key == key);
    };
    let names_field = |description: &&KeyDescription| description.key.strip_prefix("providers.NAME.") == Some(field);
    PROVIDER_KEYS.iter().filter(|_| is_provider_name(name)).find(names_field)
}

/// Whether `key` is a table that holds keys: `password`, `rate_limits`, `providers` or `providers.NAME`.
pub(super) fn is_table(key: &str) -> bool {
    let holds = |description: &KeyDescription| description.key.split_once('.').is_some_and(|(table, _)| table == key);
    KEYS.iter().chain(PROVIDER_KEYS).any(holds) || key.strip_prefix("providers.").is_some_and(is_provider_name)
}

/// Whether `key` takes several values, so that the file may give an array.
pub(super) fn is_list(key: &str) -> bool {
    ["trusted_proxies", "cors_origins", "open_resources", "reserved_usernames"].contains(&key)
        || (key.starts_with("providers.") && key.ends_with(".scopes"))
}

/// The key that the environment variable `name` sets, without the suffix `_FILE`; `None` if there is no such key.
pub(super) fn of_variable(name: &str) -> Option<String> {
    let Some((provider, field)) = name.strip_prefix("SIGNET_PROVIDERS__").and_then(|rest| rest.split_once("__")) else {
        return KEYS.iter().find(|description| description.environment == name).map(|found| found.key.to_owned());
    };
    // Variables are in upper case; names of providers in paths are in lower case.
    let provider = provider.to_ascii_lowercase();
    let environment = format!("SIGNET_PROVIDERS__NAME__{field}");
    let row =
        PROVIDER_KEYS.iter().filter(|_| is_provider_name(&provider)).find(|row| row.environment == environment)?;
    Some(row.key.replacen("NAME", &provider, 1))
}

/// Whether `name` can name a provider: the name is part of the path `/federation/{name}`.
fn is_provider_name(name: &str) -> bool {
    ProviderName::parse(name).is_ok()
}

/// The advice for an unknown `key`: where to find the right ones.
pub(super) fn advice(key: &str) -> String {
    if let Some(rest) = key.strip_prefix("providers.") {
        let (name, field) = rest.split_once('.').unwrap_or((rest, ""));
        if !is_provider_name(name) {
            return "the name of a provider is 1 to 64 of a-z, 0-9 and '-'".to_owned();
        }
        if !field.is_empty() {
            return format!("a provider has {}", names_under("providers.NAME."));
        }
    }
    match key.split_once('.') {
        Some((table, _)) if is_table(table) => format!("{table} has {}", names_under(&format!("{table}."))),
        _ => "`signet --help` lists every key".to_owned(),
    }
}

/// The advice for an unknown environment variable.
pub(super) fn advice_on_variable(name: &str) -> String {
    let single = |environment: &str| environment.replace("__", "_");
    let base = name.strip_suffix("_FILE").unwrap_or(name);
    if let Some(row) = KEYS.iter().find(|row| single(row.environment) == single(base)) {
        return format!("a nested key has two underscores: {}", row.environment);
    }
    if name.starts_with("SIGNET_PROVIDERS__") {
        return format!("a provider is set by SIGNET_PROVIDERS__NAME__KEY; it has {}", names_under("providers.NAME."));
    }
    "`signet --help` lists every key".to_owned()
}

/// The last parts of the keys that begin with `prefix`, separated by commas.
fn names_under(prefix: &str) -> String {
    let names = KEYS.iter().chain(PROVIDER_KEYS).filter_map(|description| description.key.strip_prefix(prefix));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_of_a_key_follows_from_its_name() {
        for row in KEYS.iter().chain(PROVIDER_KEYS) {
            assert_eq!(row.environment, format!("SIGNET_{}", row.key.to_uppercase().replace('.', "__")), "{}", row.key);
            assert!(!row.help.is_empty() && !row.help.contains('\n') && !row.help.ends_with('.'), "{}", row.key);
        }
    }

    #[test]
    fn no_two_keys_share_a_flag_or_a_variable_nor_end_like_a_file_variable() {
        for (index, row) in KEYS.iter().enumerate() {
            assert!(
                KEYS[..index].iter().all(|other| other.flag() != row.flag() && other.environment != row.environment)
            );
            assert!(!row.environment.ends_with("_FILE"), "{}", row.key);
        }
        assert_eq!(find("password.memory_kib").map(KeyDescription::flag).as_deref(), Some("password-memory-kib"));
    }

    #[test]
    fn the_keys_are_those_of_the_public_interface() {
        let public = "listen issuer database_url database_listen_url auto_migrate keys_dir data_dir signing_algorithm \
            audience access_token_ttl refresh_token_ttl session_ttl refresh_grace registration open_resources tls_cert \
            tls_key trusted_proxies cors_origins smtp_url mail_from password.memory_kib password.iterations password.parallelism \
            password.workers password.max_wait password.min_length rate_limits.enabled rate_limits.network \
            reserved_usernames shutdown_delay metrics_listen \
            log_format key_rotation key_lead_time keys_passphrase audit_retention \
            otlp_endpoint";
        let ours = |key: &&str| {
            key.starts_with("pages.")
                || key.starts_with("client_")
                || **key == *"keys"
                || (key.starts_with("rate_limits.") && !["rate_limits.enabled", "rate_limits.network"].contains(key))
        };
        let keys: Vec<_> = KEYS.iter().map(|row| row.key).filter(|key| !ours(key)).collect();
        assert_eq!(keys, public.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn what_can_hold_a_password_is_secret() {
        let secret: Vec<_> = KEYS.iter().chain(PROVIDER_KEYS).filter(|row| row.secret).map(|row| row.key).collect();
        assert_eq!(
            secret,
            [
                "database_url",
                "database_listen_url",
                "client_registration_token",
                "smtp_url",
                "keys_passphrase",
                "keys",
                "providers.NAME.client_secret"
            ]
        );
    }

    #[test]
    fn a_provider_is_named_in_small_letters() {
        assert_eq!(of_variable("SIGNET_PROVIDERS__GOOGLE__CLIENT_ID").as_deref(), Some("providers.google.client_id"));
        assert_eq!(of_variable("SIGNET_PROVIDERS__MY-IDP__KIND").as_deref(), Some("providers.my-idp.kind"));
        assert_eq!(of_variable("SIGNET_PROVIDERS__MY_IDP__KIND"), None);
        assert_eq!(of_variable("SIGNET_PROVIDERS____KIND"), None);
        assert!(find("providers.google.kind").is_some());
        assert!(find("providers.Google.kind").is_none());
        assert!(find("providers.NAME.kind").is_none());
        assert!(find("providers.google.colour").is_none());
    }
}
