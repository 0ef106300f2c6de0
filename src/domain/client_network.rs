//! The network that a request comes from: the most that distinguishes one stranger from another.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// One IPv4 address, or the IPv6 addresses that share their first 64 bits. Each host chooses the other 64 bits itself
/// (RFC 4291 §2.5.1), and may change them with every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    /// A single address.
    V4(Ipv4Addr),
    /// The first four groups of an address.
    V6([u16; 4]),
}

impl From<IpAddr> for ClientNetwork {
    /// An IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2) is that IPv4 address; otherwise all of IPv4 would be one
    /// network.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [first, second, third, fourth, ..] = address.segments();
                Self::V6([first, second, third, fourth])
            }
        }
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(address) => write!(f, "{address}/32"),
            Self::V6([first, second, third, fourth]) => {
                write!(f, "{}/64", Ipv6Addr::new(first, second, third, fourth, 0, 0, 0, 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> String {
        ClientNetwork::from(address.parse::<IpAddr>().expect("an address")).to_string()
    }

    #[test]
    fn every_ipv4_address_is_a_network_however_it_is_written() {
        assert_eq!(network("203.0.113.9"), "203.0.113.9/32");
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.9/32");
        assert_ne!(network("::ffff:203.0.113.9"), network("::ffff:203.0.113.10"));
    }

    #[test]
    fn ipv6_addresses_are_one_network_up_to_64_bits() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
