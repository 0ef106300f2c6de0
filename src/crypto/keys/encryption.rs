//! Key files encrypted with a passphrase: PBES2 (RFC 8018 §6.2), as `openssl pkcs8 -topk8` writes it.
//!
//! The PEM section `ENCRYPTED PRIVATE KEY` (RFC 7468 §11) of a signing key holds its PKCS#8; that of a root secret holds its
//! line. There is no MAC: a wrong passphrase shows in that what comes out is no key.

use std::{num::NonZeroU32, path::Path};

use aws_lc_rs::{
    cipher::{
        AES_128, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
        UnboundCipherKey,
    },
    iv::FixedLength,
    pbkdf2,
};
use pkcs8::{
    EncryptedPrivateKeyInfoRef,
    der::{Encode, asn1::OctetStringRef, pem::decode_vec},
    pkcs5::{
        EncryptionScheme,
        pbes2::{self, Kdf, Pbkdf2Prf},
    },
};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::crypto::{
    keys::{error::KeyError, pem::encode},
    random::Random,
};

const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Rounds of PBKDF2-HMAC-SHA-256 for new files (OWASP's cheat sheet on password storage).
const ROUNDS: u32 = 600_000;

/// The most rounds that are read: some seconds.
const MOST_ROUNDS: u32 = 10_000_000;

/// Whether a file is encrypted.
pub(in crate::crypto::keys) fn is_sealed(content: &[u8]) -> bool {
    let begin = format!("-----BEGIN {LABEL}-----");
    content.windows(begin.len()).any(|window| window == begin.as_bytes())
}

/// What an encrypted file holds; `None` if the file is not encrypted.
pub(in crate::crypto::keys) fn open(
    path: &Path,
    content: &[u8],
    passphrase: Option<&SecretString>,
) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    if !is_sealed(content) {
        return Ok(None);
    }
    let passphrase = passphrase.ok_or_else(|| KeyError::NoPassphrase { path: path.to_owned() })?;
    let broken = || KeyError::BrokenPem { path: path.to_owned() };
    let (_, der) = decode_vec(content).ok().filter(|(label, _)| *label == LABEL).ok_or_else(broken)?;
    let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| broken())?;
    let unknown = || KeyError::UnknownEncryption { path: path.to_owned() };
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else { return Err(unknown()) };
    let (algorithm, length, iv) = match parameters.encryption {
        pbes2::EncryptionScheme::Aes128Cbc { iv } => (&AES_128, 16, iv),
        pbes2::EncryptionScheme::Aes256Cbc { iv } => (&AES_256, 32, iv),
        _ => return Err(unknown()),
    };
    let key = derive(&parameters.kdf, length, passphrase).ok_or_else(unknown)?;
    let mut text = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let plain = UnboundCipherKey::new(algorithm, &key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7).and_then(|key| {
        key.decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(iv))).map(|plain| plain.to_vec())
    });
    plain.map(Zeroizing::new).map(Some).map_err(|_| KeyError::WrongPassphrase { path: path.to_owned() })
}

/// Encrypts `plain` under a new salt.
pub(in crate::crypto::keys) fn seal(plain: &[u8], passphrase: &SecretString) -> Result<Zeroizing<String>, KeyError> {
    let (salt, iv): ([u8; 16], [u8; 16]) = (Random.bytes(), Random.bytes());
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv);
    let parameters = parameters.map_err(|_| KeyError::NotMade)?;
    let key = derive(&parameters.kdf, 32, passphrase).ok_or(KeyError::NotMade)?;
    let mut text = plain.to_vec();
    UnboundCipherKey::new(&AES_256, &key)
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|key| key.less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(iv))))
        .map_err(|_| KeyError::NotMade)?;
    let data = OctetStringRef::new(&text).map_err(|_| KeyError::NotMade)?;
    let info = EncryptedPrivateKeyInfoRef { encryption_algorithm: parameters.into(), encrypted_data: data };
    Ok(encode(LABEL, &info.to_der().map_err(|_| KeyError::NotMade)?))
}

/// The key for a cipher that needs `length` bytes; `None` if the parameters are not supported.
fn derive(kdf: &Kdf, length: usize, passphrase: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let Kdf::Pbkdf2(parameters) = kdf else { return None };
    let algorithm = match parameters.prf {
        Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return None,
    };
    let rounds = NonZeroU32::new(parameters.iteration_count).filter(|rounds| rounds.get() <= MOST_ROUNDS)?;
    let fits = parameters.key_length.is_none_or(|given| usize::from(given) == length);
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(algorithm, rounds, parameters.salt.as_bytes(), passphrase.expose_secret().as_bytes(), &mut key);
    fits.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIM9fNAHDNjYDiI48PH13zDVJDiY8Kj7M6ERHGxl2tT59\n\
        -----END PRIVATE KEY-----";

    /// `openssl pkcs8 -topk8 -v2 aes-256-cbc`, `-v2 aes-128-cbc -v2prf hmacWithSHA512` and `-scrypt` of that key.
    const SEALED: [&str; 3] = [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
        MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgI4sl59a3rhgICCAAw\n\
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEC8oxtPocpQJpmXQfYslSYEEQMmv\n\
        VVS721Xz8Oq996caNc4n2Qntsl2Fwtnjw/5bU5vGgUHMfNc9h+7k8zFlLDwYV/H+\n\
        ZcCPOvMt8j4gNC2XDVA=\n\
        -----END ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
        MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgFfjX3o6QaNwICCAAw\n\
        DAYIKoZIhvcNAgsFADAdBglghkgBZQMEAQIEENW2oydEFcMMVcsKLw5TRMgEQD8M\n\
        RIiOYRUIkvm6cHouAbcwyhWlSG9oGBzDM/xts31hX6G+tFecGiz9NqTfjbqXnkq+\n\
        uewsNtFxujLOeO0JeJ4=\n\
        -----END ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
        MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAjT5JeBkMQlQwICQAAC\n\
        AQgCAQEwHQYJYIZIAWUDBAEqBBCtNNTcU+PRKMwifp3eYQUTBEBs4z7YEcWEknqI\n\
        A6HmMzxEpflCLAvQ5C2ykzM6iWoizpO5KeKX3OnfvdvwudPb3V9LL9Ib4Bcs9pze\n\
        moqj+qYo\n\
        -----END ENCRYPTED PRIVATE KEY-----",
    ];

    #[test]
    fn what_openssl_encrypts_is_read() {
        let (path, passphrase) = (Path::new("k.pem"), SecretString::from("correct horse"));
        let plain = crate::crypto::keys::pem::pkcs8(PLAIN.as_bytes()).unwrap();
        for sealed in &SEALED[..2] {
            assert_eq!(open(path, sealed.as_bytes(), Some(&passphrase)).unwrap().unwrap(), plain);
        }
        let unknown = open(path, SEALED[2].as_bytes(), Some(&passphrase));
        assert!(matches!(unknown, Err(KeyError::UnknownEncryption { .. })));
    }

    #[test]
    fn a_sealed_text_opens_with_its_passphrase_alone() {
        let (right, wrong) = (SecretString::from("correct horse"), SecretString::from("wrong horse"));
        let path = Path::new("k.pem");
        let sealed = seal(b"the private half", &right).unwrap();
        assert!(is_sealed(sealed.as_bytes()) && !sealed.contains("private half"));
        let opened = open(path, sealed.as_bytes(), Some(&right)).unwrap().unwrap();
        assert_eq!(opened.as_slice(), b"the private half");
        assert!(matches!(open(path, sealed.as_bytes(), None), Err(KeyError::NoPassphrase { .. })));
        match open(path, sealed.as_bytes(), Some(&wrong)) {
            Err(KeyError::WrongPassphrase { .. }) => {}
            // The padding of noise is right once in 256 times.
            other => assert_ne!(other.unwrap().unwrap().as_slice(), b"the private half"),
        }
        assert_ne!(*seal(b"the private half", &right).unwrap(), *sealed, "each has a salt of its own");
        assert!(open(path, b"-----BEGIN PRIVATE KEY-----", Some(&right)).unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let passphrase = SecretString::from("correct horse");
        let sealed = seal(b"the private half", &passphrase).unwrap();
        let cut: String = sealed.lines().take(2).collect();
        for text in [cut, sealed.replacen("MI", "!!", 1), format!("{}{}", *sealed, "x")] {
            assert!(open(Path::new("k.pem"), text.as_bytes(), Some(&passphrase)).is_err(), "{text}");
        }
    }
}
