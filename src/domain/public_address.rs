//! Which IP addresses are public, so that a stranger may have us connect to them. The others lead to this machine, to the
//! operator's network or to a cloud's own services: server-side request forgery (OWASP) begins there.
//!
//! The tables follow IANA's registries of special-purpose addresses (RFC 6890). They refuse more than those registries:
//! whatever is not ordinary unicast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are not public, with the length of their prefixes.
const V4: [(Ipv4Addr, u32); 18] = [
    // "This network" (RFC 791 §3.2): Linux connects 0.0.0.0 to this machine.
    (Ipv4Addr::UNSPECIFIED, 8),
    // Private use (RFC 1918).
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Behind the NAT of a provider (RFC 6598); some clouds have their metadata service here.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback (RFC 1122 §3.2.1.3).
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local (RFC 3927), with the metadata service of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // The host's own services in Azure, at an address that is nobody else's.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // IETF protocol assignments (RFC 6890 §2.1).
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation (RFC 5737).
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // AS112 (RFC 7534, RFC 7535) and 6to4 relays (RFC 7526): no web servers.
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarking (RFC 2544).
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast (RFC 5771).
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and broadcast (RFC 1112 §4, RFC 919).
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Global unicast (RFC 4291 §2.4). IANA gives out IPv6 addresses from here alone; loopback, unique local, link-local and
/// multicast addresses lie outside.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// IPv6 networks within [`GLOBAL_V6`] that are not public.
const V6: [(Ipv6Addr, u32); 5] = [
    // IETF protocol assignments (RFC 2928), Teredo among them (RFC 4380), which wraps IPv4 addresses.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation (RFC 3849, RFC 9637).
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4 (RFC 3056), which wraps IPv4 addresses. It is not in use any more (RFC 7526).
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // AS112 (RFC 7534).
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
];

/// The prefix under which networks without IPv4 reach IPv4 addresses (NAT64, RFC 6052 §2.1).
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether an address is public. An IPv6 address that stands for an IPv4 address is judged as that one.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match (address.to_ipv4_mapped(), is_in_v6(address, NAT64)) {
            (Some(mapped), _) => is_public_v4(mapped),
            (None, true) => {
                let [.., a, b, c, d] = address.octets();
                is_public_v4(Ipv4Addr::new(a, b, c, d))
            }
            (None, false) => is_in_v6(address, GLOBAL_V6) && !V6.into_iter().any(|network| is_in_v6(address, network)),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !V4.into_iter().any(|(network, length)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= length)
}

fn is_in_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn judged(text: &str) -> bool {
        is_public(text.parse().expect("an address"))
    }

    #[test]
    fn what_leads_to_us_or_to_the_operators_network_is_not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!judged(address), "{address}");
        }
    }

    #[test]
    fn servers_on_the_internet_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "168.63.129.17",
            "192.167.255.255",
            "192.169.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2606:4700::1111",
            "2a00:1450:4001:80b::200e",
        ] {
            assert!(judged(address), "{address}");
        }
    }

    proptest! {
        #[test]
        fn no_address_of_a_refused_network_is_public(index in 0..V4.len(), host in any::<u32>()) {
            let (network, length) = V4[index];
            let within = host & u32::MAX.checked_shr(length).unwrap_or(0);
            let address = Ipv4Addr::from_bits(network.to_bits() | within);
            prop_assert!(!is_public(address.into()), "{}", address);
        }

        #[test]
        fn no_address_of_a_refused_ipv6_network_is_public(index in 0..V6.len(), host in any::<u128>()) {
            let (network, length) = V6[index];
            let address = Ipv6Addr::from_bits(network.to_bits() | (host & (u128::MAX >> length)));
            prop_assert!(!is_public(address.into()), "{}", address);
        }

        #[test]
        fn a_wrapped_address_is_judged_as_the_one_within(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            let expected = is_public(address.into());
            prop_assert_eq!(is_public(address.to_ipv6_mapped().into()), expected);
            let nat64 = Ipv6Addr::from_bits(NAT64.0.to_bits() | u128::from(bits));
            prop_assert_eq!(is_public(nat64.into()), expected);
        }

        /// The standard library knows some of the kinds.
        #[test]
        fn nothing_that_the_standard_library_calls_special_is_public(v4 in any::<u32>(), v6 in any::<u128>()) {
            let (v4, v6) = (Ipv4Addr::from_bits(v4), Ipv6Addr::from_bits(v6));
            let special = v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!(special && is_public(v4.into())), "{}", v4);
            let special = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local()
                || v6.is_unicast_link_local();
            prop_assert!(!(special && is_public(v6.into())), "{}", v6);
        }
    }
}
