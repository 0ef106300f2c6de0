//! The mail server that accepts our emails (RFC 6409), as its URL describes it.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

/// A mail server, and how to connect to it.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// A domain name, or an IP address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The protection of the connection.
    pub protection: Protection,
    /// The login at the server, if it requires one (RFC 4954).
    pub credentials: Option<Credentials>,
}

/// The protection of a connection to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first byte (RFC 8314 §3.3).
    Tls,
    /// TLS by STARTTLS (RFC 3207); where the server does not offer it, nothing is sent.
    StartTls,
    /// None: the server runs on this machine.
    Loopback,
}

/// A user name and a password.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// The reason why a URL is not that of a supported mail server. No message repeats the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAMailServer {
    /// Not a URL with a host, or with more than a mail server's URL has.
    #[error("must be a URL such as smtps://USER:PASSWORD@HOST:PORT, without path")]
    Malformed,
    /// Emails would travel in the clear.
    #[error("must be smtps://HOST or smtp://HOST?tls=required; smtp:// without TLS is for loopback hosts alone")]
    Unprotected,
    /// One of user name and password is missing, or not UTF-8, or has a control character.
    #[error("must have a user name and a password, both percent-encoded UTF-8, or none of the two")]
    Credentials,
}

impl MailServer {
    /// Parses `smtps://…`, `smtp://…?tls=required`, or `smtp://…` to a loopback host. Their default ports are 465, 587
    /// and 25.
    ///
    /// Opportunistic TLS is not supported: an attacker on the way to the server can switch it off (RFC 3207 §6).
    ///
    /// # Errors
    /// [`NotAMailServer`] says which rule the URL breaks.
    pub fn parse(text: &str) -> Result<Self, NotAMailServer> {
        let url = Url::parse(text).map_err(|_| NotAMailServer::Malformed)?;
        let host = url.host_str().and_then(host).ok_or(NotAMailServer::Malformed)?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(NotAMailServer::Malformed);
        }
        let (protection, port) = match (url.scheme(), url.query()) {
            ("smtps", None) => (Protection::Tls, 465),
            ("smtp", Some("tls=required")) => (Protection::StartTls, 587),
            ("smtp", None) if is_loopback(&host) => (Protection::Loopback, 25),
            _ => return Err(NotAMailServer::Unprotected),
        };
        let credentials = match (decoded(url.username())?, decoded(url.password().unwrap_or_default())?) {
            (username, password) if username.is_empty() && password.is_empty() => None,
            (username, password) if username.is_empty() || password.is_empty() => {
                return Err(NotAMailServer::Credentials);
            }
            (username, password) => Some(Credentials { username, password: password.into() }),
        };
        Ok(Self { host, port: url.port().unwrap_or(port), protection, credentials })
    }
}

/// A domain name in ASCII, or an IP address without brackets. The URL parser accepts any word as the host of a scheme
/// that is not a web scheme, and percent-encodes characters outside ASCII.
fn host(text: &str) -> Option<String> {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = address.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    match Host::parse(text) {
        Ok(Host::Domain(domain)) if !text.contains('%') => Some(domain),
        // An unusual spelling of an address: 127.1 and similar forms deceive readers.
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Decodes percent-encoding (RFC 3986 §2.1). A NUL would separate the fields of the PLAIN mechanism (RFC 4616 §2).
fn decoded(text: &str) -> Result<String, NotAMailServer> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| NotAMailServer::Credentials)?;
    if decoded.contains(char::is_control) { Err(NotAMailServer::Credentials) } else { Ok(decoded.into_owned()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn parsed(text: &str) -> (String, u16, Protection) {
        let server = MailServer::parse(text).unwrap();
        (server.host, server.port, server.protection)
    }

    #[test]
    fn a_url_says_where_the_server_is_and_what_protects_the_way() {
        let cases = [
            ("smtps://mail.example.org", ("mail.example.org", 465, Protection::Tls)),
            ("smtps://mail.example.org:2465/", ("mail.example.org", 2465, Protection::Tls)),
            ("smtps://192.0.2.1", ("192.0.2.1", 465, Protection::Tls)),
            ("smtp://mail.example.org?tls=required", ("mail.example.org", 587, Protection::StartTls)),
            ("smtp://[::1]:25?tls=required", ("::1", 25, Protection::StartTls)),
            ("smtp://localhost", ("localhost", 25, Protection::Loopback)),
            ("smtp://LOCALHOST:1025", ("localhost", 1025, Protection::Loopback)),
            ("smtp://127.0.0.2", ("127.0.0.2", 25, Protection::Loopback)),
            ("smtp://[::1]", ("::1", 25, Protection::Loopback)),
        ];
        for (text, (host, port, protection)) in cases {
            assert_eq!(parsed(text), (host.to_owned(), port, protection), "{text}");
        }
    }

    #[test]
    fn mail_never_leaves_the_machine_without_tls() {
        for text in [
            "smtp://mail.example.org",
            "smtp://ada:pw@mail.example.org",
            "smtp://mail.example.org?tls=opportunistic",
            "smtp://localhost?tls=opportunistic",
            "smtp://mail.example.org?tls=none",
            "smtp://mail.example.org?tls=Required",
            "smtp://mail.example.org?tls=required&tls=opportunistic",
            "smtp://localhost.example.org",
            "smtp://10.0.0.1",
            "smtps://mail.example.org?tls=opportunistic",
            "http://mail.example.org",
        ] {
            assert_eq!(MailServer::parse(text).unwrap_err(), NotAMailServer::Unprotected, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_server_is_refused() {
        for text in [
            "",
            "mail.example.org:25",
            "smtps://",
            "smtps:mail",
            "smtp://127.1",
            "smtps://a%41b",
            "smtps://bücher.example",
            "smtps://m/a",
            "smtps://m#a",
        ] {
            assert_eq!(MailServer::parse(text).unwrap_err(), NotAMailServer::Malformed, "{text}");
        }
    }

    #[test]
    fn user_name_and_password_are_percent_decoded_and_come_together() {
        let server = MailServer::parse("smtps://ada%40example.org:p%2Fw%3A%C3%A9@mail.example.org").unwrap();
        assert!(!format!("{server:?}").contains("p/w"), "{server:?}");
        let credentials = server.credentials.unwrap();
        assert_eq!((&*credentials.username, credentials.password.expose_secret()), ("ada@example.org", "p/w:é"));
        assert!(MailServer::parse("smtps://mail.example.org").unwrap().credentials.is_none());
        for text in ["smtps://ada@m", "smtps://ada:@m", "smtps://:pw@m", "smtps://ada:%FF@m", "smtps://a%00b:pw@m"] {
            assert_eq!(MailServer::parse(text).unwrap_err(), NotAMailServer::Credentials, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_talked_to_in_the_clear_off_this_machine(text in "smtps?://.{0,30}|.{0,30}") {
            if let Ok(server) = MailServer::parse(&text) {
                prop_assert!(server.protection != Protection::Loopback || is_loopback(&server.host), "{server:?}");
            }
        }
    }
}
