//! URLs: which ones are allowed, and how they are shown without passwords.

use std::net::IpAddr;

use secrecy::SecretString;
use url::Url;

use super::values::{is_loopback, words};
use crate::domain::mail_server::MailServer;

/// Shown instead of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Parameters of database and mail URLs that hold no secret. Drivers know several that do, such as `password`.
const PLAIN_PARAMETERS: &[&str] = &[
    "application_name",
    "cache",
    "dbname",
    "host",
    "immutable",
    "mode",
    "port",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "statement-cache-capacity",
    "tls",
    "user",
    "vfs",
];

/// The issuer: an origin, in its normalized form, https unless its host is loopback (RFC 8414 §2).
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let origin = origin(text)?;
    // Every token carries the issuer up to four times, and no token is longer than 4096 bytes.
    if origin.len() > 200 {
        return Err("must be a URL of at most 200 bytes".to_owned());
    }
    Ok(origin)
}

/// The origins of browser apps, separated by commas or spaces, each as browsers send it (RFC 6454 §6.2).
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    // A wildcard would allow the scripts of any website, and every sandboxed frame sends `null`.
    if words(text).any(|word| word.contains('*') || word == "null") {
        return Err("must be exact origins such as https://app.example.org, without * and null".to_owned());
    }
    words(text).map(|word| app_origin(word).unwrap_or_else(|| origin(word))).collect()
}

/// Schemes whose origins browsers compare differently, or send as `null`.
const NO_APP_SCHEMES: [&str; 11] =
    ["about", "blob", "data", "file", "filesystem", "ftp", "http", "https", "javascript", "ws", "wss"];

/// The origin of an app or a browser extension, as the app sends it: `capacitor://localhost`, `tauri://localhost`.
/// `None` for web schemes.
fn app_origin(text: &str) -> Option<Result<String, String>> {
    let (scheme, host) = text.split_once("://")?;
    if NO_APP_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    let is_word = |word: &str, signs: &[u8]| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || signs.contains(&b))
    };
    let well_formed = text.len() <= 200
        && scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && is_word(scheme, b"+-.")
        && is_word(host, b"-.:");
    Some(well_formed.then(|| text.to_owned()).ok_or_else(|| {
        "must be an origin such as capacitor://localhost, in small letters and without a path".to_owned()
    }))
}

/// An origin in its normalized form, https unless its host is loopback.
fn origin(text: &str) -> Result<String, String> {
    let url = web_url(text)?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err("must be an origin such as https://auth.example.org, without path and query".to_owned());
    }
    // The origin is compared byte by byte: verifiers compare a token's issuer, Signet compares a request's origin.
    let origin = url.origin().ascii_serialization();
    if text != origin {
        return Err(format!("must be written {origin}"));
    }
    Ok(origin)
}

/// Resources, separated by commas or spaces: absolute URIs without fragment (RFC 8707 §2).
pub(super) fn resources(text: &str) -> Result<Vec<String>, String> {
    let absolute = |word: &str| word.len() <= 200 && parse(word).is_some_and(|url| url.fragment().is_none());
    if words(text).all(absolute) {
        return Ok(words(text).map(str::to_owned).collect());
    }
    Err("must be absolute URIs such as https://api.example.org, without fragment, of at most 200 bytes, parted by commas"
        .to_owned())
}

/// The URL of a collector: http or https.
pub(super) fn endpoint(text: &str) -> Result<(), String> {
    match parse(text) {
        Some(url) if ["http", "https"].contains(&url.scheme()) => Ok(()),
        _ => Err("must be an http:// or https:// URL".to_owned()),
    }
}

/// Whether a database URL leads over a network without requiring TLS. (By default the driver uses TLS if the server
/// offers it, which an attacker on the way can prevent.)
pub(super) fn is_plain_network_postgres(text: &str) -> bool {
    if database(text) != Some(Database::Postgres) {
        return false;
    }
    let Ok(url) = Url::parse(text) else { return false };
    let parameter = |names: &[&str]| {
        let value = url.query_pairs().filter(|(name, _)| names.contains(&&**name)).map(|(_, value)| value).last();
        value.map(std::borrow::Cow::into_owned)
    };
    let host = parameter(&["host"]).or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
    let is_socket = host.is_empty() || host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
    let mode = parameter(&["sslmode", "ssl-mode"]).unwrap_or_default().to_ascii_lowercase();
    let insists = ["require", "verify-ca", "verify-full"].contains(&mode.as_str());
    !is_socket && !is_loopback_host(&host) && !insists
}

/// Whether the host of an origin is this machine.
pub(super) fn is_loopback_origin(origin: &str) -> bool {
    Url::parse(origin).is_ok_and(|url| url.host_str().is_some_and(is_loopback_host))
}

/// A URL of an identity provider: https, or http to a loopback host for tests.
pub(super) fn provider_url(text: &str) -> Result<String, String> {
    web_url(text).map(|_| text.to_owned())
}

/// The issuer of an identity provider: like its URLs, and without a query (OpenID Connect Discovery 1.0 §3).
pub(super) fn provider_issuer(text: &str) -> Result<String, String> {
    if web_url(text)?.query().is_some() {
        return Err("must be an issuer, a URL without query".to_owned());
    }
    Ok(text.to_owned())
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = parse(text).filter(|_| text.len() <= 1000).ok_or("must be a URL of at most 1000 bytes")?;
    let host = url.host_str().unwrap_or_default();
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback_host(host)) {
        return Err("must be an https:// URL; http:// is for loopback hosts alone".to_owned());
    }
    // Refuse an '@' anywhere: the text before it may be a password that was not percent-encoded.
    if text.contains('@') || url.fragment().is_some() {
        return Err("must be a URL without user name, password and fragment".to_owned());
    }
    Ok(url)
}

/// Parses `text`, which must not hold what the parser would silently drop or encode.
fn parse(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|_| !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\'))
}

/// Whether `host`, as a URL writes it, is this machine.
fn is_loopback_host(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(is_loopback)
}

/// A database that the service can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Sqlite,
    Postgres,
}

fn database(text: &str) -> Option<Database> {
    let postgres = ["postgres://", "postgresql://"].iter().any(|prefix| text.starts_with(prefix));
    let sqlite = text.starts_with("sqlite:") && text.len() > "sqlite:".len();
    sqlite.then_some(Database::Sqlite).or(postgres.then_some(Database::Postgres))
}

/// A database URL: `sqlite:`, `postgres://` or `postgresql://`.
pub(super) fn database_url(text: &str) -> Result<SecretString, String> {
    match database(text) {
        Some(Database::Postgres) => server_url(text).map(|_| text.into()),
        Some(Database::Sqlite) if is_in_memory(text) => {
            Err("must name a file: a database in memory would be another one for each connection".to_owned())
        }
        Some(Database::Sqlite) if !text.contains(char::is_control) => Ok(text.into()),
        _ => Err("must be a sqlite:, postgres:// or postgresql:// URL".to_owned()),
    }
}

/// Whether a SQLite URL names no file, in any spelling.
fn is_in_memory(text: &str) -> bool {
    let pairs = text.replace('?', "&");
    let pairs = url::form_urlencoded::parse(pairs.as_bytes());
    pairs.into_iter().any(|(name, value)| name.contains(":memory:") || (name == "mode" && value == "memory"))
}

/// Whether two database URLs are of the same kind.
pub(super) fn same_database_kind(one: &str, other: &str) -> bool {
    database(one) == database(other)
}

/// The mail server, in lettre's URL form: TLS always, unless the host is loopback.
pub(super) fn smtp_url(text: &str) -> Result<SecretString, String> {
    server_url(text)?;
    MailServer::parse(text).map(|_| text.into()).map_err(|rule| rule.to_string())
}

/// A URL of a server with user name and password.
///
/// The parser ends the host at the first `/`, `?` or `#`. It would take a password with one of these, not
/// percent-encoded, for path or query, and the password would be shown. The `@` after the password reveals this case.
fn server_url(text: &str) -> Result<Url, String> {
    let url = parse(text).ok_or("must be a URL, with special characters of user name and password percent-encoded")?;
    if url.fragment().is_some() || url.path().contains('@') || url.query().is_some_and(|query| query.contains('@')) {
        return Err(
            "must be a URL whose '/', '?', '#' and '@' in user name and password are percent-encoded".to_owned()
        );
    }
    Ok(url)
}

/// `text`, a URL that its key allows, with every possible secret redacted.
pub(super) fn redacted(text: &str) -> String {
    let (address, query) = text.split_once('?').map_or((text, None), |(address, query)| (address, Some(query)));
    let mut shown = match address.split_once("://") {
        Some((scheme, rest)) if scheme != "sqlite" => {
            let end = rest.find('/').unwrap_or(rest.len());
            // The last '@' ends the password, as in the URL parser.
            match rest[..end].rsplit_once('@').map(|(user, host)| (user.split_once(':'), host)) {
                Some((Some((user, _)), host)) => format!("{scheme}://{user}:{REDACTED}@{host}{}", &rest[end..]),
                _ => address.to_owned(),
            }
        }
        _ => address.to_owned(),
    };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if PLAIN_PARAMETERS.contains(&name) => parameter.to_owned(),
        Some((name, _)) => format!("{name}={REDACTED}"),
        None => REDACTED.to_owned(),
    };
    if let Some(query) = query {
        shown.push('?');
        shown += &query.split('&').map(parameter).collect::<Vec<_>>().join("&");
    }
    shown
}

#[cfg(test)]
mod tests;
