//! Resource indicators (RFC 8707): when two spellings name one resource.

use std::borrow::Cow;

/// Whether `one` and `other` name the same resource. The comparison normalizes the case of scheme and host, the
/// scheme's default port and a lone slash after the host (RFC 3986 §6.2.2.1, §6.2.3).
///
/// Nothing else is normalized: percent-encoding, dot segments and every other path are compared byte by byte, as the
/// resource server compares `aud`.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    one == other || normalized(one) == normalized(other)
}

/// The one resource in `asked`, which separates several resources by spaces; `None` if they differ.
#[must_use]
pub fn only_one(asked: &str) -> Option<&str> {
    let mut all = asked.split(' ').filter(|name| !name.is_empty());
    let first = all.next()?;
    all.all(|name| is_same(name, first)).then_some(first)
}

fn normalized(resource: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = resource.split_once("://") else { return resource.into() };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return resource.into();
    }
    let scheme = scheme.to_ascii_lowercase();
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // User information does not belong to the host, and its case matters.
    let (user, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let host = host.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => "\0",
    };
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    let rest = if rest == "/" { "" } else { rest };
    format!("{scheme}://{user}{host}{rest}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rfc_3986_calls_equal_is_one_resource() {
        for (one, other) in [
            ("https://api.example", "https://api.example/"),
            ("https://api.example", "HTTPS://API.EXAMPLE:443"),
            ("http://api.example:80/x", "http://api.example/x"),
            ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]"),
            ("urn:example:orders", "urn:example:orders"),
            ("orders", "orders"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn what_differs_otherwise_is_another_one() {
        for (one, other) in [
            ("https://api.example/x", "https://api.example/x/"),
            ("https://api.example/x", "https://api.example/X"),
            ("https://api.example/x", "https://api.example/%78"),
            ("https://api.example/x", "https://api.example/y/../x"),
            ("https://api.example", "http://api.example"),
            ("https://api.example", "https://api.example:80"),
            ("http://api.example", "http://api.example:443"),
            ("https://api.example", "https://api.example?"),
            ("https://api.example", "https://api.example#"),
            ("https://api.example", "https://api.example//"),
            ("https://ada@api.example", "https://ADA@api.example"),
            ("https://api.example@evil.example", "https://api.example"),
            ("https://api.example:443@evil.example", "https://api.example@evil.example"),
            ("orders", "Orders"),
            ("orders", "orders/"),
            ("urn:example:orders", "URN:example:orders"),
        ] {
            assert!(!is_same(one, other) && !is_same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn one_named_twice_is_one_and_two_are_none() {
        assert_eq!(only_one("https://a.example"), Some("https://a.example"));
        assert_eq!(only_one("https://a.example https://A.example/"), Some("https://a.example"));
        assert_eq!(only_one("https://a.example https://b.example"), None);
        assert_eq!(only_one(" "), None);
    }
}
