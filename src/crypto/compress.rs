//! Compression of what a browser carries (RFC 1951).
//!
//! Compress nothing secret together with what somebody else chose: the length would tell one about the other.

use std::io::{self, Read, Write};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

/// Compresses `plain`.
///
/// # Panics
/// Never: only writing can fail, and writing to memory does not.
#[must_use]
pub fn deflate(plain: &[u8]) -> Vec<u8> {
    let written = || -> io::Result<Vec<u8>> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain)?;
        encoder.finish()
    };
    written().expect("writing to memory always succeeds")
}

/// Decompresses `bytes`; `None` if they are no compressed text, or one of more than `most` bytes.
#[must_use]
pub fn inflate(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut decoder = DeflateDecoder::new(bytes).take(most as u64 + 1);
    decoder.read_to_end(&mut plain).ok()?;
    (plain.len() <= most).then_some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_in_few_bytes_is_not_unfolded() {
        let short = deflate(&vec![0; 1_000_000]);
        assert!(short.len() < 2000, "{}", short.len());
        assert_eq!(inflate(&short, 999_999), None);
        assert_eq!(inflate(&short, 1_000_000).map(|plain| plain.len()), Some(1_000_000));
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(plain in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(inflate(&deflate(&plain), 3000), Some(plain));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = inflate(&bytes, 1000);
        }
    }
}
