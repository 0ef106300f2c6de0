//! Builds every room once, and introduces them to one another: the only place that knows them all.

use std::{
    fs::{DirBuilder, File, TryLockError},
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    config::{Config, Registration},
    crypto::{
        jwt::Jwt,
        key_files::{self, KeyError},
        keyring::Keyring,
        password_hash::{HashParameters, PasswordHasher, StartError as HasherError},
        random::Random,
    },
    domain::{clock::Clock, password_policy::PasswordPolicy, session::Lifetimes},
    flow::{
        Trouble,
        account::Account,
        authenticate::Authenticate,
        bearer::Bearer,
        change_password::ChangePassword,
        client_credentials::ClientCredentials,
        clients::Clients,
        end_session::EndSession,
        establish_keys::{self, EstablishError},
        issue::Issue,
        log_in::LogIn,
        refresh::Refresh,
        register::Register,
        sessions::Sessions,
        userinfo::Userinfo,
    },
    http::{self, Flows, Setting},
    server::{
        Server,
        tls::{Certificate, TlsError},
    },
    store::{self, Database, StoreError, revocations::Revocations, schema},
};

/// How long requests in flight may take to finish once the service stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the folder of keys is looked at: a change is felt within two seconds.
const KEY_POLL: Duration = Duration::from_secs(1);

/// A running service.
#[derive(Debug)]
pub struct Signet {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _lock: Option<File>,
}

/// Why the service did not start. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}; choose another address with listen, or stop what uses it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A folder cannot be made, or a file in it.
    #[error("cannot use {path}: {cause}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Another service has the database.
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
    /// What is remembered cannot be loaded.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Signet {
    /// Starts the service: when this returns it listens, and whatever it needs is there.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let lock = prepare_files(&config)?;
        let certificate = config.tls.as_ref().map(|files| Certificate::read(&files.cert, &files.key)).transpose()?;
        // Before anything slow: the issuer may follow from the port, and a taken port is told at once.
        let server = Server::bind(config.listen, certificate)
            .await
            .map_err(|cause| StartError::Listen { address: config.listen, cause })?;
        let address = server.address();

        let (db, direct) = connect(&config).await?;
        if config.auto_migrate {
            schema::up(&direct).await?;
        } else {
            let missing = schema::status(&direct).await?.iter().filter(|step| !step.applied).count();
            if missing > 0 {
                return Err(StartError::Unmigrated(missing));
            }
        }
        let keys = establish_keys::run(&direct, &config.keys_dir, config.signing_algorithm, &clock).await?;
        drop(direct);
        let keyring = Arc::new(Keyring::new(config.keys_dir.clone(), keys));

        let wired = wire(&config, address, db, Arc::clone(&keyring), clock)?;
        wired.end_session.load().await?;

        let endpoint = http::endpoint(wired.flows, wired.setting);
        let (stop, stopped) = oneshot::channel();
        let watching = tokio::spawn(watch_keys(keyring));
        let serving = tokio::spawn(async move {
            // Whether it is told or the sender is gone: either is the end.
            let stopped = async move { stopped.await.unwrap_or(()) };
            server.run(endpoint, stopped, DRAIN).await;
            watching.abort();
        });
        tracing::info!(%address, "listening");
        Ok(Self { address, stop, serving, _lock: lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets what is in flight finish within a bound, and returns.
    pub async fn stop(self) {
        if self.stop.send(()).is_err() {
            tracing::warn!("the listener had stopped by itself");
        }
        if let Err(cause) = self.serving.await {
            tracing::error!(%cause, "the listener broke");
        }
    }
}

/// What the commands need of the rooms: the database with its clients, and nothing that listens.
#[derive(Debug)]
pub struct Office {
    /// Clients.
    pub clients: Clients,
}

impl Office {
    /// Opens the database, migrated as `serve` would.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let (db, direct) = connect(config).await?;
        if config.auto_migrate {
            schema::up(&direct).await?;
        }
        let end_session = EndSession { db: db.clone(), revocations: Revocations::default(), clock: clock.clone() };
        Ok(Self { clients: Clients { db, end_session, random: Random, clock } })
    }
}

/// The schema's connection, for `signet migrate`.
///
/// # Errors
/// [`StartError`].
pub async fn schema_connection(config: &Config) -> Result<Database, StartError> {
    prepare_data_dir(config)?;
    Ok(store::connect(&config.database_listen_url).await?)
}

/// The `OpenAPI` document of a service so configured. It takes no database.
///
/// # Errors
/// [`StartError`].
pub fn openapi(config: &Config, clock: Arc<dyn Clock>) -> Result<String, StartError> {
    let keyring = Arc::new(Keyring::new(PathBuf::new(), key_files::read(Path::new(""))?));
    let wired = wire(config, config.listen, Database::default(), keyring, clock)?;
    Ok(http::openapi(wired.flows, &wired.setting))
}

/// The rooms, introduced to one another.
struct Wired {
    flows: Flows,
    setting: Setting,
    end_session: EndSession,
}

fn wire(
    config: &Config,
    address: SocketAddr,
    db: Database,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
) -> Result<Wired, StartError> {
    let issuer = config.issuer.clone().unwrap_or_else(|| format!("http://{address}"));
    let lifetimes = Lifetimes {
        access_token: config.access_token_ttl,
        refresh_token: config.refresh_token_ttl,
        session: config.session_ttl,
        grace: config.refresh_grace,
    };
    let parameters = HashParameters {
        memory_kib: config.password.memory_kib,
        iterations: config.password.iterations,
        parallelism: config.password.parallelism,
    };
    let hasher = PasswordHasher::start(parameters, config.password.workers, config.password.max_wait)?;
    let policy = PasswordPolicy { min_length: config.password.min_length };
    let random = Random;
    let jwt = Arc::new(Jwt::new(Arc::clone(&keyring), issuer.clone(), config.signing_algorithm));
    let revocations = Revocations::default();
    let issue = Issue {
        jwt: Arc::clone(&jwt),
        random: random.clone(),
        audience: config.audience.clone().unwrap_or_else(|| issuer.clone()),
        issuer: issuer.clone(),
        lifetimes,
    };
    let end_session = EndSession { db: db.clone(), revocations: revocations.clone(), clock: clock.clone() };
    let authenticate = Authenticate { db: db.clone(), hasher: hasher.clone() };
    let bearer =
        Bearer { jwt: Arc::clone(&jwt), revocations, db: db.clone(), clock: clock.clone(), issuer: issuer.clone() };
    let flows = Flows {
        account: Account {
            db: db.clone(),
            authenticate: authenticate.clone(),
            end_session: end_session.clone(),
            clock: clock.clone(),
        },
        change_password: ChangePassword {
            authenticate: authenticate.clone(),
            hasher: hasher.clone(),
            policy,
            end_session: end_session.clone(),
            db: db.clone(),
        },
        client_credentials: ClientCredentials { issue: issue.clone(), clock: clock.clone() },
        clients: Clients {
            db: db.clone(),
            end_session: end_session.clone(),
            random: random.clone(),
            clock: clock.clone(),
        },
        log_in: LogIn {
            authenticate,
            issue: issue.clone(),
            db: db.clone(),
            random: random.clone(),
            clock: clock.clone(),
        },
        refresh: Refresh { jwt, issue, end_session: end_session.clone(), db: db.clone(), clock: clock.clone() },
        register: Register {
            db: db.clone(),
            hasher,
            policy,
            random: random.clone(),
            clock: clock.clone(),
            open: config.registration == Registration::Open,
        },
        sessions: Sessions { db: db.clone(), end_session: end_session.clone(), clock: clock.clone() },
        userinfo: Userinfo { bearer: bearer.clone(), db: db.clone() },
        bearer,
    };
    let setting = Setting { issuer, algorithm: config.signing_algorithm, keyring, db, clock, random };
    Ok(Wired { flows, setting, end_session })
}

/// The pool that requests share, and a direct connection for migrations and locks, which may be the same.
async fn connect(config: &Config) -> Result<(Database, Database), StartError> {
    prepare_data_dir(config)?;
    let db = store::connect(&config.database_url).await?;
    let same = config.database_url.expose_secret() == config.database_listen_url.expose_secret();
    let direct = if same { db.clone() } else { store::connect(&config.database_listen_url).await? };
    Ok((db, direct))
}

/// Makes the folders, and takes the lock of a `SQLite` database: one service a file.
fn prepare_files(config: &Config) -> Result<Option<File>, StartError> {
    prepare_data_dir(config)?;
    let Some(database) = sqlite_file(&config.database_url) else { return Ok(None) };
    let mut name = database.into_os_string();
    name.push(".lock");
    let path = PathBuf::from(name);
    let cannot = |cause| StartError::Folder { path: path.clone(), cause };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked(path)),
        Err(TryLockError::Error(cause)) => Err(cannot(cause)),
    }
}

/// Makes the data folder, and the one of a `SQLite` file, where they are missing: readable to nobody else.
fn prepare_data_dir(config: &Config) -> Result<(), StartError> {
    let database = sqlite_file(&config.database_url);
    let beside = database.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    for folder in [Some(config.data_dir.as_path()), beside].into_iter().flatten() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|cause| StartError::Folder { path: folder.to_owned(), cause })?;
    }
    Ok(())
}

/// The file of a `SQLite` URL.
fn sqlite_file(url: &SecretString) -> Option<PathBuf> {
    let path = url.expose_secret().strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    Some(PathBuf::from(path))
}

/// Feels changes of the folder of keys. A folder that went bad is told once, and the last good keys stay.
async fn watch_keys(keyring: Arc<Keyring>) {
    let mut told = None;
    let mut tick = tokio::time::interval(KEY_POLL);
    loop {
        tick.tick().await;
        let keyring = Arc::clone(&keyring);
        let read = tokio::task::spawn_blocking(move || {
            keyring.reload().map(|changed| changed.then(|| keyring.current().kids().join(", ")))
        });
        match read.await {
            Ok(Ok(changed)) => {
                if let Some(kids) = changed {
                    tracing::info!(kids, "keys changed");
                }
                told = None;
            }
            Ok(Err(error)) => {
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::error!(cause = text, "the folder of keys is not good; the last good keys stay");
                    told = Some(text);
                }
            }
            Err(cause) => tracing::error!(%cause, "the folder of keys was not read"),
        }
    }
}
