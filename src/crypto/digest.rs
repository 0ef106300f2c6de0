//! SHA-2 digests, entity tags, and comparison in constant time.

use aws_lc_rs::{constant_time, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// The SHA-256 digest of `bytes` (FIPS 180-4).
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// The SHA-512 digest of `bytes` (FIPS 180-4).
#[must_use]
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    out.copy_from_slice(digest::digest(&digest::SHA512, bytes).as_ref());
    out
}

/// A strong entity tag of `document`, in quotes (RFC 9110 §8.8.3). It depends on the content alone, so replicas agree.
#[must_use]
pub fn entity_tag(document: &str) -> String {
    format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(sha256(document.as_bytes())))
}

/// Whether `a` and `b` are equal, in a time that does not reveal where they differ. Their lengths are not secret.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_that_of_fips_180() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hex: String = sha256(b"abc").iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(hex, abc);
    }

    #[test]
    fn equal_means_the_same_bytes_and_no_prefix_of_them() {
        assert!(equal(b"", b"") && equal(b"secret", b"secret"));
        assert!(!equal(b"secret", b"secreu") && !equal(b"secret", b"secre") && !equal(b"", b"s"));
    }
}
