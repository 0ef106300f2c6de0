//! A status list: what has become of tokens, a few bits each (Token Status List, draft-ietf-oauth-status-list).

use std::{io::Read, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::read::ZlibDecoder;
use serde::Deserialize;

use crate::claims::MAX_SKEW;

/// The longest status list, unpacked, in bytes: 64 million tokens of one bit.
const MAX_LIST: usize = 8 * 1024 * 1024;
/// The longest status list token in bytes: a list that does not compress, in base64url twice.
pub(crate) const MAX_STATUS_LIST_TOKEN: usize = MAX_LIST / 9 * 16 + 64 * 1024;
/// The `typ` of a status list token (§5.1).
pub(crate) const TYP: &str = "statuslist+jwt";

/// A status list, with what its token says of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StatusList {
    /// Where it is published, which is its name too.
    pub(crate) uri: String,
    bits: u8,
    bytes: Vec<u8>,
    /// When it was issued.
    pub(crate) iat: i64,
    /// When it ends.
    pub(crate) exp: i64,
    /// How long it should be kept before it is fetched again.
    pub(crate) ttl: Option<Duration>,
    /// The document's entity tag.
    pub(crate) etag: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iss: Option<String>,
    iat: i64,
    /// Only recommended by the draft; without it there would be no time at which an old list stops to be believed.
    exp: i64,
    ttl: Option<u64>,
    status_list: Packed,
}

#[derive(Deserialize)]
struct Packed {
    bits: u8,
    lst: String,
}

impl StatusList {
    /// Reads the payload of a status list token whose signature has been verified (§5.1, §8.3), at `now`.
    ///
    /// # Errors
    /// Says what is wrong with it: a list whose name is not `wanted`, another issuer's, not in its time, or not to be
    /// unpacked within the limit.
    pub(crate) fn read(
        payload: &[u8],
        wanted: impl FnOnce(&str) -> bool,
        issuer: &str,
        now: i64,
        etag: Option<String>,
    ) -> Result<Self, &'static str> {
        let claims: Claims = serde_json::from_slice(payload).map_err(|_| "the claims cannot be read")?;
        if !wanted(&claims.sub) {
            return Err("it is another status list (sub)");
        }
        if claims.iss.as_ref().is_some_and(|iss| iss != issuer) {
            return Err("it is another issuer's (iss)");
        }
        if claims.iat > now.saturating_add(MAX_SKEW) {
            return Err("it is of the future (iat)");
        }
        if claims.exp <= now {
            return Err("it has expired (exp)");
        }
        let Packed { bits, lst } = &claims.status_list;
        let bits = *bits;
        if ![1, 2, 4, 8].contains(&bits) {
            return Err("bits is not 1, 2, 4 or 8");
        }
        let bytes = unpack(lst, MAX_LIST)?;
        let Claims { sub: uri, iat, exp, ttl, .. } = claims;
        Ok(Self { uri, bits, bytes, iat, exp, ttl: ttl.map(Duration::from_secs), etag })
    }

    /// The status at an index, which counts from the least significant bit of the first byte (§4.1); 0 is `VALID`
    /// (§7.1). `None` past the end.
    pub(crate) fn status(&self, idx: u64) -> Option<u8> {
        let bit = idx.checked_mul(u64::from(self.bits))?;
        let byte = *self.bytes.get(usize::try_from(bit / 8).ok()?)?;
        Some((byte >> (bit % 8)) & (u8::MAX >> (8 - self.bits)))
    }
}

/// Unpacks base64url of zlib (§4.2), of at most `limit` bytes: a few of them may stand for gigabytes.
fn unpack(lst: &str, limit: usize) -> Result<Vec<u8>, &'static str> {
    let packed = BASE64_URL_SAFE_NO_PAD.decode(lst).map_err(|_| "lst is not base64url")?;
    let mut bytes = Vec::new();
    let mut reader = ZlibDecoder::new(packed.as_slice()).take(limit as u64 + 1);
    reader.read_to_end(&mut bytes).map_err(|_| "lst is not zlib")?;
    if bytes.len() > limit { Err("the list is too long") } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const URI: &str = "https://id.example.com/oauth/status-lists/1";
    const ISSUER: &str = "https://id.example.com";

    fn pack(bytes: &[u8]) -> String {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        BASE64_URL_SAFE_NO_PAD.encode(encoder.finish().unwrap())
    }

    fn read(change: impl FnOnce(&mut Value)) -> Result<StatusList, &'static str> {
        let mut claims = json!({
            "sub": URI, "iat": 1_000, "exp": 2_000, "ttl": 43_200,
            "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}
        });
        change(&mut claims);
        StatusList::read(claims.to_string().as_bytes(), |sub| sub == URI, ISSUER, 1_500, None)
    }

    fn statuses(list: &StatusList) -> Vec<u8> {
        (0..).map_while(|idx| list.status(idx)).collect()
    }

    fn of(bits: u8, lst: &str) -> StatusList {
        read(|claims| claims["status_list"] = json!({"bits": bits, "lst": lst})).unwrap()
    }

    /// The examples of §4.1, byte for byte (0xB9 0xA3 and 0xC9 0x44 0xF9).
    #[test]
    fn the_examples_of_the_draft_are_read() {
        let one = of(1, "eNrbuRgAAhcBXQ");
        assert_eq!(one.bytes, [0xB9, 0xA3]);
        assert_eq!(statuses(&one), [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        let two = of(2, "eNo76fITAAPfAgc");
        assert_eq!(two.bytes, [0xC9, 0x44, 0xF9]);
        assert_eq!(statuses(&two), [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
    }

    /// The one-bit test vector of the draft's appendix: 2^20 tokens, of which eleven are invalid.
    #[test]
    fn the_test_vector_of_a_million_tokens_is_read() {
        let list = of(
            1,
            "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAA\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAA\
             AJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb",
        );
        assert_eq!(list.bytes.len() * 8, 1 << 20);
        let invalid: Vec<_> = (0..1 << 20).filter(|idx| list.status(*idx) != Some(0)).collect();
        let expected = [0, 1993, 25460, 159_495, 495_669, 554_353, 645_645, 723_232, 854_545, 934_534, 1_000_345];
        assert_eq!(invalid, expected);
        assert_eq!((list.status(1 << 20), list.status(u64::MAX)), (None, None));
    }

    #[test]
    fn a_bomb_is_put_out_at_its_limit() {
        let bomb = pack(&vec![0; MAX_LIST + 1]);
        assert!(bomb.len() < 20_000, "eight megabytes in {}", bomb.len());
        assert_eq!(read(|claims| claims["status_list"]["lst"] = bomb.into()), Err("the list is too long"));
        assert_eq!(of(1, &pack(&vec![0; MAX_LIST])).bytes.len(), MAX_LIST);
    }

    #[test]
    fn the_longest_list_that_does_not_compress_fits_its_token() {
        // Stored blocks add five bytes each 16 kB or more, and base64url a third, twice.
        let stored = MAX_LIST + MAX_LIST / 16_000 * 5 + 16;
        assert!(stored.div_ceil(3) * 4 / 3 * 4 + 1_000 < MAX_STATUS_LIST_TOKEN);
    }

    #[test]
    fn a_list_that_is_not_the_one_asked_for_is_refused() {
        let refusals: [(&str, Value); 9] = [
            ("sub", json!("https://id.example.com/oauth/status-lists/2")),
            ("iss", json!("https://evil.example.com")),
            ("iat", json!(1_531)),
            ("exp", json!(1_500)),
            ("exp", Value::Null),
            ("iat", Value::Null),
            ("ttl", json!(-1)),
            ("status_list", json!({"bits": 3, "lst": "eNrbuRgAAhcBXQ"})),
            ("status_list", json!({"bits": 1, "lst": "eNrbuRgAAhcBXA"})),
        ];
        for (name, value) in refusals {
            assert!(read(|claims| claims[name] = value.clone()).is_err(), "{name}: {value}");
        }
        assert!(read(|claims| claims["iss"] = ISSUER.into()).is_ok());
        assert!(read(|claims| claims["ttl"] = Value::Null).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read(bits in prop::sample::select(vec![1_u8, 2, 4, 8]), statuses in prop::collection::vec(any::<u8>(), 1..200)) {
            let per_byte = usize::from(8 / bits);
            let mask = u8::MAX >> (8 - bits);
            let mut bytes = vec![0; statuses.len().div_ceil(per_byte)];
            for (idx, status) in statuses.iter().enumerate() {
                let shift = idx % per_byte * usize::from(bits);
                bytes[idx / per_byte] |= (status & mask) << shift;
            }
            let list = of(bits, &pack(&bytes));
            for (idx, status) in statuses.iter().enumerate() {
                prop_assert_eq!(list.status(idx as u64), Some(status & mask));
            }
        }

        #[test]
        fn no_list_is_too_wild_to_be_refused(lst in "[A-Za-z0-9_-]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // Whatever comes of it, it comes without a panic.
            let _ = (unpack(&lst, 100), unpack(&BASE64_URL_SAFE_NO_PAD.encode(bytes), 100));
        }
    }
}
