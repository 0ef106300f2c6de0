//! The client of a request: its address, its program and its device, for the session list and the log.

use std::net::IpAddr;

use ipnet::IpNet;
use poem::{
    FromRequest, Request, RequestBody,
    http::{HeaderMap, HeaderName, header},
};

use crate::{
    domain::client_info::ClientInfo,
    http::{
        extract::cookies::{Cookies, DEVICE},
        middleware::forwarded,
    },
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address, as [`client_address`] found it once for the request.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct ClientAddress(pub(in crate::http) IpAddr);

/// The `User-Agent`, the client's address, and the token of a known device.
#[derive(Debug)]
pub(in crate::http) struct RequestOrigin(pub(in crate::http) ClientInfo);

/// The longest `User-Agent` that is kept, in characters.
const USER_AGENT: usize = 200;

impl<'a> FromRequest<'a> for RequestOrigin {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let user_agent = user_agent.map(|text| text.chars().filter(|c| !c.is_control()).take(USER_AGENT).collect());
        let ip = request.extensions().get::<ClientAddress>().map(|address| address.0.to_string());
        let device = request.data::<Cookies>().and_then(|cookies| cookies.find(request, DEVICE)).map(Into::into);
        Ok(Self(ClientInfo { user_agent, ip, device }))
    }
}

/// The address of the client that a request comes from.
///
/// It is the peer's, unless the peer is one of `trusted_proxies`: then `X-Forwarded-For` or `Forwarded` (RFC 7239) is
/// read from its right end, where each proxy wrote its own peer, up to the first address that is not a trusted
/// proxy. A client may have forged every entry left of it.
///
/// A proxy maintains one of the two fields and passes the other through. If they disagree, a client may have forged one
/// of them: then both are ignored, and the peer is the client.
pub(in crate::http) fn client_address(request: &Request, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr()?.ip().to_canonical();
    Some(resolve_client_ip(peer, request.headers(), trusted_proxies))
}

fn resolve_client_ip(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let lines = |name: HeaderName| headers.get_all(name).iter().rev().map(|field| field.to_str().unwrap_or_default());
    let listed = lines(X_FORWARDED_FOR).flat_map(|line| line.rsplit(',')).map(|hop| forwarded::node(hop.trim()));
    let forwarded = lines(header::FORWARDED).flat_map(forwarded::hops);
    let clients = [
        headers.contains_key(X_FORWARDED_FOR).then(|| walk_forwarded(peer, listed, trusted_proxies)),
        headers.contains_key(header::FORWARDED).then(|| walk_forwarded(peer, forwarded, trusted_proxies)),
    ];
    match clients {
        [Some(one), Some(other)] if one != other => peer,
        [Some(client), _] | [None, Some(client)] => client,
        [None, None] => peer,
    }
}

/// Follows `hops`, the nearest first, as far as trusted proxies wrote them. A hop that is not an address (`None`) ends
/// the walk at the proxy before it.
fn walk_forwarded(peer: IpAddr, mut hops: impl Iterator<Item = Option<IpAddr>>, trusted_proxies: &[IpNet]) -> IpAddr {
    let mut client = peer;
    while trusted_proxies.iter().any(|network| network.contains(&client)) {
        let Some(hop) = hops.next().flatten() else { break };
        client = hop.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::properties;

    fn walked(peer: &str, fields: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(X_FORWARDED_FOR, field.parse().expect("a header field"));
        }
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        resolve_client_ip(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    fn forwarded(fields: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, field) in fields {
            headers.append(*name, field.parse().expect("a header field"));
        }
        resolve_client_ip([10, 0, 0, 1].into(), &headers, &["10.0.0.0/8".parse().expect("a network")]).to_string()
    }

    #[test]
    fn the_standard_field_is_walked_as_the_usual_one_is() {
        assert_eq!(forwarded(&[("forwarded", "for=198.51.100.1, For=\"203.0.113.9:81\";proto=https")]), "203.0.113.9");
        assert_eq!(forwarded(&[("forwarded", "for=203.0.113.9"), ("forwarded", "for=10.0.0.7")]), "203.0.113.9");
        assert_eq!(forwarded(&[("forwarded", "for=198.51.100.1, for=_hidden")]), "10.0.0.1");
        assert_eq!(forwarded(&[("forwarded", "for=203.0.113.9;host=\"a,for=198.51.100.1\"")]), "203.0.113.9");
    }

    #[test]
    fn a_field_that_the_proxy_only_hands_through_is_not_believed() {
        let usual = ("x-forwarded-for", "203.0.113.9");
        assert_eq!(forwarded(&[usual, ("forwarded", "for=198.51.100.1")]), "10.0.0.1");
        assert_eq!(forwarded(&[usual, ("forwarded", "")]), "10.0.0.1");
        assert_eq!(forwarded(&[usual, ("forwarded", "for=203.0.113.9")]), "203.0.113.9", "a proxy that keeps both");
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_cannot_say_where_it_comes_from() {
        assert_eq!(walked("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(walked("203.0.113.9", &["10.0.0.1, 10.0.0.2"]), "203.0.113.9");
    }

    #[test]
    fn what_a_client_writes_left_of_its_own_address_is_not_believed() {
        assert_eq!(walked("10.0.0.1", &["198.51.100.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(walked("10.0.0.1", &["198.51.100.1", "203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(walked("10.0.0.1", &["198.51.100.1, 203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(walked("fd00::1", &["198.51.100.1, [2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(walked("fd00::1", &["198.51.100.1,2001:db8::7,fd00::2"]), "2001:db8::7");
    }

    #[test]
    fn what_is_no_address_ends_the_walk_at_the_proxy_that_let_it_through() {
        for hop in
            ["", "unknown", "203.0.113.9:x", "203.0.113.9:", "203.0.113.9 10.0.0.2", "\"203.0.113.9\"", "_hidden"]
        {
            assert_eq!(walked("10.0.0.1", &[&format!("198.51.100.1, {hop}")]), "10.0.0.1", "{hop:?}");
        }
    }

    #[test]
    fn without_a_field_the_proxy_itself_is_the_client() {
        assert_eq!(walked("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(walked("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "all of them are proxies");
        assert_eq!(walked("10.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
    }
    /// Addresses on both sides of the trusted networks, in every spelling that is one, and what is none.
    fn hop() -> impl Strategy<Value = String> {
        prop_oneof![
            "10\\.[0-9]\\.0\\.[0-9]{1,2}",
            "(203|198)\\.0\\.113\\.[0-9]{1,2}",
            any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
            "fd00::[0-9a-f]{1,4}",
            "::ffff:(10|203)\\.0\\.0\\.[0-9]",
            Just("unknown".to_owned()),
            "[ -~]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn nobody_but_a_trusted_proxy_says_where_a_request_comes_from(
            peer in hop(),
            fields in prop::collection::vec(prop::collection::vec(hop(), 0..4).prop_map(|hops| hops.join(", ")), 0..3),
        ) {
            properties::forwarded(format!("{peer}\n{}", fields.join("\n")).as_bytes());
        }
    }
}
