//! One-use secrets are derived from the root secret and the id of their row. So the same email sent twice carries the
//! same secret, and a copy of the database contains none.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::digest::sha256;
use crate::{
    crypto::keys::root_secret::{Purpose as Key, RootSecret},
    domain::one_use_secret::{OneUseDigest, OneUseSecret, Purpose},
};

/// The secret of the row `id`: HMAC-SHA-256 (RFC 2104) over id and purpose. Row ids are never reused, so no two secrets
/// are equal.
///
/// # Panics
/// Never: 32 bytes make 43 characters of base64url.
#[must_use]
pub fn derive(root: &RootSecret, purpose: Purpose, id: Uuid) -> OneUseSecret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, root.derive(Key::OneUseSecret).as_slice());
    let mut message = hmac::Context::with_key(&key);
    // The id always has 16 bytes, so each pair of id and purpose gives different bytes.
    message.update(id.as_bytes());
    message.update(purpose.as_str().as_bytes());
    let text = BASE64_URL_SAFE_NO_PAD.encode(message.sign().as_ref());
    OneUseSecret::parse(&text.into()).expect("32 bytes make 43 characters of base64url")
}

/// The digest that is stored of a secret.
#[must_use]
pub fn digest(secret: &OneUseSecret) -> OneUseDigest {
    OneUseDigest(sha256(secret.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn secret(root: u8, purpose: Purpose, id: u128) -> String {
        let root = RootSecret::new(&[root; 32], DateTime::UNIX_EPOCH);
        derive(&root, purpose, Uuid::from_u128(id)).expose().to_owned()
    }

    #[test]
    fn a_secret_is_that_of_its_root_purpose_and_row_alone() {
        let reset = secret(7, Purpose::PasswordReset, 1);
        assert_eq!(reset, secret(7, Purpose::PasswordReset, 1));
        for other in [
            secret(8, Purpose::PasswordReset, 1),
            secret(7, Purpose::EmailVerification, 1),
            secret(7, Purpose::PasswordReset, 2),
        ] {
            assert_ne!(reset, other);
        }
    }

    #[test]
    fn the_digest_is_that_of_the_text_and_not_the_text() {
        let root = RootSecret::new(&[7; 32], DateTime::UNIX_EPOCH);
        let secret = derive(&root, Purpose::PasswordReset, Uuid::from_u128(1));
        assert_eq!(digest(&secret).0, sha256(secret.expose().as_bytes()));
    }
}
