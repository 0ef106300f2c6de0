//! The certificate of the service. It is read from PEM files, and read again when they change, because the service runs
//! longer than a certificate is valid.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{ClientHello, ParsedCertificate, ResolvesServerCert},
        sign::CertifiedKey,
    },
};

/// How often the files are checked.
const LOOK: Duration = Duration::from_secs(1);

/// Why a certificate cannot be used. Each text names the file and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file does not exist, or the service may not read it.
    #[error("cannot read {}: {source}; check the path and that the service's user may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The certificate file holds no valid PEM certificates.
    #[error("{} is no certificate chain: {reason}; it must hold PEM blocks `CERTIFICATE`, the server's own first", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// The error in the file.
        reason: String,
    },
    /// The key file holds no usable private key.
    #[error("{} is no usable private key: {reason}; it must hold one unencrypted PEM key (PKCS#8, SEC1 or PKCS#1)", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The error in the file.
        reason: String,
    },
    /// The key does not belong to the certificate.
    #[error("the key {} does not belong to the certificate {}; give the key that the certificate was issued for", key.display(), cert.display())]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The cryptographic library refused the set of TLS versions and ciphers.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}

/// A certificate chain with its private key, and the files that they come from.
///
/// Clones share one state: a [`Certificate::reload`] of any of them changes the certificate of new connections.
#[derive(Clone)]
pub struct Certificate(Arc<Shared>);

struct Shared {
    cert: PathBuf,
    key: PathBuf,
    /// The stamps of the files when they were last read.
    judged: Mutex<[Option<FileStamp>; 2]>,
    current: RwLock<Arc<CertifiedKey>>,
}

/// Distinguishes two versions of a file. Mounted secrets change by a symlink to a new folder, often with equal times and
/// sizes, so the real path is compared too.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    real_path: PathBuf,
    modified: Option<SystemTime>,
    length: u64,
}

impl Certificate {
    /// Reads a certificate chain, the server's own certificate first, and its private key (PKCS#8, SEC1 or PKCS#1),
    /// both PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file cannot be read or parsed, or the key does not belong to the certificate.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        // The stamps come first, so that a change during the read is seen at the next check.
        let judged = [FileStamp::at(cert), FileStamp::at(key)];
        let current = RwLock::new(Arc::new(certified_key(cert, key)?));
        Ok(Self(Arc::new(Shared {
            cert: cert.to_path_buf(),
            key: key.to_path_buf(),
            judged: Mutex::new(judged),
            current,
        })))
    }

    /// Reads the files again if they or a symlink on their path changed. Returns true if a new certificate is now in use.
    ///
    /// A broken certificate is reported once, until the files change again. A file that cannot be read is tried and
    /// reported at each call, because the cause may pass by itself.
    ///
    /// # Errors
    ///
    /// Those of [`Certificate::read`]; the certificate in use stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Shared { cert, key, judged, current } = &*self.0;
        let mut judged = judged.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = [FileStamp::at(cert), FileStamp::at(key)];
        if *judged == looks {
            return Ok(false);
        }
        let new = certified_key(cert, key);
        if !matches!(new, Err(TlsError::Unreadable { .. })) {
            *judged = looks;
        }
        *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new?);
        Ok(true)
    }

    /// TLS 1.2 and 1.3 with the certificate that is current at each handshake; HTTP/2 before HTTP/1.1.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.0.cert).field("key", &self.0.key).finish_non_exhaustive()
    }
}

impl FileStamp {
    fn at(path: &Path) -> Option<Self> {
        let real_path = fs::canonicalize(path).ok()?;
        let metadata = fs::metadata(&real_path).ok()?;
        Some(Self { real_path, modified: metadata.modified().ok(), length: metadata.len() })
    }
}

fn certified_key(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain_error = |reason: String| TlsError::Chain { path: cert.into(), reason };
    let key_error = |reason: String| TlsError::Key { path: key.into(), reason };

    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|error| chain_error(in_words(&error).into()))?;
    let own = chain.first().ok_or_else(|| chain_error(in_words(&pem::Error::NoItemsFound).into()))?;
    ParsedCertificate::try_from(own).map_err(|error| chain_error(error.to_string()))?;

    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| key_error(in_words(&error).into()))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { cert: cert.into(), key: key.into() },
        error => key_error(error.to_string()),
    })
}

/// The library's own messages quote the broken line, which may be a whole private key without line breaks.
fn in_words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is none in it",
        pem::Error::MissingSectionEnd { .. } => "a PEM block has no end",
        _ => "its PEM is broken",
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })
}

/// Checks the files each second while it is polled, and loads a changed certificate. Never resolves.
pub(super) async fn keep_current(certificate: Option<Certificate>) {
    let Some(certificate) = certificate else { return std::future::pending().await };
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = None;
    loop {
        ticks.tick().await;
        let reloading = certificate.clone();
        // A secret may be mounted over a network, which must not delay requests.
        // Joining fails only after a panic, which is reported where it happens, or at the end of the runtime.
        let Ok(outcome) = tokio::task::spawn_blocking(move || reloading.reload()).await else { continue };
        reported = match outcome {
            Ok(false) => None,
            Ok(true) => {
                tracing::info!(?certificate, "the TLS certificate changed; new connections get the new one");
                None
            }
            Err(error) => {
                let error = error.to_string();
                if reported.as_ref() != Some(&error) {
                    tracing::error!(error, "the TLS certificate changed and cannot be used; the old one stays");
                }
                Some(error)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(TempDir::new().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn put(&self, name: &str, content: &str) -> PathBuf {
            let path = self.path(name);
            fs::write(&path, content).unwrap();
            path
        }

        fn issue(&self, cert: &str, key: &str) -> (PathBuf, PathBuf) {
            self.issue_for(&["localhost"], cert, key)
        }

        /// Of another length than the first, for both may be written within one tick of the file system's clock.
        fn renew(&self, cert: &str, key: &str) {
            self.issue_for(&["localhost", "renewed.localhost"], cert, key);
        }

        fn issue_for(&self, names: &[&str], cert: &str, key: &str) -> (PathBuf, PathBuf) {
            let names: Vec<_> = names.iter().copied().map(String::from).collect();
            let issued = generate_simple_self_signed(names).unwrap();
            (self.put(cert, &issued.cert.pem()), self.put(key, &issued.signing_key.serialize_pem()))
        }
    }

    fn shown(certificate: &Certificate) -> Vec<u8> {
        certificate.0.current.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_by_name() {
        let folder = Folder::new();
        let (cert, _) = folder.issue("tls.crt", "tls.key");
        let other = folder.put("other.key", &KeyPair::generate().unwrap().serialize_pem());
        let error = Certificate::read(&cert, &other).unwrap_err();
        assert!(matches!(error, TlsError::Mismatch { .. }));
        assert!(error.to_string().contains("other.key") && error.to_string().contains("tls.crt"), "{error}");
    }

    #[test]
    fn an_error_never_quotes_the_key() {
        let folder = Folder::new();
        let (cert, _) = folder.issue("tls.crt", "tls.key");
        // What an environment variable or a careless copy makes of a key: all in one line.
        let one_line = folder.put("one-line.key", "-----BEGIN PRIVATE KEY-----c2VjcmV0-----END PRIVATE KEY-----");
        let error = Certificate::read(&cert, &one_line).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("c2VjcmV0") && !text.contains("45, 45") && text.contains("one-line.key"), "{text}");
    }

    #[test]
    fn every_unusable_file_is_named() {
        let folder = Folder::new();
        let (cert, key) = folder.issue("tls.crt", "tls.key");
        let empty = folder.put("empty.pem", "");
        let garbled = folder.put("garbled.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let bad_key = folder.put("bad-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        for (cert, key, named) in [
            (&folder.path("absent.crt"), &key, "absent.crt"),
            (&cert, &folder.path("absent.key"), "absent.key"),
            (&empty, &key, "empty.pem"),
            (&cert, &empty, "empty.pem"),
            (&garbled, &key, "garbled.pem"),
            (&cert, &bad_key, "bad-key.pem"),
            (&key, &cert, "tls.key"),
        ] {
            let text = Certificate::read(cert, key).unwrap_err().to_string();
            assert!(text.contains(named), "{named}: {text}");
        }
    }

    #[test]
    fn nothing_is_read_again_while_the_files_stay() {
        let folder = Folder::new();
        let (cert, key) = folder.issue("tls.crt", "tls.key");
        let certificate = Certificate::read(&cert, &key).unwrap();
        assert!(!certificate.reload().unwrap());
    }

    #[test]
    fn a_broken_new_file_keeps_the_old_certificate_and_is_reported_once() {
        let folder = Folder::new();
        let (cert, key) = folder.issue("tls.crt", "tls.key");
        let certificate = Certificate::read(&cert, &key).unwrap();
        let old = shown(&certificate);

        folder.put("tls.crt", "half a certif");
        assert!(matches!(certificate.reload(), Err(TlsError::Chain { .. })));
        assert!(!certificate.reload().unwrap());
        assert_eq!(shown(&certificate), old);

        folder.renew("tls.crt", "tls.key");
        assert!(certificate.clone().reload().unwrap());
        assert_ne!(shown(&certificate), old);
    }

    #[test]
    fn a_file_that_is_gone_for_a_while_is_tried_again() {
        let folder = Folder::new();
        let (cert, key) = folder.issue("tls.crt", "tls.key");
        let certificate = Certificate::read(&cert, &key).unwrap();
        fs::remove_file(&key).unwrap();
        assert!(matches!(certificate.reload(), Err(TlsError::Unreadable { .. })));
        assert!(matches!(certificate.reload(), Err(TlsError::Unreadable { .. })));
        folder.renew("tls.crt", "tls.key");
        assert!(certificate.reload().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_that_is_swapped_is_a_change() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new();
        for version in ["v1", "v2"] {
            fs::create_dir(folder.path(version)).unwrap();
            folder.issue(&format!("{version}/tls.crt"), &format!("{version}/tls.key"));
        }
        // As Kubernetes mounts a secret: the files are links through `..data`, which alone is replaced.
        symlink("v1", folder.path("..data")).unwrap();
        symlink("..data/tls.crt", folder.path("tls.crt")).unwrap();
        symlink("..data/tls.key", folder.path("tls.key")).unwrap();
        let certificate = Certificate::read(&folder.path("tls.crt"), &folder.path("tls.key")).unwrap();
        let old = shown(&certificate);

        symlink("v2", folder.path("..new")).unwrap();
        fs::rename(folder.path("..new"), folder.path("..data")).unwrap();
        assert!(certificate.reload().unwrap());
        assert_ne!(shown(&certificate), old);
    }
}
