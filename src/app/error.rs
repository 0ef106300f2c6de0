//! Failures to start.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{
    crypto::{keys::files::KeyError, password::hash::StartError as HasherError},
    domain::identity::ProviderName,
    outbound::email::mailer::MailerError,
    services::{Unavailable, keys::establish::EstablishError},
    store::StoreError,
};
use listener::tls::TlsError;

/// Why the service did not start: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; choose another address with listen, or stop what uses it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        cause: io::Error,
    },
    /// The metrics address cannot be listened on.
    #[error(
        "cannot listen on {address} for the metrics: {cause}; choose another address with metrics_listen, or turn them \
         off with metrics_listen = off"
    )]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        cause: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A folder, or a file in it, cannot be created.
    #[error("cannot use {path}: {cause}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The configuration of a provider is invalid.
    #[error("providers.{0}: {1}")]
    Provider(ProviderName, String),
    /// Another process serves the database.
    #[error("another signet serves this SQLite database (it holds {0}): stop it first, or use Postgres to run several")]
    Locked(PathBuf),
    /// The database cannot be used.
    #[error("{0}; check database_url, and that the database is there")]
    Store(#[from] StoreError),
    /// The schema is older than this version.
    #[error("the database lacks {0} migration(s), and auto_migrate is off: run `signet migrate up`")]
    Unmigrated(usize),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] EstablishError),
    /// The folder of keys cannot be read.
    #[error(transparent)]
    KeyFiles(#[from] KeyError),
    /// The hashing threads cannot start.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The mailer cannot be made.
    #[error(transparent)]
    Mailer(#[from] MailerError),
    /// The caches cannot be loaded from the database.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
