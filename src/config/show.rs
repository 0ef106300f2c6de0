//! The effective configuration as TOML, without its secrets.

use std::{fmt::Display, path::Path};

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use toml::Value;

use super::{
    given::ValueSource,
    keys,
    model::{ClientIdDocuments, ClientRegistration, Config, LogFormat, Provider, RegistrationMode},
    urls,
    values::DurationText,
};

impl Config {
    /// The configuration as `signet config` prints it: TOML, one line per key, each with a comment that names the
    /// value's source. Secrets are redacted; a key without a value appears as a comment.
    #[must_use]
    pub fn show(&self) -> String {
        let mut lines = Vec::new();
        for (key, value) in self.effective() {
            let origin = self.origins.get(&key).unwrap_or(&ValueSource::Default);
            lines.push(
                value.map_or_else(|| format!("# {key} is not set\n"), |value| format!("{key} = {value} # {origin}\n")),
            );
        }
        lines.concat()
    }

    /// Every key with its value, in the order of [`KEYS`](super::KEYS), then the providers'.
    fn effective(&self) -> Vec<(String, Option<Value>)> {
        let Self { tls, password, rate_limits: limits, .. } = self;
        let issuer = self.issuer.clone().unwrap_or_else(|| format!("http://{}", self.listen));
        let mut rows = vec![
            ("listen", Some(text(self.listen))),
            ("issuer", Some(text(&issuer))),
            ("database_url", Some(url(&self.database_url))),
            ("database_listen_url", Some(url(&self.database_listen_url))),
            ("auto_migrate", Some(self.auto_migrate.into())),
            ("keys_dir", Some(path(&self.keys_dir))),
            ("data_dir", Some(path(&self.data_dir))),
            ("signing_algorithm", Some(text(self.signing_algorithm))),
            ("audience", Some(text(self.audience.as_ref().unwrap_or(&issuer)))),
            ("access_token_ttl", Some(span(self.access_token_ttl))),
            ("refresh_token_ttl", Some(span(self.refresh_token_ttl))),
            ("session_ttl", Some(span(self.session_ttl))),
            ("refresh_grace", Some(span(self.refresh_grace))),
            ("registration", Some(text(registration(self.registration)))),
            ("client_registration", Some(text(client_registration(self.client_registration)))),
            ("client_registration_token", self.client_registration_token.as_ref().map(|_| text(urls::REDACTED))),
            ("open_resources", Some(list(&self.open_resources))),
            ("client_id_documents", Some(text(client_id_documents(self.client_id_documents)))),
            ("tls_cert", tls.as_ref().map(|files| path(&files.cert))),
            ("tls_key", tls.as_ref().map(|files| path(&files.key))),
            ("trusted_proxies", Some(list(&self.trusted_proxies))),
            ("cors_origins", Some(list(&self.cors_origins))),
            ("smtp_url", self.smtp_url.as_ref().map(url)),
            ("mail_from", Some(text(&self.mail_from))),
            ("password.memory_kib", Some(i64::from(password.memory_kib).into())),
            ("password.iterations", Some(i64::from(password.iterations).into())),
            ("password.parallelism", Some(i64::from(password.parallelism).into())),
            ("password.workers", Some(number(password.workers))),
            ("password.max_wait", Some(text(DurationText(password.max_wait)))),
            ("password.min_length", Some(number(password.min_length))),
            ("rate_limits.enabled", Some(limits.enabled.into())),
            ("rate_limits.network", Some(limits.network.into())),
            ("rate_limits.token", Some(text(limits.token))),
            ("rate_limits.registration", Some(text(limits.registration))),
            ("rate_limits.availability", Some(text(limits.availability))),
            ("rate_limits.mail", Some(text(limits.mail))),
            ("rate_limits.pages", Some(text(limits.pages))),
            ("rate_limits.account", Some(text(limits.account))),
            ("reserved_usernames", Some(text(names(&self.reserved_usernames)))),
            ("pages.name", Some(text(&self.pages.name))),
            ("pages.color", Some(text(self.pages.color))),
            ("shutdown_delay", Some(text(DurationText(self.shutdown_delay)))),
            ("metrics_listen", Some(self.metrics_listen.map_or_else(|| text("off"), text))),
            ("log_format", Some(text(log_format(self.log_format)))),
            ("key_rotation", Some(self.key_rotation.map_or_else(|| text("off"), span))),
            ("key_lead_time", Some(span(self.key_lead_time))),
            ("keys_passphrase", self.keys_passphrase.as_ref().map(|_| text(urls::REDACTED))),
            ("keys", self.keys.as_ref().map(|_| text(urls::REDACTED))),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect::<Vec<_>>();
        rows.extend(keys::PLANNED.into_iter().map(|key| (key.to_owned(), self.planned(key))));
        for (name, provider) in &self.providers {
            let of_provider = |(field, value)| (format!("providers.{name}.{field}"), value);
            rows.extend(provider.effective().into_iter().map(of_provider));
        }
        rows
    }

    /// The value of a key for a future feature.
    fn planned(&self, key: &str) -> Option<Value> {
        let description = keys::find(key)?;
        match self.planned.get(key) {
            Some(_) if description.secret => Some(text(urls::REDACTED)),
            Some(given) => Some(text(given)),
            None => Some(description.default).filter(|default| *default != "none").map(text),
        }
    }
}

impl Provider {
    fn effective(&self) -> [(&'static str, Option<Value>); 11] {
        [
            ("kind", Some(text(self.kind.as_str()))),
            ("client_id", Some(text(&self.client_id))),
            ("client_secret", Some(text(urls::REDACTED))),
            ("team_id", self.apple.as_ref().map(|apple| text(&apple.team_id))),
            ("key_id", self.apple.as_ref().map(|apple| text(&apple.key_id))),
            ("issuer", self.issuer.as_ref().map(text)),
            ("authorize_url", self.authorize_url.as_ref().map(text)),
            ("token_url", self.token_url.as_ref().map(text)),
            ("userinfo_url", self.userinfo_url.as_ref().map(text)),
            ("scopes", (!self.scopes.is_empty()).then(|| list(&self.scopes))),
            ("trust_email", Some(self.trust_email.into())),
        ]
    }
}

fn text(value: impl Display) -> Value {
    Value::String(value.to_string())
}

/// Names separated by commas, as their default is written.
fn names(names: &[impl Display]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn list(values: &[impl Display]) -> Value {
    Value::Array(values.iter().map(text).collect())
}

fn path(value: &Path) -> Value {
    text(value.display())
}

fn number(value: usize) -> Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

fn url(value: &SecretString) -> Value {
    text(urls::redacted(value.expose_secret()))
}

fn span(value: TimeDelta) -> Value {
    text(DurationText(value.to_std().unwrap_or_default()))
}

fn registration(value: RegistrationMode) -> &'static str {
    match value {
        RegistrationMode::Open => "open",
        RegistrationMode::Closed => "closed",
    }
}

fn client_registration(value: ClientRegistration) -> &'static str {
    match value {
        ClientRegistration::Off => "off",
        ClientRegistration::Open => "open",
    }
}

fn client_id_documents(value: ClientIdDocuments) -> &'static str {
    match value {
        ClientIdDocuments::Off => "off",
        ClientIdDocuments::On => "on",
    }
}

fn log_format(value: LogFormat) -> &'static str {
    match value {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}
