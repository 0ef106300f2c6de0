//! The `Forwarded` field (RFC 7239), as far as it tells where a request comes from.
//!
//! It is read here since the crates for it split at every comma and semicolon, those in a quoted `host` too: a client
//! would forge its address with a name of its choosing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The addresses that a line of the field names, its last element first; `None` for an element that names none. A line
/// that is not well-formed is one such element: where its parts end, nobody can say.
pub(in crate::http) fn hops(line: &str) -> Vec<Option<IpAddr>> {
    elements(line).map_or_else(
        || vec![None],
        |mut hops| {
            hops.reverse();
            hops
        },
    )
}

/// An address with a port or without, an IPv6 one in brackets or, in the usual field, bare. `None` for everything else:
/// `unknown`, and names that proxies make up (§6.3).
pub(in crate::http) fn node(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port)
}

/// The elements of a line, first to last (§4); `None` where it is not well-formed.
fn elements(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut rest = line.trim_matches([' ', '\t']);
    let mut hops = Vec::new();
    loop {
        let mut hop = None;
        let mut named = false;
        loop {
            let (name, after) = rest.split_once('=')?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let (value, after) = value(after)?;
            if name.eq_ignore_ascii_case("for") {
                // Given twice, it says nothing.
                if named {
                    return None;
                }
                (named, hop) = (true, node(&value));
            }
            rest = after.trim_start_matches([' ', '\t']);
            match rest.strip_prefix(';') {
                Some(more) => rest = more.trim_start_matches([' ', '\t']),
                None => break,
            }
        }
        hops.push(hop);
        if rest.is_empty() {
            return Some(hops);
        }
        rest = rest.strip_prefix(',')?.trim_start_matches([' ', '\t']);
    }
}

/// A token or a quoted string (RFC 9110 §5.6.2, §5.6.4), and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !u8::try_from(c).is_ok_and(is_token)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resolved(line: &str) -> Vec<String> {
        hops(line).into_iter().map(|hop| hop.map_or_else(|| "?".to_owned(), |address| address.to_string())).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        assert_eq!(resolved("for=\"_gazonk\""), ["?"]);
        assert_eq!(resolved("For=\"[2001:db8:cafe::17]:4711\""), ["2001:db8:cafe::17"]);
        assert_eq!(resolved("for=192.0.2.60;proto=http;by=203.0.113.43"), ["192.0.2.60"]);
        assert_eq!(resolved("for=192.0.2.43, for=198.51.100.17"), ["198.51.100.17", "192.0.2.43"]);
        assert_eq!(
            resolved("for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown"),
            ["?", "2001:db8:cafe::17", "192.0.2.43"]
        );
        assert_eq!(resolved("by=203.0.113.43"), ["?"]);
    }

    #[test]
    fn what_is_quoted_parts_nothing() {
        assert_eq!(resolved(r#"for=192.0.2.1;host="a,for=198.51.100.1""#), ["192.0.2.1"]);
        assert_eq!(resolved(r#"for=192.0.2.1;host="a\",for=198.51.100.1""#), ["192.0.2.1"]);
    }

    #[test]
    fn a_malformed_line_names_nobody() {
        for line in [
            "",
            "for",
            "for=",
            "=192.0.2.1",
            "for=192.0.2.1,",
            "for=192.0.2.1;",
            "for=192.0.2.1;;proto=http",
            r#"for="192.0.2.1"#,
            r#"host="x, for=192.0.2.1"#,
            r#"host="x\"#,
            "for=192.0.2.1 for=192.0.2.2",
            "for=192.0.2.1;for=192.0.2.2",
            "for =192.0.2.1",
            "for=[2001:db8::1]",
        ] {
            assert_eq!(resolved(line), ["?"], "{line}");
        }
    }

    proptest! {
        #[test]
        fn an_element_that_our_proxy_adds_is_read_or_nothing_is(before in "[ -~]{0,40}") {
            let resolved = resolved(&format!("{before}, for=192.0.2.1"));
            prop_assert!(resolved[0] == "192.0.2.1" || resolved == ["?"], "{resolved:?}");
        }

        #[test]
        fn no_line_makes_it_panic(line in "\\PC{0,60}") {
            let _ = hops(&line);
        }
    }
}
