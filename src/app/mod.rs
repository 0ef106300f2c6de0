//! Builds every room once, and introduces them to one another: the only place that knows them all.

mod error;
mod files;
pub(crate) mod schema;
mod wiring;

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinHandle};

pub use self::error::StartError;
use self::{files::prepare_files, wiring::Core};
use crate::{
    config::{ClientRegistration, Config},
    crypto::{
        keys::{
            files::{self as key_files, KeyKind},
            ring::Keyring,
        },
        random::Random,
    },
    domain::{client::Client, clock::Clock, signing_key::SigningAlgorithm},
    http,
    services::{
        admin::accounts::Administer, background::follow_changes, clients::Clients, keys::establish,
        metrics::MetricsSnapshot,
    },
    store::{self, Database, Use},
};
use listener::{Server, tls::Certificate};

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
        let metrics_server = bind_metrics(&config).await?;

        let direct = schema::connect(&config).await?;
        schema::migrate(&config, &direct).await?;
        let strangers = dynamic_client_algorithms(&config);
        let kinds = establish::kinds(&direct, config.signing_algorithm, strangers).await?;
        let keys = establish::run(&direct, &config.keys_dir, &kinds, &clock).await?;
        store::close(direct).await?;
        let db = store::connect(&config.database_url, Use::Requests).await?;
        let keyring = Arc::new(Keyring::new(config.keys_dir.clone(), keys));

        // On the heap: it is held while the rest is awaited.
        let wired = Box::new(wiring::wire(Core::new(&config, address, db, &clock), Arc::clone(&keyring))?);
        tracing::info!(to = %wired.deliver_mail.mailer, "mail");
        wired.changes.load().await?;

        let endpoint = http::endpoint(wired.services, wired.http);
        let (stop, stopped) = oneshot::channel();
        // These end with the service, wherever they are.
        let background = [
            tokio::spawn(watch_keys(keyring)),
            tokio::spawn(follow_changes::run(wired.changes, config.database_listen_url.clone())),
            tokio::spawn(wired.prune.run(Random)),
            tokio::spawn(serve_metrics(metrics_server, wired.metrics)),
        ];
        let (stop_mail, mail_stopped) = oneshot::channel::<()>();
        let deliver_mail = tokio::spawn(wired.deliver_mail.run(async move { mail_stopped.await.unwrap_or(()) }));
        let (stop_notices, notices_stopped) = oneshot::channel::<()>();
        let tell_logout = tokio::spawn(wired.tell_logout.run(async move { notices_stopped.await.unwrap_or(()) }));
        let serving = tokio::spawn(async move {
            // Whether it is told or the sender is gone: either is the end.
            let stopped = async move { stopped.await.unwrap_or(()) };
            server.run(endpoint, stopped, DRAIN).await;
            // What the last requests caused is in the outbox; what is under way may leave.
            drop((stop_mail, stop_notices));
            if let Err(cause) = tell_logout.await {
                tracing::error!(%cause, "telling clients of log-outs broke");
            }
            if let Err(cause) = deliver_mail.await {
                tracing::error!(%cause, "the outbox broke");
            }
            background.iter().for_each(JoinHandle::abort);
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

/// What the commands need of the rooms: the database with its clients and accounts, and nothing that listens.
#[derive(Debug)]
pub struct CommandContext {
    /// Clients.
    pub clients: Clients,
    /// Accounts.
    pub administer: Administer,
}

impl CommandContext {
    /// Opens the database, migrated as `serve` would.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let direct = schema::connect(config).await?;
        schema::migrate(config, &direct).await?;
        store::close(direct).await?;
        let db = store::connect(&config.database_url, Use::Requests).await?;
        let core = Core::new(config, config.listen, db, &clock);
        Ok(Self { clients: core.clients(), administer: core.administer()? })
    }
}

/// Binds the metrics' own listener, where there is one. That another program has the default port keeps no service from
/// starting; the port that the operator chose has to be had.
async fn bind_metrics(config: &Config) -> Result<Option<Server>, StartError> {
    let Some(address) = config.metrics_listen else { return Ok(None) };
    match Server::bind(address, None).await {
        Ok(server) => Ok(Some(server)),
        Err(cause) if config.is_set("metrics_listen") => Err(StartError::Metrics { address, cause }),
        Err(cause) => {
            tracing::warn!(%address, %cause, "no metrics: the address is taken; set metrics_listen, or turn it off");
            Ok(None)
        }
    }
}

/// Serves the metrics for as long as the service runs.
async fn serve_metrics(server: Option<Server>, watch: MetricsSnapshot) {
    if let Some(server) = server {
        tracing::info!(address = %server.address(), "metrics");
        server.run(http::metrics::endpoint(watch), std::future::pending(), Duration::ZERO).await;
    }
}

/// Makes the first key that `client`'s ID tokens are signed with, where it can get any and there is none: the service
/// has seen the file within two seconds.
///
/// # Errors
/// [`StartError`].
pub async fn establish_key_for(config: &Config, client: &Client, clock: &Arc<dyn Clock>) -> Result<(), StartError> {
    if !client.is_relying_party() {
        return Ok(());
    }
    let kinds = [KeyKind::Signing(client.id_token_algorithm())];
    let direct = schema::connect(config).await?;
    establish::run(&direct, &config.keys_dir, &kinds, clock).await?;
    Ok(store::close(direct).await?)
}

/// What ID tokens of clients may be signed with that are not registered yet: where they register themselves, each chooses,
/// and none shall wait until an RSA key is made.
fn dynamic_client_algorithms(config: &Config) -> &'static [SigningAlgorithm] {
    match config.client_registration {
        ClientRegistration::Off => &[],
        ClientRegistration::Open => &SigningAlgorithm::ALL,
    }
}

/// The OpenAPI document of a service so configured. It takes no database.
///
/// # Errors
/// [`StartError`].
pub fn openapi(config: &Config, clock: &Arc<dyn Clock>) -> Result<String, StartError> {
    let keyring = Arc::new(Keyring::new(PathBuf::new(), key_files::read(Path::new(""))?));
    let wired = wiring::wire(Core::new(config, config.listen, Database::default(), clock), keyring)?;
    Ok(http::openapi(wired.services, &wired.http))
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
