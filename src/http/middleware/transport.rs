//! What a request must be before its route is asked: it came over TLS or from a proxy of ours, and it names one host.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ipnet::IpNet;
use poem::{
    Request,
    http::{HeaderMap, HeaderName, Uri, Version, header, uri::Authority},
};

use crate::http::{errors::failure::Misdirected, extract::body::BodyError};

/// Checks how requests reached the service.
#[derive(Debug, Clone)]
pub(in crate::http) struct Transport {
    /// Whether the listener speaks TLS itself.
    pub(in crate::http) tls: bool,
    /// The networks that may speak plain HTTP, this machine besides; their forwarding fields are trusted.
    pub(in crate::http) trusted_proxies: Vec<IpNet>,
    /// Whether a forwarding field of another peer has been logged.
    pub(in crate::http) has_warned: Arc<AtomicBool>,
}

impl Transport {
    /// Refuses a request whose plain HTTP crossed a network that is no proxy's: what it carries was readable on its way,
    /// and so would the answer be.
    ///
    /// # Errors
    /// [`Misdirected`].
    pub(in crate::http) fn check(&self, request: &Request) -> Result<(), Misdirected> {
        // A request without a peer was made in this process.
        let Some(peer) = request.remote_addr().as_socket_addr() else { return Ok(()) };
        self.check_peer(peer.ip().to_canonical(), request.headers())
    }

    fn check_peer(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Misdirected> {
        let is_trusted = self.trusted_proxies.iter().any(|network| network.contains(&peer));
        if !is_trusted {
            self.warn_of_forwarding(peer, headers);
        }
        if self.tls || is_trusted || peer.is_loopback() { Ok(()) } else { Err(Misdirected) }
    }

    /// Says once that there is a proxy that the configuration does not name.
    fn warn_of_forwarding(&self, peer: IpAddr, headers: &HeaderMap) {
        const FIELDS: [HeaderName; 2] = [header::FORWARDED, HeaderName::from_static("x-forwarded-for")];
        let forwards = FIELDS.iter().any(|field| headers.contains_key(field));
        if forwards && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "the forwarding field of a peer that is not in trusted_proxies was ignored; if it is a proxy of yours, \
                 name its network there: until then all its clients count as one (this is said once)"
            );
        }
    }
}

/// Checks that a request names one host (RFC 9112 §3.2): of two, a proxy in front may have read the other. HTTP/2 carries
/// the host in a field of its own, which the listener's library checks.
///
/// # Errors
/// [`BodyError::Host`].
pub(in crate::http) fn one_host(request: &Request) -> Result<(), BodyError> {
    if request.version() >= Version::HTTP_2 {
        return Ok(());
    }
    let mut fields = request.headers().get_all(header::HOST).iter();
    let host = match (fields.next(), fields.next()) {
        (Some(host), None) => host.to_str().map_err(|_| BodyError::Host)?,
        // HTTP/1.0 has no such field.
        (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
        _ => return Err(BodyError::Host),
    };
    let named = is_authority(host);
    match request.uri().authority() {
        Some(target) if named && same(request.original_uri(), target, host) => Ok(()),
        None if named || host.is_empty() => Ok(()),
        _ => Err(BodyError::Host),
    }
}

fn is_authority(host: &str) -> bool {
    !host.contains('@') && host.parse::<Authority>().is_ok()
}

/// Whether the target of a request in absolute form has the authority that `host` names.
fn same(uri: &Uri, target: &Authority, host: &str) -> bool {
    let default = if uri.scheme_str() == Some("https") { ":443" } else { ":80" };
    let plain = |text: &str| text.to_ascii_lowercase().trim_end_matches(default).to_owned();
    plain(target.as_str()) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_and_for_proxies() {
        let transport = |tls| Transport {
            tls,
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
            has_warned: Arc::default(),
        };
        let admits =
            |tls, peer: &str| transport(tls).check_peer(peer.parse().expect("an address"), &HeaderMap::new()).is_ok();
        for peer in ["127.0.0.1", "127.8.0.1", "::1", "10.1.2.3"] {
            assert!(admits(false, peer), "{peer}");
        }
        for peer in ["192.0.2.2", "2001:db8::1", "0.0.0.0"] {
            assert!(!admits(false, peer) && admits(true, peer), "{peer}");
        }
    }
}
