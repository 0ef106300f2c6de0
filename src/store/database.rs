//! Connections and transactions on either database.

use std::{
    fs::File,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions,
    sqlx::{
        self, Connection as _,
        postgres::{PgConnectOptions, PgConnection},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    StoreError,
    connection::{Connections, Database, Transaction},
    guard::Guard,
    postgres::Pool,
};

/// How long a request waits for a connection, and a connection for its server: far less than a client waits for us.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a SQLite statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// The name by which Postgres lists our connections.
pub(super) const APPLICATION: &str = "signet";

/// The use of a pool of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Answering requests: no statement may take longer than a client waits.
    Requests,
    /// Ending sessions: a logout must get through while other requests hold all of their connections. Their number is
    /// also how many ends can load the database at once.
    Revocations,
    /// Following the changes of other replicas, and the readiness probe: without them no token can be judged.
    Follower,
    /// Migrations, and waiting for the migration lock.
    Schema,
}

impl Use {
    /// The most connections to Postgres. Statements take milliseconds, so a replica needs few, and many replicas share
    /// one Postgres.
    fn postgres_connections(self) -> u32 {
        match self {
            Self::Requests => 16,
            Self::Revocations => 4,
            Self::Follower => 2,
            Self::Schema => 1,
        }
    }

    /// The most connections to a SQLite file, which has one writer at a time; the others read beside it.
    fn sqlite_connections(self) -> u32 {
        match self {
            Self::Requests | Self::Schema => 4,
            Self::Revocations | Self::Follower => 2,
        }
    }
}

/// The pools of a running service. None can take the connections of another.
#[derive(Debug, Clone, Default)]
pub struct Pools {
    /// See [`Use::Requests`].
    pub requests: Database,
    /// See [`Use::Revocations`].
    pub revocations: Database,
    /// See [`Use::Follower`].
    pub follower: Database,
}

impl Pools {
    /// Opens the database at `url`, as [`connect`] does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be reached or opened.
    pub async fn connect(url: &SecretString) -> Result<Self, StoreError> {
        let requests = connect(url, Use::Requests).await?;
        // One guard: what one pool finds out of the server holds for all.
        let guard = &requests.guard;
        Ok(Self {
            revocations: open(url, Use::Revocations, guard).await?,
            follower: open(url, Use::Follower, guard).await?,
            requests,
        })
    }

    /// One pool for every use, for a command.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be reached or opened.
    pub async fn connect_one(url: &SecretString) -> Result<Self, StoreError> {
        let db = connect(url, Use::Requests).await?;
        Ok(Self { requests: db.clone(), revocations: db.clone(), follower: db })
    }
}

/// Timeouts enforced by Postgres, which hold even when the client is gone: no abandoned statement may hold a connection
/// or lock for long, and no transaction may outlast the period that replicas read again.
const REQUEST_BOUNDS: [(&str, &str); 3] =
    [("statement_timeout", "4s"), ("lock_timeout", "3s"), ("idle_in_transaction_session_timeout", "4s")];
/// A migration may take long, and so may a replica that waits for it.
const SCHEMA_BOUNDS: [(&str, &str); 2] = [("statement_timeout", "10min"), ("lock_timeout", "2min")];

/// Opens the database at `url` (`sqlite:` or `postgres:`). With `mode=rwc` a missing SQLite file is created, readable
/// by its owner alone whatever its folder allows.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be reached or opened.
pub async fn connect(url: &SecretString, r#use: Use) -> Result<Database, StoreError> {
    if let Some(file) = sqlite_file(url).filter(|_| url.expose_secret().contains("mode=rwc")) {
        create_private(&file).map_err(|cause| not_connected(sqlx::Error::Io(cause)))?;
    }
    let is_sqlite = url.expose_secret().starts_with("sqlite:");
    if !is_sqlite {
        can_connect(url.expose_secret()).await?;
    }
    // A SQLite statement has no server that could hang.
    let guard = if is_sqlite || r#use == Use::Schema { Guard::default() } else { Guard::of_requests() };
    open(url, r#use, &guard).await
}

/// Opens a pool whose statements `guard` watches.
async fn open(url: &SecretString, r#use: Use, guard: &Guard) -> Result<Database, StoreError> {
    let url = url.expose_secret();
    if r#use != Use::Schema && !url.starts_with("sqlite:") {
        let options: PgConnectOptions = url.parse().map_err(not_connected)?;
        let options = options.application_name(APPLICATION).options(REQUEST_BOUNDS);
        let pool = Pool::new(options, r#use.postgres_connections(), ACQUIRE_TIMEOUT, guard.clone());
        return Ok(Database { connections: Connections::Postgres(Arc::new(pool)), guard: guard.clone() });
    }
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false).acquire_timeout(ACQUIRE_TIMEOUT).connect_timeout(ACQUIRE_TIMEOUT);
    if url.starts_with("sqlite:") {
        options.max_connections(r#use.sqlite_connections()).map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                // WAL with NORMAL may lose the last commits in a power cut; an acknowledged change must not be lost.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
        });
    } else {
        options
            .max_connections(r#use.postgres_connections())
            .map_sqlx_postgres_opts(move |postgres| postgres.application_name(APPLICATION).options(SCHEMA_BOUNDS));
    }
    let connections = Connections::SeaOrm(sea_orm::Database::connect(options).await?);
    Ok(Database { connections, guard: guard.clone() })
}

fn not_connected(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}

/// Connects once, outside of the pool: that tries a closed port again and again until its time-out, and then does not
/// say why it failed.
async fn can_connect(url: &str) -> Result<(), StoreError> {
    let connect = async {
        let options: PgConnectOptions = url.parse()?;
        PgConnection::connect_with(&options.application_name(APPLICATION)).await?.close().await
    };
    match tokio::time::timeout(ACQUIRE_TIMEOUT, connect).await {
        Ok(connected) => Ok(connected.map_err(not_connected)?),
        Err(_) => Err(not_connected(sqlx::Error::Io(io::ErrorKind::TimedOut.into())).into()),
    }
}

/// Creates the database file for its owner alone; SQLite gives its journals the same mode. An existing file stays
/// untouched.
///
/// An existing file must never be opened here. When a process closes any descriptor of a file, Linux drops all POSIX
/// locks of that process on it, SQLite's own among them. Another program that then opens and closes the database takes
/// itself for the last user and deletes the write-ahead log, with every commit in it. (`O_EXCL` fails on an existing
/// file without opening it.)
fn create_private(file: &Path) -> io::Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Closes every connection, and waits for it. Dropping a [`Database`] closes them some time later.
///
/// # Errors
/// [`StoreError::Unavailable`] if a connection does not close cleanly.
pub async fn close(db: Database) -> Result<(), StoreError> {
    Ok(db.close().await?)
}

/// Opens a transaction that may write. On SQLite it is `IMMEDIATE`: a transaction that reads first and writes later
/// fails with "database is locked" if another wrote in between.
///
/// # Errors
/// [`StoreError::Unavailable`] if no connection is free in time.
pub async fn begin(db: &Database) -> Result<Transaction, StoreError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let db = db.clone();
    // Runs in a task of its own, since it must not be cancelled halfway: the Postgres driver counts a transaction only
    // from the answer to BEGIN. A request cancelled before that would return its connection with the transaction open,
    // and later writes through it would never be committed. (Seen with 4 of 100 clients that hung up.)
    let begun = tokio::spawn(db.begin(options)).await;
    Ok(begun.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))??)
}

/// Makes the transaction's changes durable.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database did not confirm; it may have committed all the same.
pub async fn commit(transaction: Transaction) -> Result<(), StoreError> {
    Ok(transaction.commit().await?)
}

/// The numbers of used and of idle connections of the pool.
#[must_use]
pub fn connections(db: &Database) -> (u32, u32) {
    db.counts()
}

/// The file of a SQLite URL; `None` for Postgres.
#[must_use]
pub fn sqlite_file(url: &SecretString) -> Option<PathBuf> {
    let options: SqliteConnectOptions =
        url.expose_secret().strip_prefix("sqlite:").map(|_| url)?.expose_secret().parse().ok()?;
    Some(options.get_filename().to_owned())
}

pub(super) fn is_postgres(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Postgres
}
