//! PEM (RFC 7468).

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::zeroize::{Zeroize, Zeroizing};
use tokio_rustls::rustls::pki_types::pem::{PemObject, SectionKind};

/// The one `PRIVATE KEY` section (RFC 7468 §10) of a PEM file; `None` if there is none, more than one, another kind or
/// a broken one.
pub(in crate::crypto) fn pkcs8(content: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(content);
    let (kind, der) = sections.next()?.ok()?;
    let der = Zeroizing::new(der);
    let alone = match sections.next() {
        None => true,
        Some(Ok((_, mut second))) => {
            second.zeroize();
            false
        }
        Some(Err(_)) => false,
    };
    (alone && kind == SectionKind::PrivateKey).then_some(der)
}

/// A section with this label.
pub(in crate::crypto::keys) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(encoded.len() * 66 / 64 + 96));
    for part in ["-----BEGIN ", label, "-----\n"] {
        pem.push_str(part);
    }
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    for part in ["-----END ", label, "-----\n"] {
        pem.push_str(part);
    }
    pem
}
