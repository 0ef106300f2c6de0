//! Whole configurations, as an operator gives them.

mod redaction;
mod rules;
mod sources;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::TimeDelta;
use tempfile::TempDir;

use super::*;
use crate::{
    config::model::TlsFiles,
    domain::identity::{ProviderKind, ProviderName},
};

/// An operator's machine: a working directory, and the sources given so far.
struct Operator {
    directory: TempDir,
    sources: Sources,
}

impl Operator {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let sources = Sources { directory: directory.path().to_owned(), ..Sources::default() };
        Self { directory, sources }
    }

    /// An operator whose `signet.toml` has this content.
    fn with_file(content: &str) -> Self {
        Self::new().writes("signet.toml", content)
    }

    /// An operator who sets these environment variables.
    fn with_environment(variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(Self::new(), |operator, (name, value)| operator.exports(name, value))
    }

    fn writes(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).expect("writing in the temporary directory");
        self
    }

    fn exports(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn flags(mut self, key: &str, value: &str) -> Self {
        self.sources.flags.insert(key.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    #[track_caller]
    fn starts(&self) -> Config {
        Config::load(&self.sources).unwrap_or_else(|error| panic!("refused: {error}"))
    }

    /// The problems, one line each.
    #[track_caller]
    fn is_refused(&self) -> String {
        match Config::load(&self.sources) {
            Ok(config) => panic!("accepted:\n{}", config.show()),
            Err(error) => {
                assert!(!error.problems().is_empty());
                assert!(error.problems().iter().all(|problem| problem.lines().count() == 1), "{error:?}");
                error.to_string()
            }
        }
    }
}

/// Checks that `text` has each of `parts`.
#[track_caller]
fn tells(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn os(text: &str) -> OsString {
    text.into()
}

#[test]
fn with_no_configuration_at_all_the_defaults_hold() {
    let config = Operator::new().starts();
    let expected = r##"
        listen = "127.0.0.1:8080"
        issuer = "http://127.0.0.1:8080"
        database_url = "sqlite://data/signet.db?mode=rwc"
        database_listen_url = "sqlite://data/signet.db?mode=rwc"
        auto_migrate = true
        keys_dir = "keys"
        data_dir = "data"
        signing_algorithm = "ES256"
        audience = "http://127.0.0.1:8080"
        access_token_ttl = "10m"
        refresh_token_ttl = "30d"
        session_ttl = "90d"
        refresh_grace = "10s"
        registration = "open"
        client_registration = "off"
        # client_registration_token is not set
        open_resources = []
        client_id_documents = "off"
        # tls_cert is not set
        # tls_key is not set
        trusted_proxies = []
        cors_origins = []
        # smtp_url is not set
        mail_from = "Signet <no-reply@localhost>"
        password.memory_kib = 19456
        password.iterations = 2
        password.parallelism = 1
        password.workers = CORES
        password.max_wait = "2s"
        password.min_length = 8
        rate_limits.enabled = true
        rate_limits.network = true
        rate_limits.token = "60/1m"
        rate_limits.registration = "10/1m"
        rate_limits.availability = "60/1m"
        rate_limits.mail = "5/1h"
        rate_limits.pages = "120/1m"
        rate_limits.account = "10/15m"
        reserved_usernames = "admin,administrator,root,support,security,postmaster,abuse,signet,null,undefined,me"
        pages.name = "Signet"
        pages.color = "#3452d6"
        shutdown_delay = "0s"
        metrics_listen = "127.0.0.1:9464"
        log_format = "json"
        key_rotation = "off"
        key_lead_time = "6m"
        # keys_passphrase is not set
        # keys is not set
        audit_retention = "90d"
        # otlp_endpoint is not set
        "##;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let expected = expected.replace("CORES", &cores.to_string());
    let shown = config.show().replace(" # default", "");
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        expected.trim_end().lines().skip(1).map(str::trim).collect::<Vec<_>>()
    );

    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!((config.issuer, config.audience, config.tls), (None, None, None));
    assert!(config.smtp_url.is_none() && config.providers.is_empty());
    assert_eq!(config.session_ttl, TimeDelta::days(90));
}

#[test]
fn a_terminal_gets_text_and_a_file_gets_json() {
    let mut operator = Operator::new();
    assert_eq!(operator.starts().log_format, LogFormat::Json);
    operator.sources.terminal = true;
    assert_eq!(operator.starts().log_format, LogFormat::Text);
    assert_eq!(operator.exports("SIGNET_LOG_FORMAT", "json").starts().log_format, LogFormat::Json);
}

#[test]
fn what_is_shown_has_every_key_once_and_loads_again_as_the_same() {
    let given = r#"
        listen = "127.0.0.1:9000"
        issuer = "https://auth.example.org"
        tls_cert = "cert \"1\".pem"
        tls_key = 'key\1.pem'
        trusted_proxies = ["10.0.0.0/8", "fd00::/8"]
        cors_origins = ["https://app.example.org", "http://localhost:5173"]
        open_resources = ["https://mcp.example.org/mcp", "urn:example:orders"]
        smtp_url = "smtp://localhost:1025"
        metrics_listen = "off"
        data_dir = "/var/lib/100% sure?"
        refresh_grace = "0s"
        [password]
        memory_kib = 65_536
        workers = 3
        [providers.my-idp]
        kind = "oidc"
        client_id = 12345
        client_secret = "hidden"
        issuer = "https://login.example.org/v2"
        scopes = ["openid", "email"]
    "#;
    let config = Operator::with_file(given).starts();
    let shown = config.show();
    for row in KEYS {
        let lines = shown.lines().filter(|line| line.trim_start_matches("# ").split(' ').next() == Some(row.key));
        assert_eq!(lines.count(), 1, "{} in:\n{shown}", row.key);
    }
    tells(
        &shown,
        &[
            "database_url = \"sqlite:///var/lib/100%25 sure%3F/signet.db?mode=rwc\" # default\n",
            "metrics_listen = \"off\" # file ",
            "providers.my-idp.scopes = [\"openid\", \"email\"] # file ",
            "providers.my-idp.client_id = \"12345\" # file ",
            "providers.my-idp.trust_email = false # default\n",
            "signet.toml:14\n",
        ],
    );
    let without_comments = |text: &str| {
        text.lines().map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value).to_owned()).collect::<Vec<_>>()
    };
    let again = Operator::with_file(&shown).starts().show();
    assert_eq!(without_comments(&again), without_comments(&shown));
}

#[test]
fn the_table_of_defaults_says_what_is_done() {
    let config = Operator::new().starts();
    let table: toml::Table = config.show().parse().expect("TOML");
    for row in KEYS.iter().filter(|row| !row.default.contains(' ') && !["none", "database_url"].contains(&row.default))
    {
        let value = row.key.split('.').fold(None, |found: Option<&toml::Value>, part| match found {
            Some(value) => value.get(part),
            None => table.get(part),
        });
        let value = value.expect("shown");
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(text, row.default, "{}", row.key);
    }
    assert!(Path::new("data").eq(&config.data_dir));
}
