//! Authenticated encryption (AES-256-GCM, NIST SP 800-38D) of state that a browser carries, and can neither read nor
//! change.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// Encrypts `plain` under `key`, as base64url. `context` names its use; it decrypts with the same context only.
///
/// Nonces are random. Below 2^32 texts for each key a repeated nonce is negligible (SP 800-38D §8.3); a busy service
/// encrypts a few for each login.
///
/// # Panics
/// Never: aws-lc refuses only plaintexts of 64 GiB and more.
#[must_use]
pub fn seal(key: &[u8; 32], context: &[u8], plain: &[u8]) -> String {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes");
    let mut text = plain.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut text).expect("the plaintext is short");
    let mut sealed = nonce.as_ref().to_vec();
    sealed.extend(text);
    BASE64_URL_SAFE_NO_PAD.encode(sealed)
}

/// Decrypts a text that was encrypted under `key` for `context`; `None` for any other text.
#[must_use]
pub fn open(key: &[u8; 32], context: &[u8], sealed: &str) -> Option<Vec<u8>> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(context), &mut text).ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_key_and_for_its_context_alone() {
        let sealed = seal(&[1; 32], b"login", b"plain");
        assert_eq!(open(&[1; 32], b"login", &sealed).as_deref(), Some(&b"plain"[..]));
        assert_eq!(open(&[2; 32], b"login", &sealed), None);
        assert_eq!(open(&[1; 32], b"logout", &sealed), None);
        assert_ne!(sealed, seal(&[1; 32], b"login", b"plain"), "nobody sees that two are the same");
    }

    proptest! {
        #[test]
        fn no_edit_of_it_opens(at in 0_usize..100, letter in "[A-Za-z0-9_=-]") {
            let sealed = seal(&[1; 32], b"login", b"plain");
            let at = at % sealed.len();
            let mut edited = sealed.clone();
            edited.replace_range(at..=at, &letter);
            prop_assert!(edited == sealed || open(&[1; 32], b"login", &edited).is_none());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            prop_assert_eq!(open(&[1; 32], b"login", &text), None);
        }
    }
}
