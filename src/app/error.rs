//! Failures to start.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{
    crypto::{keys::files::KeyError, password::hash::StartError as HasherError},
    domain::identity::ProviderName,
    outbound::email::mailer::MailerError,
    services::{Unavailable, keys::establish::EstablishError},
    store::{StoreError, schema::SchemaError},
};
use listener::tls::TlsError;

/// The reason why the service did not start: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The service cannot listen on the address.
    #[error("cannot listen on {address}: {cause}; choose another address with listen, or stop what uses it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        cause: io::Error,
    },
    /// The service cannot listen on the metrics address.
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
    /// The SQLite file does not exist, and the command does not create one.
    #[error(
        "there is no database at {}: run this where the service runs, or set database_url or data_dir as it has them \
         (`signet migrate up` makes a new one)",
        .0.display()
    )]
    NoDatabase(PathBuf),
    /// Others can read or write the SQLite file.
    #[error("{} can be read or written by others, and that cannot be changed ({cause}); run: chmod 600 {}", path.display(), path.display())]
    ExposedDatabase {
        /// The database, or a file of its journal.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The database cannot be copied to this file.
    #[error("cannot write {}: {cause}", path.display())]
    Backup {
        /// The copy.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// Only SQLite databases are copied.
    #[error("signet backup copies SQLite databases; for PostgreSQL use pg_dump, or its archive of the write-ahead log")]
    BackupOfPostgres,
    /// The database cannot be used.
    #[error("{0}; check database_url, and that the database is there")]
    Store(#[from] StoreError),
    /// The schema is newer than this version, or in use.
    #[error(transparent)]
    Schema(SchemaError),
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

impl From<SchemaError> for StartError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Store(error) => Self::Store(error),
            SchemaError::Newer(_) | SchemaError::InUse(_) => Self::Schema(error),
        }
    }
}

impl StartError {
    /// Whether the fault is in the configuration, or in a file or folder that it names.
    #[must_use]
    pub fn is_of_the_configuration(&self) -> bool {
        match self {
            Self::Keys(EstablishError::Keys(error)) | Self::KeyFiles(error) => error.is_of_the_folder(),
            Self::Keys(
                EstablishError::Lost { .. } | EstablishError::Foreign { .. } | EstablishError::Unidentified { .. },
            )
            | Self::Tls(_)
            | Self::Provider(..)
            | Self::BackupOfPostgres => true,
            Self::Keys(EstablishError::Unavailable(_))
            | Self::Listen { .. }
            | Self::Metrics { .. }
            | Self::Folder { .. }
            | Self::Locked(_)
            | Self::NoDatabase(_)
            | Self::ExposedDatabase { .. }
            | Self::Backup { .. }
            | Self::Store(_)
            | Self::Schema(_)
            | Self::Unmigrated(_)
            | Self::Hasher(_)
            | Self::Mailer(_)
            | Self::Unavailable(_) => false,
        }
    }
}
