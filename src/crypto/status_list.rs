//! The compressed bits of a status list token (draft-ietf-oauth-status-list-21 §4).

use std::io::{self, Write};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::{Compression, write::ZlibEncoder};

use crate::domain::status_list::StatusPosition;

/// The draft recommends the highest level (§4.1). Measured for a full list, best of seven on one core:
///
/// | level | 1 % ended      | 5 %            | 20 %           |
/// |-------|----------------|----------------|----------------|
/// | 6     | 16 kB, 4.5 ms  | 49 kB, 6.0 ms  | 99 kB, 3.9 ms  |
/// | 9     | 14 kB, 39 ms   | 47 kB, 71 ms   | 104 kB, 16 ms  |
///
/// Saving the last 2 kB is not worth nine times the work, each time a session ends.
const LEVEL: Compression = Compression::new(6);

/// The `lst` of a list with these bits, `INVALID` (1) or `VALID` (0), §4.2: one for each index, least significant first,
/// as zlib data (RFC 1950) in base64url.
///
/// Every list has [`StatusPosition::LIST_LENGTH`] indexes, so its length does not reveal how many sessions there are:
/// bits that are missing are 0, and bits beyond are dropped.
///
/// # Panics
/// Never: only writing can fail, and writing to memory does not.
#[must_use]
pub fn encode(mut bits: Vec<u8>) -> String {
    bits.resize(StatusPosition::LIST_LENGTH as usize / 8, 0);
    compress(&bits).expect("writing to memory always succeeds")
}

fn compress(bytes: &[u8]) -> io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), LEVEL);
    encoder.write_all(bytes)?;
    encoder.finish().map(|compressed| BASE64_URL_SAFE_NO_PAD.encode(compressed))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, io::Read};

    use flate2::read::ZlibDecoder;
    use proptest::prelude::*;

    use super::*;

    const LAST: u32 = StatusPosition::LIST_LENGTH - 1;

    /// §4.1 and §4.2: 16 indexes in two bytes.
    const SHORT: (&str, &[u32]) = ("eNrbuRgAAhcBXQ", &[0, 3, 4, 5, 7, 8, 9, 13, 15]);

    /// Appendix C.1: 2^20 indexes.
    const LONG: (&str, &[u32]) = (
        "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
         AAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAAD\
         jelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb",
        &[0, 1993, 25460, 159_495, 495_669, 554_353, 645_645, 723_232, 854_545, 934_534, 1_000_345],
    );

    /// The reading of `lst` by a gateway.
    fn decode(lst: &str) -> Vec<u8> {
        let compressed = BASE64_URL_SAFE_NO_PAD.decode(lst).unwrap();
        let mut bytes = Vec::new();
        ZlibDecoder::new(compressed.as_slice()).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn set_indexes(bytes: &[u8]) -> BTreeSet<u32> {
        (0..)
            .zip(bytes)
            .flat_map(|(at, byte)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit))
            .collect()
    }

    /// The bit array of a list of `length` indexes (§4.1).
    fn bits(length: u32, revoked: impl Iterator<Item = u32>) -> Vec<u8> {
        let mut bytes = vec![0; length.div_ceil(8) as usize];
        for index in revoked {
            bytes[index as usize / 8] |= 1 << (index % 8);
        }
        bytes
    }

    /// The `lst` with these indexes set.
    fn encoded(revoked: impl Iterator<Item = u32>) -> String {
        encode(bits(StatusPosition::LIST_LENGTH, revoked))
    }

    #[test]
    fn a_list_is_neither_shorter_nor_longer_than_every_other() {
        for length in [0, 1, 131_071, 131_072, 131_073] {
            assert_eq!(decode(&encode(vec![0xFF; length])).len(), 131_072, "{length}");
        }
    }

    #[test]
    fn the_drafts_vectors_are_reproduced() {
        // Compressors differ, so it is the arrays that are compared.
        assert_eq!(bits(16, SHORT.1.iter().copied()), [0xB9, 0xA3]);
        assert_eq!(decode(&compress(&[0xB9, 0xA3]).unwrap()), decode(SHORT.0));
        assert_eq!(decode(&encoded(LONG.1.iter().copied())), decode(LONG.0));
    }

    #[test]
    fn the_drafts_vectors_are_read_as_the_draft_says() {
        for ((lst, indexes), length) in [(SHORT, 16), (LONG, StatusPosition::LIST_LENGTH)] {
            let bytes = decode(lst);
            assert_eq!(bytes.len() * 8, length as usize);
            assert_eq!(set_indexes(&bytes), indexes.iter().copied().collect());
        }
    }

    #[test]
    fn an_empty_list_and_a_full_one_have_every_place() {
        let empty = encode(Vec::new());
        assert!(empty.len() < 400, "{}", empty.len());
        assert_eq!(decode(&empty), vec![0; 131_072]);
        assert_eq!(decode(&encoded(0..=LAST)), vec![0xFF; 131_072]);
    }

    #[test]
    fn a_list_with_one_in_a_hundred_ended_takes_twenty_odd_kilobytes() {
        // Marsaglia's xorshift, for indexes that are scattered and the same each time.
        let scatter = |x: &u32| {
            let x = x ^ x << 13;
            let x = x ^ x >> 17;
            Some(x ^ x << 5)
        };
        let indexes = std::iter::successors(Some(1), scatter).map(|x| x & LAST);
        let length = encoded(indexes.take(10_486)).len();
        assert!((20_000..25_000).contains(&length), "{length}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_set_of_indexes_is_read_back(indexes in prop::collection::vec(0..=LAST, 0..500)) {
            let lst = encoded(indexes.iter().copied());
            prop_assert!(lst.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{lst}");
            prop_assert_eq!(set_indexes(&decode(&lst)), indexes.into_iter().collect());
        }

        #[test]
        fn a_list_of_any_length_holds_its_places(
            (length, indexes) in (1u32..5000).prop_flat_map(|n| (Just(n), prop::collection::btree_set(0..n, 0..50))),
        ) {
            let bytes = bits(length, indexes.iter().copied());
            prop_assert!((bytes.len() * 8).abs_diff(length as usize) < 8);
            prop_assert_eq!(set_indexes(&decode(&compress(&bytes).unwrap())), indexes);
        }
    }
}
