//! Warnings about settings that work but need attention: looser than advised, or readable by others.

use secrecy::ExposeSecret as _;

use super::{
    given::{ValueSource, Values},
    keys,
    model::{ClientIdDocuments, ClientRegistration, Config},
    urls,
};
use crate::domain::resource;

/// The warnings about `config`, which was read from `values`: one line each, without secrets.
pub(super) fn of(config: &Config, values: &Values) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |text: &str| warnings.push(text.to_owned());
    let password = &config.password;
    // The minimum that OWASP's cheat sheet on password storage advises.
    if password.memory_kib < 19_456 || password.iterations < 2 {
        warn(
            "password.memory_kib and password.iterations are weaker than 19456 and 2: stolen password hashes are \
             cheaper to guess",
        );
    }
    if password.min_length < 8 {
        warn("password.min_length is below 8: short passwords are soon guessed");
    }
    if !config.rate_limits.enabled {
        warn("rate_limits.enabled is false: nothing slows down the guessing of passwords");
    } else if !config.rate_limits.network {
        warn(
            "rate_limits.network is false: no client network is limited, so the proxy in front must limit registrations, \
             emails and requests",
        );
    }
    if config.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        warn("trusted_proxies holds every address: anyone can forge the address of a client");
    }
    if config.tls.is_some() && config.issuer.is_none() {
        warn(
            "issuer is not set and so begins with http://, while the service speaks TLS: set it to its https:// origin",
        );
    }
    let is_public = config.issuer.as_deref().is_some_and(|issuer| !urls::is_loopback_origin(issuer));
    if is_public && config.tls.is_none() && config.trusted_proxies.is_empty() {
        warn(
            "issuer is https, so a proxy terminates TLS, and trusted_proxies is not set: all clients count as the proxy, \
             and share its rate limits; set it to the proxy's network",
        );
    }
    if is_public && config.smtp_url.is_none() {
        warn("smtp_url is not set: mail is written to files in data_dir/outbox, and reaches nobody");
    }
    for (key, url) in [("database_url", &config.database_url), ("database_listen_url", &config.database_listen_url)] {
        let counts = key == "database_url" || values.contains_key(key);
        if counts && urls::is_plain_network_postgres(url.expose_secret()) {
            warn(&format!(
                "{key} leads over a network without TLS, which shows password hashes and the password of the database to \
                 anyone who listens: append ?sslmode=verify-full"
            ));
        }
    }
    for key in config.planned.keys() {
        warn(&format!("{key} has no effect yet: this version does not have its feature"));
    }
    match (config.client_registration, &config.client_registration_token) {
        (ClientRegistration::Open, None) => warn(
            "client_registration is open and client_registration_token is not set: anyone may register OAuth clients, \
             and ask your users for consent under any name",
        ),
        (ClientRegistration::Off, Some(_)) => {
            warn("client_registration_token has no use while client_registration is off");
        }
        (ClientRegistration::Open, Some(_)) | (ClientRegistration::Off, None) => {}
    }
    if config.client_id_documents == ClientIdDocuments::On {
        warn(
            "client_id_documents is on: any app on the web may ask your users for consent, and Signet fetches the documents \
             that describe such apps",
        );
    }
    let own = [&config.audience, &config.issuer].into_iter().flatten();
    if own.into_iter().any(|own| config.open_resources.iter().any(|open| resource::is_same(open, own))) {
        warn(
            "open_resources holds the audience or the issuer: every app that registers itself gets tokens for your own \
             services, once a user agrees",
        );
    }
    for (key, given) in values {
        let text = given.text.as_deref().unwrap_or_default();
        if matches!(given.origin, ValueSource::Flag(_)) && holds_secret(key, text) {
            let variable = keys::find(key).map_or("", |description| description.environment);
            let name = key.split('.').nth(1).unwrap_or_default().to_ascii_uppercase();
            let variable = variable.replacen("NAME", &name, 1);
            warnings.push(format!(
                "{key} holds a secret on the command line, where other users of this machine can read it: use \
                 {variable}_FILE"
            ));
        }
    }
    warnings
}

fn holds_secret(key: &str, text: &str) -> bool {
    let secret = keys::find(key).is_some_and(|description| description.secret);
    secret
        && (key.ends_with(".client_secret")
            || ["client_registration_token", "keys_passphrase", "keys"].contains(&key)
            || urls::redacted(text) != text)
}
