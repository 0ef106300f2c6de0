//! Known devices: a signed cookie marks a browser in which the account's owner has logged in before. It grants no
//! access; it only keeps failed passwords of strangers from locking that device out. The database stores nothing of it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::{digest, mac};
use crate::{
    crypto::keys::{
        root_secret::{Purpose, RootSecret},
        set::KeySet,
    },
    domain::{client_info::KNOWN_FOR, ids::UserId, password_hash::PasswordHash},
};

/// How far ahead the clock of the replica that made a token may be.
const SKEW: TimeDelta = TimeDelta::seconds(30);
/// Account, device, time and password; then their MAC.
const LENGTH: usize = 16 + 16 + 8 + 16 + 32;
/// A longer text is refused before it is decoded.
const LONGEST_TEXT: usize = 256;

/// A device with which a user has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDevice {
    user: UserId,
    device: Uuid,
    /// A fingerprint of the password's hash, so that a new password ends the token.
    password: [u8; 16],
}

impl KnownDevice {
    /// The device that has just logged in to `user`, whose password has the hash `proof`.
    #[must_use]
    pub fn new(user: UserId, device: Uuid, proof: &PasswordHash) -> Self {
        Self { user, device, password: fingerprint(proof) }
    }

    /// Parses a token `KID.BASE64URL`, if one of `keys` made it within the last 180 days.
    #[must_use]
    pub fn open(keys: &KeySet, text: &str, now: DateTime<Utc>) -> Option<Self> {
        let (kid, sealed) = text.split_once('.').filter(|_| text.len() <= LONGEST_TEXT)?;
        let root = keys.find_root_secret(kid)?;
        let bytes: [u8; LENGTH] = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?.try_into().ok()?;
        let (signed, code) = bytes.split_last_chunk::<32>()?;
        if !digest::equal(&mac::code(&root.derive(Purpose::KnownDevice), &[signed]), code) {
            return None;
        }
        let (user, rest) = signed.split_first_chunk()?;
        let (device, rest) = rest.split_first_chunk()?;
        let (made_at, rest) = rest.split_first_chunk()?;
        let made_at = DateTime::from_timestamp(i64::from_be_bytes(*made_at), 0)?;
        if made_at > now + SKEW || now >= made_at + KNOWN_FOR {
            return None;
        }
        Some(Self {
            user: UserId(Uuid::from_bytes(*user)),
            device: Uuid::from_bytes(*device),
            password: rest.try_into().ok()?,
        })
    }

    /// The device, if it has logged in to `user` with the password of the hash `proof`.
    #[must_use]
    pub fn of(&self, user: UserId, proof: &PasswordHash) -> Option<Uuid> {
        (self.user == user && digest::equal(&self.password, &fingerprint(proof))).then_some(self.device)
    }

    /// The token, made at `now`.
    #[must_use]
    pub fn seal(&self, root: &RootSecret, now: DateTime<Utc>) -> SecretString {
        let made_at = now.timestamp().to_be_bytes();
        let mut bytes = [self.user.0.as_bytes().as_slice(), self.device.as_bytes(), &made_at, &self.password].concat();
        bytes.extend(mac::code(&root.derive(Purpose::KnownDevice), &[&bytes]));
        format!("{}.{}", root.kid(), BASE64_URL_SAFE_NO_PAD.encode(bytes)).into()
    }
}

/// Distinguishes passwords and reveals nothing of them: the hash has a random salt.
fn fingerprint(proof: &PasswordHash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&digest::sha256(proof.as_str().as_bytes())[..16]);
    out
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const USER: UserId = UserId(Uuid::from_u128(1));

    fn keys(secret: u8) -> KeySet {
        KeySet::of(vec![], vec![RootSecret::new(&[secret; 32], NOW)])
    }

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::from_stored(text.to_owned())
    }

    fn sealed(keys: &KeySet) -> String {
        let device = KnownDevice::new(USER, Uuid::from_u128(2), &hash("one"));
        device.seal(&keys.root_secrets()[0].key, NOW).expose_secret().to_owned()
    }

    #[test]
    fn a_device_is_known_for_its_account_its_password_and_its_time() {
        let keys = keys(1);
        let text = sealed(&keys);
        let open = |now| KnownDevice::open(&keys, &text, now);
        let known = open(NOW).expect("it was just made");
        assert_eq!(known.of(USER, &hash("one")), Some(Uuid::from_u128(2)));
        assert_eq!(known.of(UserId(Uuid::from_u128(3)), &hash("one")), None);
        assert_eq!(known.of(USER, &hash("two")), None);
        assert!(open(NOW + KNOWN_FOR - TimeDelta::seconds(1)).is_some());
        assert!(open(NOW + KNOWN_FOR).is_none() && open(NOW - TimeDelta::minutes(1)).is_none());
    }

    #[test]
    fn no_text_but_ours_is_a_token() {
        let keys = keys(1);
        let text = sealed(&keys);
        assert!(text.len() <= LONGEST_TEXT);
        for at in 0..text.len() {
            for other in ["A", "b", ".", "="] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                let opened = KnownDevice::open(&keys, &changed, NOW);
                assert!(changed == text || opened.is_none(), "{changed}");
            }
        }
        for other in ["", ".", &format!("{text}A"), &"A".repeat(10_000)] {
            assert!(KnownDevice::open(&keys, other, NOW).is_none());
        }
        assert!(KnownDevice::open(&self::keys(2), &text, NOW).is_none(), "another service's");
    }
}
