//! The one source of randomness.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::{Builder, Uuid};

/// Draws from aws-lc's generator, which the operating system seeds.
#[derive(Clone, Debug, Default)]
pub struct Random;

impl Random {
    /// `N` random bytes.
    ///
    /// # Panics
    /// Never: aws-lc's `RAND_bytes` does not fail. If the system gives no entropy, it aborts the process.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[expect(clippy::disallowed_methods, reason = "this is the seam that everyone else uses")]
        aws_lc_rs::rand::fill(&mut bytes).expect("RAND_bytes always succeeds");
        bytes
    }

    /// An identifier that sorts by `now` (RFC 9562 §5.7), with 74 random bits.
    #[must_use]
    pub fn uuid_v7(&self, now: DateTime<Utc>) -> Uuid {
        let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(milliseconds, &self.bytes()).into_uuid()
    }

    /// A `jti` (RFC 7519 §4.1.7): 128 random bits, 22 characters of base64url.
    #[must_use]
    pub fn token_id(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.bytes::<16>())
    }

    /// An unguessable secret: 256 random bits, 43 characters of base64url.
    #[must_use]
    pub fn secret(&self) -> SecretString {
        BASE64_URL_SAFE_NO_PAD.encode(self.bytes::<32>()).into()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn nothing_is_drawn_twice() {
        assert_ne!(Random.bytes::<16>(), Random.bytes::<16>());
        assert_ne!(Random.token_id(), Random.token_id());
        assert_ne!(Random.secret().expose_secret(), Random.secret().expose_secret());
    }

    #[test]
    fn identifiers_and_secrets_have_the_length_that_carries_their_bits() {
        assert_eq!(Random.token_id().len(), 22);
        assert_eq!(Random.secret().expose_secret().len(), 43);
    }

    #[test]
    fn uuids_are_of_version_7_and_sort_by_time() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let first = Random.uuid_v7(now);
        assert_eq!(first.get_version_num(), 7);
        assert!(first < Random.uuid_v7(now + TimeDelta::milliseconds(1)));
        assert_eq!(Random.uuid_v7(DateTime::UNIX_EPOCH - TimeDelta::days(1)).get_version_num(), 7, "before 1970");
    }
}
