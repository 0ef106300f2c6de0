//! Redirect URIs (RFC 6749 §3.1.2): which may be registered, and which one a request may name.
//!
//! No parser takes part in the decision whether a request's URI is a registered one: what two parsers read differently is
//! how codes were stolen. The texts are compared byte by byte (RFC 9700 §2.1).

use url::{Host, Url};

/// Why a redirect URI cannot be registered.
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
    /// `http` to another host than a loopback address (RFC 8252 §7.3).
    #[error(
        "a redirect URI is https, http to 127.0.0.1, [::1] or localhost, or an app's own scheme such as com.example.app:/callback"
    )]
    Scheme,
}

/// The longest redirect URI, in bytes.
const MAX_LENGTH: usize = 2048;

/// Whether `uri` can be registered: `https`, `http` to this machine for native apps and development, or an app's own
/// scheme, which has a dot in it (RFC 8252 §7.1) and which only a public client can have.
///
/// # Errors
/// [`NotARedirectUri`].
pub fn check(uri: &str, public: bool) -> Result<(), NotARedirectUri> {
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
        "https" if url.has_host() => Ok(()),
        "http" if local => Ok(()),
        scheme if public && scheme.contains('.') => Ok(()),
        _ => Err(NotARedirectUri::Scheme),
    }
}

/// Whether a request may name `presented`: it is one of `registered`, byte for byte. Of a loopback IP address alone the
/// port may be another, which a native app learns only when it runs (RFC 8252 §7.3).
#[must_use]
pub fn is_registered(registered: &[String], presented: &str) -> bool {
    registered.iter().any(|uri| {
        uri == presented
            || matches!((without_port(uri), without_port(presented)), (Some(ours), Some(theirs)) if ours == theirs)
    })
}

/// The origin without its port, and what follows it, of an `http` URI to a loopback IP literal; `None` of any other.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    ["http://127.0.0.1", "http://[::1]"].into_iter().find_map(|origin| {
        let rest = uri.strip_prefix(origin)?;
        let path = match rest.strip_prefix(':') {
            Some(rest) => {
                let end = rest.find('/')?;
                let (port, path) = rest.split_at(end);
                let is_port =
                    !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
                is_port.then_some(path)?
            }
            None => rest.starts_with('/').then_some(rest)?,
        };
        Some((origin, path))
    })
}

/// The origin of a registered URI, as a content security policy names it: a scheme with host and port, or an app's own
/// scheme alone.
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

    #[test]
    fn what_can_be_registered_is_https_this_machine_or_an_app() {
        for good in
            ["https://app.example.com/cb?x=1", "http://localhost:3000/cb", "http://127.0.0.1/", "http://[::1]:1/"]
        {
            assert_eq!(check(good, false), Ok(()), "{good}");
        }
        assert_eq!(check("com.example.app:/cb", true), Ok(()));
        assert_eq!(check("com.example.app:/cb", false), Err(NotARedirectUri::Scheme));
        for bad in [
            "http://app.example.com/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "app:/cb",
            "http://localhost.evil.example/cb",
            "ftp://127.0.0.1/",
        ] {
            assert_eq!(check(bad, true), Err(NotARedirectUri::Scheme), "{bad}");
        }
        assert_eq!(check("https://a.example/#", true), Err(NotARedirectUri::Fragment));
        assert_eq!(check("https://user@a.example/", true), Err(NotARedirectUri::UserInformation));
        for bad in ["", "/cb", "https://", "https://a.example/ä", "https:\\\\a.example/", "https://*.example.com:x/"] {
            assert_eq!(check(bad, true), Err(NotARedirectUri::Malformed), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_what_a_policy_names() {
        assert_eq!(origin("https://app.example.com/cb?x=1").as_deref(), Some("https://app.example.com"));
        assert_eq!(origin("http://127.0.0.1:4711/cb").as_deref(), Some("http://127.0.0.1:4711"));
        assert_eq!(origin("com.example.app:/cb").as_deref(), Some("com.example.app:"));
    }
}
