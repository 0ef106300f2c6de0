//! Redirect URIs (RFC 6749 §3.1.2): which URIs may be registered, and which URI a request may name.
//!
//! No parser decides whether a request's URI is a registered one: codes were stolen through URIs that two parsers read
//! differently. The texts are compared byte by byte (RFC 9700 §2.1).

use std::borrow::Cow;

use url::{Host, Url};

/// The purpose of a registered URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The URI receives codes.
    Redirect,
    /// Browsers return to the URI after a logout.
    PostLogout,
    /// Signet calls the URI itself.
    BackchannelLogout,
}

/// The schemes of an app's own that a client may register (RFC 8252 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppSchemes {
    /// None: the client keeps a secret, so it is not an app on a device.
    None,
    /// Schemes with a dot, and other schemes with a host after them, such as `cursor://anysphere.cursor-mcp/cb`.
    /// Editors register themselves with such URIs; users are asked before a code goes there.
    WithDotOrHost,
    /// Any scheme: the operator knows the app.
    Any,
}

/// The reason why a redirect URI cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARedirectUri {
    /// Not an absolute URI of printable ASCII.
    #[error("a redirect URI is absolute, of printable ASCII, and at most {} bytes", MAX_LENGTH)]
    Malformed,
    /// A fragment (RFC 6749 §3.1.2).
    #[error("a redirect URI has no fragment")]
    Fragment,
    /// User information, which deceives readers about the host.
    #[error("a redirect URI names no user or password")]
    UserInformation,
    /// `http` to a host that is not loopback (RFC 8252 §7.3), or a scheme that this client may not have.
    #[error(
        "a redirect URI is https, http to 127.0.0.1, [::1] or localhost, or, for a public client, an app's own scheme \
         such as com.example.app:/callback"
    )]
    Scheme,
    /// A scheme that browsers or other programs act on.
    #[error("its scheme is a browser's or another program's, and no app's own")]
    ForeignScheme,
    /// A host that readers of the URI may read differently.
    #[error(
        "the host of a redirect URI has letters, digits, dots and hyphens alone, or is an IPv6 address in brackets"
    )]
    Host,
    /// A character that browsers and libraries encode, or read as another one, so that the text never comes back as it is.
    #[error("a redirect URI has no {0:?} here; if it belongs to the URI, percent-encode it")]
    Character(char),
    /// A `%` without two hexadecimal digits after it.
    #[error("a % in a redirect URI has two hexadecimal digits after it; the character % itself is %25")]
    Percent,
    /// No port, or port 0, where one must be.
    #[error("the port of a redirect URI is a number from 1 to 65535; without one, leave the colon out")]
    Port,
    /// A host and a port, which parsers read as a scheme and a path.
    #[error("a host and a port are no redirect URI; write http:// or https:// before them")]
    NoScheme,
    /// A pattern, which no request's URI equals.
    #[error("a redirect URI is compared byte by byte, so that a * matches nothing; register every URI by itself")]
    Pattern,
    /// Several URIs in one text.
    #[error("these are several redirect URIs in one; register each on its own")]
    List,
    /// A parameter that the answer adds.
    #[error("the answer adds the parameter {0} to this URI, which has it already")]
    Reserved(&'static str),
}

/// The longest redirect URI, in bytes.
const MAX_LENGTH: usize = 2048;

/// The parameters of an answer to a redirect URI (RFC 6749 §4.1.2, RFC 9207, OIDC Session Management §2, and those of
/// other response types, which clients may read as well).
const OF_ANSWERS: [&str; 12] = [
    "code",
    "state",
    "iss",
    "error",
    "error_description",
    "error_uri",
    "session_state",
    "response",
    "id_token",
    "access_token",
    "token_type",
    "expires_in",
];

/// Schemes without a dot that belong to no app: browsers run, open or fetch the rest of the URI, or hand it to another
/// program.
const FOREIGN: [&str; 46] = [
    "javascript",
    "vbscript",
    "livescript",
    "mocha",
    "data",
    "file",
    "filesystem",
    "blob",
    "about",
    "view-source",
    "wyciwyg",
    "jar",
    "resource",
    "chrome",
    "chrome-extension",
    "moz-extension",
    "safari-web-extension",
    "intent",
    "android-app",
    "content",
    "ws",
    "wss",
    "ftp",
    "ftps",
    "sftp",
    "ssh",
    "telnet",
    "ldap",
    "ldaps",
    "gopher",
    "git",
    "smb",
    "nfs",
    "dav",
    "mailto",
    "tel",
    "sms",
    "sip",
    "sips",
    "news",
    "nntp",
    "urn",
    "cid",
    "mid",
    "shell",
    "search-ms",
];

/// Whether `uri` can be registered: `https`, `http` to this machine for native apps and development, or one of
/// `schemes`.
///
/// # Errors
/// [`NotARedirectUri`].
pub fn check(uri: &str, purpose: Purpose, schemes: AppSchemes) -> Result<(), NotARedirectUri> {
    if uri.contains('*') {
        return Err(NotARedirectUri::Pattern);
    }
    if is_list(uri) {
        return Err(NotARedirectUri::List);
    }
    check_characters(uri)?;
    if is_host_and_port(uri) {
        return Err(NotARedirectUri::NoScheme);
    }
    if authority(uri).is_some_and(|authority| authority.ends_with(':')) {
        return Err(NotARedirectUri::Port);
    }
    let url = Url::parse(uri).map_err(|why| match why {
        url::ParseError::InvalidPort => NotARedirectUri::Port,
        _ => NotARedirectUri::Malformed,
    })?;
    if url.port() == Some(0) {
        return Err(NotARedirectUri::Port);
    }
    if uri.contains('#') {
        return Err(NotARedirectUri::Fragment);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NotARedirectUri::UserInformation);
    }
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => check_host(uri)?,
        "http" if local => check_host(uri)?,
        "http" => return Err(NotARedirectUri::Scheme),
        scheme => check_app_scheme(scheme, uri, schemes)?,
    }
    let reserved: &[&'static str] = match purpose {
        Purpose::Redirect => &OF_ANSWERS,
        Purpose::PostLogout => &["state"],
        Purpose::BackchannelLogout => &[],
    };
    let taken = |name: &&&'static str| url.query_pairs().any(|(given, _)| given == **name);
    reserved.iter().find(taken).map_or(Ok(()), |name| Err(NotARedirectUri::Reserved(name)))
}

/// Whether another URI begins after a character that parts the items of a list.
fn is_list(uri: &str) -> bool {
    let parts = |letter: char| matches!(letter, ',' | ';' | '|') || letter.is_whitespace();
    let begins_a_uri = |item: &str| {
        let item = item.trim_start_matches(['"', '\'', '<', '[']);
        item.split_once(":/").is_some_and(|(scheme, _)| is_scheme(scheme))
    };
    uri.split(parts).filter(|item| !item.is_empty()).skip(1).any(begins_a_uri)
}

/// Whether `text` is a scheme (RFC 3986 §3.1).
fn is_scheme(text: &str) -> bool {
    let of_a_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(of_a_scheme)
}

/// Refuses characters that a URI does not have (RFC 3986 §2), or not in this place.
fn check_characters(uri: &str) -> Result<(), NotARedirectUri> {
    if uri.len() > MAX_LENGTH || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NotARedirectUri::Malformed);
    }
    // The brackets of an IPv6 address.
    let host = authority(uri).filter(|authority| authority.starts_with('[')).and_then(|authority| authority.find(']'));
    let host = host.zip(uri.find("://")).map(|(end, scheme)| (scheme + 3, scheme + 3 + end));
    for (at, letter) in uri.char_indices() {
        let is_refused = match letter {
            '{' | '}' | '<' | '>' | '|' | '^' | '"' | '`' | '\\' => true,
            '[' | ']' => host.is_none_or(|(first, last)| at != first && at != last),
            _ => false,
        };
        if is_refused {
            return Err(NotARedirectUri::Character(letter));
        }
    }
    let is_encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if uri.split('%').skip(1).all(is_encoded) { Ok(()) } else { Err(NotARedirectUri::Percent) }
}

/// Whether the text is a host and a port, such as `localhost:3000/cb`, or a host alone with a colon.
fn is_host_and_port(uri: &str) -> bool {
    let Some((host, rest)) = uri.split_once(':') else { return false };
    let port = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_a_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_a_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_local = host.eq_ignore_ascii_case("localhost") || host.starts_with(|first: char| first.is_ascii_digit());
    is_a_host && is_a_number && (is_local || !port.is_empty())
}

/// The text between `://` and the path, unchanged.
fn authority(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// Refuses a host that parsers read differently: one may correct it, while a policy or another parser does not.
fn check_host(uri: &str) -> Result<(), NotARedirectUri> {
    let authority = authority(uri).ok_or(NotARedirectUri::Malformed)?;
    if authority.starts_with('[') {
        // The parser accepts only an IPv6 address and a port here.
        return Ok(());
    }
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    if !host.is_empty() && host.bytes().all(plain) { Ok(()) } else { Err(NotARedirectUri::Host) }
}

fn check_app_scheme(scheme: &str, uri: &str, schemes: AppSchemes) -> Result<(), NotARedirectUri> {
    // Windows has schemes of its own, which begin with `ms-`.
    if FOREIGN.contains(&scheme) || (!scheme.contains('.') && (scheme.starts_with("http") || scheme.starts_with("ms-")))
    {
        return Err(NotARedirectUri::ForeignScheme);
    }
    let allowed = match schemes {
        AppSchemes::None => false,
        AppSchemes::WithDotOrHost => scheme.contains('.') || authority(uri).is_some_and(|host| !host.is_empty()),
        AppSchemes::Any => true,
    };
    if allowed { Ok(()) } else { Err(NotARedirectUri::Scheme) }
}

/// Whether a request may name `presented`: the text must equal one of `registered`, byte for byte. Only the port of a
/// loopback IP address may differ, because a native app learns its port when it runs (RFC 8252 §7.3).
#[must_use]
pub fn is_registered(registered: &[String], presented: &str) -> bool {
    registered.iter().any(|uri| {
        uri == presented
            || matches!((without_port(uri), without_port(presented)), (Some(ours), Some(theirs)) if ours == theirs)
    })
}

/// Whether `presented` is, but for its port, one of the URIs in `registered` that begin with `http://localhost` and name
/// no port. A client's document is the same on every device, so it cannot name the port that a native app gets when it
/// runs: Claude Code's has `http://localhost/callback`. RFC 8252 §8.3 advises against `localhost` only because it may be
/// another interface than the loopback one.
#[must_use]
pub fn is_on_any_port_of_localhost(registered: &[String], presented: &str) -> bool {
    const LOCALHOST: &str = "http://localhost";
    registered.iter().any(|uri| {
        let names_no_port =
            uri.strip_prefix(LOCALHOST).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        names_no_port
            && matches!(
                (without_port_of(LOCALHOST, uri), without_port_of(LOCALHOST, presented)),
                (Some(ours), Some(theirs)) if ours == theirs
            )
    })
}

/// Splits an `http` URI to a loopback IP literal into its origin without the port, and the rest; `None` for other URIs.
fn without_port(uri: &str) -> Option<(&str, Cow<'_, str>)> {
    ["http://127.0.0.1", "http://[::1]"].into_iter().find_map(|origin| without_port_of(origin, uri))
}

fn without_port_of<'a>(origin: &'a str, uri: &'a str) -> Option<(&'a str, Cow<'a, str>)> {
    let rest = uri.strip_prefix(origin)?;
    let path = match rest.strip_prefix(':') {
        Some(rest) => {
            let (port, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            let is_port =
                !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
            is_port.then_some(path)?
        }
        None => (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)?,
    };
    // A URI without a path has the path `/` (RFC 3986 §6.2.3).
    Some((origin, if path.starts_with('/') { path.into() } else { format!("/{path}").into() }))
}

/// Whether the scheme of `uri` is https, in whatever case it is written (RFC 3986 §3.1).
#[must_use]
pub fn is_https(uri: &str) -> bool {
    uri.split_once("://").is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
}

/// Whether a registered URI leads to a program on the person's own device: by a loopback host or by a scheme of its own.
#[must_use]
pub fn is_on_device(uri: &str) -> bool {
    !is_https(uri)
}

/// The origin of a registered URI for a content security policy: scheme, host and port, or only the scheme if it is an
/// app's own.
#[must_use]
pub fn origin(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    match url.origin() {
        origin @ url::Origin::Tuple(..) => Some(origin.ascii_serialization()),
        url::Origin::Opaque(_) => Some(format!("{}:", url.scheme())),
    }
}

#[cfg(test)]
mod tests;
