//! Message authentication codes (HMAC-SHA-256, RFC 2104).

use aws_lc_rs::hmac;

/// The code of `parts` under `key`. Each part is preceded by its length, so different lists of parts never give the
/// same bytes.
#[must_use]
pub fn code(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_follows_from_the_key_and_from_where_the_parts_end() {
        let one = code(&[1; 32], &[b"ab", b"c"]);
        assert_eq!(one, code(&[1; 32], &[b"ab", b"c"]));
        for other in [code(&[2; 32], &[b"ab", b"c"]), code(&[1; 32], &[b"a", b"bc"]), code(&[1; 32], &[b"abc"])] {
            assert_ne!(one, other);
        }
    }
}
