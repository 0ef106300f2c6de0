//! Client identifier URLs (draft-ietf-oauth-client-id-metadata-document, §3): which URLs may be client ids.

use url::{Host, Url};

/// The longest URL, in bytes: ID tokens carry it beside a nonce and names, and no token is longer than 4096 bytes.
const MAX_LENGTH: usize = 256;

/// The beginning of every such URL, and of no other client id.
const SCHEME: &str = "https://";

/// Why a URL is not a client identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotADocumentUrl {
    /// Another scheme, or no URL.
    #[error("the client_id is not an https URL")]
    Scheme,
    #[error("the client_id is longer than {} bytes", MAX_LENGTH)]
    Length,
    /// A fragment.
    #[error("the client_id has a fragment; remove the # and what follows it")]
    Fragment,
    /// User information, which deceives readers about the host.
    #[error("the client_id names a user or a password; remove them")]
    UserInformation,
    /// The URL has another spelling, which programs that correct URLs would fetch in its place.
    #[error(
        "the client_id is not written in normal form: lower-case host, no default port, a path, no . or .. segments, no \
         characters that need escaping"
    )]
    Spelling,
    /// A host whose name ends with a dot.
    #[error("the host of the client_id ends with a dot; remove it")]
    Host,
}

/// Whether a client id is meant as a URL. Other client ids have no colon.
#[must_use]
pub fn is_url(text: &str) -> bool {
    text.starts_with(SCHEME)
}

/// Parses a client identifier URL. Such ids are compared as strings (§3, RFC 3986 §6.2.1), so each has one spelling: the
/// text must be equal to what the parser writes. The parser removes dot segments, which the draft forbids, and no second
/// parser can read another host or path in the result.
///
/// # Errors
/// [`NotADocumentUrl`].
pub fn parse(text: &str) -> Result<Url, NotADocumentUrl> {
    if !is_url(text) {
        return Err(NotADocumentUrl::Scheme);
    }
    if text.len() > MAX_LENGTH {
        return Err(NotADocumentUrl::Length);
    }
    if text.contains('#') {
        return Err(NotADocumentUrl::Fragment);
    }
    let url = Url::parse(text).map_err(|_| NotADocumentUrl::Scheme)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NotADocumentUrl::UserInformation);
    }
    if url.as_str() != text {
        return Err(NotADocumentUrl::Spelling);
    }
    match url.host() {
        Some(Host::Domain(name)) if name.ends_with('.') => Err(NotADocumentUrl::Host),
        Some(_) => Ok(url),
        None => Err(NotADocumentUrl::Scheme),
    }
}

/// The host of a client identifier URL, with its port unless that is 443, as people are shown it. International names are
/// in their ASCII form, so that no letter passes for another.
#[must_use]
pub fn host(text: &str) -> Option<String> {
    let url = parse(text).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_https_url_with_a_path_is_a_client_id() {
        for good in [
            "https://app.example/client.json",
            "https://app.example/",
            "https://app.example:8443/oauth/client-metadata.json",
            "https://app.example/client?version=2",
            "https://xn--mnchen-3ya.example/c",
            "https://app.example/a%20b",
            "https://203.0.113.7/c",
            "https://[2001:db8::1]/c",
        ] {
            assert_eq!(parse(good).map(|url| url.to_string()), Ok(good.to_owned()), "{good}");
        }
    }

    #[test]
    fn every_other_url_is_refused_with_its_reason() {
        use NotADocumentUrl::{Fragment, Host, Length, Scheme, Spelling, UserInformation};
        for (bad, why) in [
            ("http://app.example/c", Scheme),
            ("HTTPS://app.example/c", Scheme),
            ("https:/app.example/c", Scheme),
            ("ftp://app.example/c", Scheme),
            ("https://", Scheme),
            ("https://a b/c", Scheme),
            ("https://app.example", Spelling),
            ("https://app.example?x", Spelling),
            ("https://App.example/c", Spelling),
            ("https://app.example:443/c", Spelling),
            ("https://app.example/a/../c", Spelling),
            ("https://app.example/./c", Spelling),
            ("https://app.example/%2e%2E/c", Spelling),
            ("https://app.example/c/..", Spelling),
            ("https://app.example\\@evil.example/c", Spelling),
            ("https://app.example/a b", Spelling),
            ("https://app.example/\u{e9}", Spelling),
            ("https://münchen.example/c", Spelling),
            ("https://app.example/a\tb", Spelling),
            (" https://app.example/c", Scheme),
            ("https://127.1/c", Spelling),
            ("https://0x7f000001/c", Spelling),
            ("https://2130706433/c", Spelling),
            ("https://[::FFFF:127.0.0.1]/c", Spelling),
            ("https://app.example/c#top", Fragment),
            ("https://app.example/c#", Fragment),
            ("https://user@app.example/c", UserInformation),
            ("https://:secret@app.example/c", UserInformation),
            ("https://app.example./c", Host),
        ] {
            assert_eq!(parse(bad), Err(why), "{bad}");
        }
        assert_eq!(parse(&format!("https://app.example/{}", "x".repeat(237))), Err(Length));
        assert!(parse(&format!("https://app.example/{}", "x".repeat(236))).is_ok());
    }

    #[test]
    fn people_see_the_host_and_a_port_that_is_not_the_usual_one() {
        assert_eq!(host("https://app.example/c").as_deref(), Some("app.example"));
        assert_eq!(host("https://app.example:8443/c").as_deref(), Some("app.example:8443"));
        assert_eq!(host("app"), None);
    }

    proptest! {
        #[test]
        fn what_is_accepted_has_one_spelling_in_plain_ascii(text in "https://[!-~\u{80}-\u{ff}]{0,40}") {
            if let Ok(url) = parse(&text) {
                prop_assert_eq!(url.as_str(), &text);
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['#', '\\', '"']));
                let segments = || url.path().split('/');
                prop_assert!(url.path().starts_with('/') && segments().all(|part| part != "." && part != ".."));
                prop_assert!(host(&text).is_some_and(|host| text[SCHEME.len()..].starts_with(&host)));
            }
        }
    }
}
