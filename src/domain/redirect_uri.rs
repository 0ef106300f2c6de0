//! Redirect URIs (RFC 6749 §3.1.2): which URIs may be registered, and which URI a request may name.
//!
//! No parser decides whether a request's URI is a registered one: codes were stolen through URIs that two parsers read
//! differently. The texts are compared byte by byte (RFC 9700 §2.1).

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
    if uri.split(',').skip(1).any(|rest| rest.contains(":/")) {
        return Err(NotARedirectUri::List);
    }
    let well_formed = uri.len() <= MAX_LENGTH && uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let url = Url::parse(uri).ok().filter(|_| well_formed).ok_or(NotARedirectUri::Malformed)?;
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

/// Splits an `http` URI to a loopback IP literal into its origin without the port, and the rest; `None` for other URIs.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    ["http://127.0.0.1", "http://[::1]"].into_iter().find_map(|origin| {
        let rest = uri.strip_prefix(origin)?;
        let path = match rest.strip_prefix(':') {
            Some(rest) => {
                let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let is_port =
                    !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
                is_port.then_some(path)?
            }
            None => (rest.is_empty() || rest.starts_with('/')).then_some(rest)?,
        };
        // A URI without a path has the path `/` (RFC 3986 §6.2.3).
        Some((origin, if path.is_empty() { "/" } else { path }))
    })
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
mod tests {
    use super::*;

    const REGISTERED: &str = "https://app.example.com/callback?tenant=7";

    fn takes(registered: &str, presented: &str) -> bool {
        is_registered(&[registered.to_owned()], presented)
    }

    #[test]
    fn only_the_registered_bytes_will_do() {
        assert!(takes(REGISTERED, REGISTERED));
        for bad in [
            "",
            "https://app.example.com/callback",
            "https://app.example.com/callback?tenant=7&x=1",
            "https://app.example.com/callback?tenant=8",
            "https://app.example.com/callback?tenant=7#",
            "https://app.example.com/callback/?tenant=7",
            "https://app.example.com/Callback?tenant=7",
            "https://app.example.com/callback%3ftenant=7",
            "https://app.example.com/x/../callback?tenant=7",
            "https://app.example.com//callback?tenant=7",
            "https://app.example.com:443/callback?tenant=7",
            "https://APP.example.com/callback?tenant=7",
            "https://app.example.com./callback?tenant=7",
            "https://app.example.com@evil.example/callback?tenant=7",
            "https://app.example.com.evil.example/callback?tenant=7",
            "https://evil.example/https://app.example.com/callback?tenant=7",
            "https://app.example.com\\@evil.example/callback?tenant=7",
            "http://app.example.com/callback?tenant=7",
            "//app.example.com/callback?tenant=7",
            " https://app.example.com/callback?tenant=7",
            "https://app.example.com/callback?tenant=7 ",
            "https://app.example.com/callback?tenant=7\n",
            "https://app.example.com/callback?tenant=7\0",
            "javascript:alert(1)",
        ] {
            assert!(!takes(REGISTERED, bad), "{bad:?}");
        }
    }

    #[test]
    fn of_a_loopback_address_the_port_alone_is_free() {
        for good in ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"] {
            assert!(takes("http://127.0.0.1:4711/cb", good), "{good}");
            assert!(takes("http://127.0.0.1/cb", good), "{good}");
        }
        assert!(takes("http://[::1]/cb", "http://[::1]:4711/cb"));
        for good in ["http://127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1:4711", "http://127.0.0.1:4711/"] {
            assert!(takes("http://127.0.0.1", good) && takes("http://127.0.0.1:1/", good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:",
            "http://127.0.0.1:1?x",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
        ] {
            assert!(!takes("http://127.0.0.1", bad), "{bad}");
        }
        for bad in [
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:080/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:4711",
            "http://127.0.0.1:4711/cb/",
            "http://127.0.0.1:4711/cb?x=1",
            "http://127.0.0.1:47x/cb",
            "http://127.0.0.1:@evil.example/cb",
            "http://127.0.0.1:1@evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.2:4711/cb",
            "http://127.1:4711/cb",
            "http://localhost:4711/cb",
            "http://[::1]:4711/cb",
            "https://127.0.0.1:4711/cb",
        ] {
            assert!(!takes("http://127.0.0.1:4711/cb", bad), "{bad}");
        }
        assert!(!takes("http://localhost:1/cb", "http://localhost:2/cb"), "a name may be another machine's");
        assert!(!takes("https://app.example.com:1/cb", "https://app.example.com:2/cb"));
    }

    fn of(schemes: AppSchemes, uri: &str) -> Result<(), NotARedirectUri> {
        check(uri, Purpose::Redirect, schemes)
    }

    #[test]
    fn what_can_be_registered_is_https_this_machine_or_an_app() {
        for good in [
            "https://app.example.com/cb?x=1",
            "https://app.example.com/cb?x=1,2",
            "https://App.Example.com:8443/cb",
            "https://[2001:db8::1]/cb",
            "http://localhost:3000/cb",
            "http://127.0.0.1",
            "http://[::1]:1/",
        ] {
            assert_eq!(of(AppSchemes::None, good), Ok(()), "{good}");
        }
        for (uri, dot_or_host, any) in [
            ("com.example.app:/cb", true, true),
            ("cursor://anysphere.cursor-mcp/oauth/callback", true, true),
            ("app:/cb", false, true),
            ("app:///cb", false, true),
        ] {
            assert_eq!(of(AppSchemes::None, uri), Err(NotARedirectUri::Scheme), "{uri}");
            assert_eq!(of(AppSchemes::WithDotOrHost, uri).is_ok(), dot_or_host, "{uri}");
            assert_eq!(of(AppSchemes::Any, uri).is_ok(), any, "{uri}");
        }
    }

    #[test]
    fn what_could_never_match_or_would_deceive_is_refused() {
        use NotARedirectUri::{ForeignScheme, Fragment, List, Malformed, Pattern, Reserved, Scheme, UserInformation};
        for (bad, why) in [
            ("http://app.example.com/cb", Scheme),
            ("http://localhost.evil.example/cb", Scheme),
            ("javascript:alert(1)", ForeignScheme),
            ("JavaScript://x/cb", ForeignScheme),
            ("data:text/html,x", ForeignScheme),
            ("file:///etc/passwd", ForeignScheme),
            ("ftp://127.0.0.1/", ForeignScheme),
            ("httpz://a.example/", ForeignScheme),
            ("ms-settings:x", ForeignScheme),
            ("https://a.example/#", Fragment),
            ("https://user@a.example/", UserInformation),
            ("https://@a.example/", NotARedirectUri::Host),
            ("https://*.example.com/cb", Pattern),
            ("https://a.example/*", Pattern),
            ("https://a.example/cb,https://b.example/cb", List),
            ("https://x;sandbox/cb", NotARedirectUri::Host),
            ("https://a_b.example/cb", NotARedirectUri::Host),
            ("https://%61.example/cb", NotARedirectUri::Host),
            ("https://a.example/cb?x=1&code=2", Reserved("code")),
            ("https://a.example/cb?i%73s", Reserved("iss")),
            ("", Malformed),
            ("/cb", Malformed),
            ("https://", Malformed),
            ("https:a.example/cb", Malformed),
            ("https://a.example/ä", Malformed),
            ("https:\\\\a.example/", Malformed),
            ("https://a.example:x/", Malformed),
        ] {
            assert_eq!(of(AppSchemes::Any, bad), Err(why), "{bad}");
        }
        let logout = |uri| check(uri, Purpose::PostLogout, AppSchemes::None);
        assert_eq!(logout("https://a.example/?code=1"), Ok(()));
        assert_eq!(logout("https://a.example/?state=1"), Err(Reserved("state")));
        assert_eq!(check("https://a.example/?state=1", Purpose::BackchannelLogout, AppSchemes::None), Ok(()));
    }

    #[test]
    fn an_origin_is_what_a_policy_names() {
        assert_eq!(origin("https://app.example.com/cb?x=1").as_deref(), Some("https://app.example.com"));
        assert_eq!(origin("http://127.0.0.1:4711/cb").as_deref(), Some("http://127.0.0.1:4711"));
        assert_eq!(origin("com.example.app:/cb").as_deref(), Some("com.example.app:"));
    }
}
