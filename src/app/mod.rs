//! Builds every part once and wires them: the only module that knows all others.

pub(crate) mod backup;
mod error;
mod files;
pub(crate) mod schema;
mod wiring;

use std::{fs::File, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle};

pub use self::error::StartError;
use self::{
    files::{prepare_files, require_database},
    wiring::Core,
};
use crate::{
    config::{ClientIdDocuments, ClientRegistration, Config},
    crypto::{
        keys::{
            files::KeyKind,
            ring::{KeySet, Keyring},
            source::KeySource,
        },
        random::Random,
    },
    domain::{
        client::Client, clock::Clock, key_schedule::KeyTimes, signing_key::SigningAlgorithm,
        status_list::StatusListClaims,
    },
    http,
    outbound::client_document::DocumentNetwork,
    services::{
        admin::accounts::Administer,
        background::follow_changes,
        clients::Clients,
        keys::{
            establish::{self, Caller},
            manage::ManageKeys,
        },
        metrics::{DroppedLines, MetricsSnapshot},
        readiness::Readiness,
    },
    store::{self, Pools},
};
use listener::{Server, tls::Certificate};

/// How long requests in flight may take to finish once the service stops.
const DRAIN: Duration = Duration::from_secs(10);

/// A running service.
#[derive(Debug)]
pub struct Signet {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    readiness: Readiness,
    shutdown_delay: Duration,
    _lock: Option<File>,
}

impl Signet {
    /// Starts the service. When this returns, the service listens and is ready.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::start_with(config, clock, Arc::new(|| 0), DocumentNetwork::default()).await
    }

    /// Like [`Self::start`]; the metrics report how many lines the log has `dropped`.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub async fn start_logging(
        config: Config,
        clock: Arc<dyn Clock>,
        dropped: DroppedLines,
    ) -> Result<Self, StartError> {
        Self::start_with(config, clock, dropped, DocumentNetwork::default()).await
    }

    /// Like [`Self::start_logging`]; documents of clients are fetched through `network`.
    ///
    /// # Errors
    /// [`StartError`]; then nothing runs.
    pub async fn start_with(
        config: Config,
        clock: Arc<dyn Clock>,
        dropped: DroppedLines,
        network: DocumentNetwork,
    ) -> Result<Self, StartError> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let lock = prepare_files(&config)?;
        let certificate = config.tls.as_ref().map(|files| Certificate::read(&files.cert, &files.key)).transpose()?;
        // Before the slow steps: the issuer may depend on the port, and a port in use is reported at once.
        let server = Server::bind(config.listen, certificate)
            .await
            .map_err(|cause| StartError::Listen { address: config.listen, cause })?;
        let address = server.address();
        let metrics_server = bind_metrics(&config).await?;

        let direct = schema::connect(&config).await?;
        schema::migrate(&config, &direct).await?;
        let strangers = dynamic_client_algorithms(&config);
        let kinds = establish::kinds(&direct, config.signing_algorithm, strangers).await?;
        let source = key_source(&config);
        let keys = establish::run(&direct, &source, &kinds, Caller::Service, &clock).await?;
        store::close(direct).await?;
        let pools = Pools::connect(&config.database_url).await?;
        let keyring = Arc::new(Keyring::new(source, keys));

        // On the heap: it is held across the awaits below.
        let core = Core::new(&config, address, pools, &clock, Some(&keyring));
        let wired = Box::new(wiring::wire(core, keyring, dropped, network)?);
        tracing::info!(to = %wired.run_jobs.deliver_mail.mailer, "mail");
        let cursor = wired.changes.load().await?;
        // Make a list now, so that one can be served if the database fails before the first request for it.
        wired.services.status_lists.get(0).await?;
        wired.password_costs.load().await?;

        let readiness = wired.http.readiness.clone();
        let metrics = wired.metrics.metrics.clone();
        let counts = server.counts();
        let listener = Arc::new(move || counts.read());
        let snapshot = MetricsSnapshot { listener, ..wired.metrics };
        let endpoint = http::endpoint(wired.services, wired.http);
        let (stop, stopped) = oneshot::channel();
        // These are aborted when the service ends.
        let mut background = vec![
            tokio::spawn(metrics.clone().counting(wired.watch_keys.run())),
            tokio::spawn(metrics.clone().counting(follow_changes::run(
                wired.changes,
                cursor,
                config.database_listen_url.clone(),
            ))),
            tokio::spawn(metrics.clone().counting(wired.prune.run(Random))),
            tokio::spawn(metrics.clone().counting(wired.password_costs.run())),
            tokio::spawn(serve_metrics(metrics_server, snapshot)),
        ];
        background.extend(wired.rotate_keys.map(|rotate| tokio::spawn(metrics.clone().counting(rotate.run()))));
        let (stop_jobs, jobs_stopped) = oneshot::channel::<()>();
        let run_jobs = wired.run_jobs.run(async move { jobs_stopped.await.unwrap_or(()) });
        let run_jobs = tokio::spawn(metrics.counting(run_jobs));
        let serving = tokio::spawn(async move {
            // A message and a dropped sender both mean: stop.
            let stopped = async move { stopped.await.unwrap_or(()) };
            server.run(endpoint, stopped, DRAIN).await;
            // The last requests have written their jobs; jobs in progress may finish.
            drop(stop_jobs);
            if let Err(cause) = run_jobs.await {
                tracing::error!(%cause, "the jobs failed");
            }
            background.iter().for_each(JoinHandle::abort);
        });
        tracing::info!(%address, "listening");
        Ok(Self { address, stop, serving, readiness, shutdown_delay: config.shutdown_delay, _lock: lock })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Marks the service as not ready, although it still answers, so that a load balancer learns that it will stop.
    /// Returns how long the service should go on before [`Self::stop`].
    #[must_use]
    pub fn announce_stop(&self) -> Duration {
        self.readiness.stop();
        self.shutdown_delay
    }

    /// Stops accepting connections, waits a bounded time for requests in flight, and returns.
    pub async fn stop(self) {
        if self.stop.send(()).is_err() {
            tracing::warn!("the listener had already stopped");
        }
        if let Err(cause) = self.serving.await {
            tracing::error!(%cause, "the listener failed");
        }
    }
}

/// The services that commands use: clients and accounts, without a listener.
#[derive(Debug)]
pub struct CommandContext {
    pub clients: Clients,
    pub administer: Administer,
}

/// The behaviour of a command when there is no SQLite file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingDatabase {
    Create,
    Refuse,
}

impl CommandContext {
    /// Opens the database and migrates it as `serve` would.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(config: &Config, clock: Arc<dyn Clock>, missing: MissingDatabase) -> Result<Self, StartError> {
        if missing == MissingDatabase::Refuse {
            require_database(config)?;
        }
        let direct = schema::connect(config).await?;
        schema::migrate(config, &direct).await?;
        store::close(direct).await?;
        let pools = Pools::connect_one(&config.database_url).await?;
        let core = Core::new(config, config.listen, pools, &clock, None);
        Ok(Self { clients: core.clients(), administer: core.administer()? })
    }
}

/// Opens the database of commands on keys, and migrates it as `serve` would.
///
/// # Errors
/// [`StartError`].
pub async fn manage_keys(config: &Config, clock: Arc<dyn Clock>) -> Result<ManageKeys, StartError> {
    require_database(config)?;
    let direct = schema::connect(config).await?;
    schema::migrate(config, &direct).await?;
    let pools = Pools::connect_one(&config.database_url).await?;
    let changes = Core::new(config, config.listen, pools, &clock, None).changes();
    Ok(ManageKeys { db: direct, changes, source: key_source(config), clock })
}

/// Where this configuration has its keys, and the times that they live by.
fn key_source(config: &Config) -> KeySource {
    KeySource {
        dir: config.keys_dir.clone(),
        bundle: config.keys.clone(),
        passphrase: config.keys_passphrase.clone(),
        times: KeyTimes {
            lead: config.key_lead_time,
            tokens: config.access_token_ttl.max(StatusListClaims::LIFETIME),
            refresh_tokens: config.refresh_token_ttl,
            hints: config.session_ttl,
        },
    }
}

/// Binds the listener of the metrics, if configured. If the default port is in use, the service starts without metrics;
/// if the operator chose the port, it does not start.
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

/// Creates the first key for `client`'s ID tokens, if it can get any and no key exists. A running service loads the
/// file within two seconds.
///
/// # Errors
/// [`StartError`].
pub async fn establish_key_for(config: &Config, client: &Client, clock: &Arc<dyn Clock>) -> Result<(), StartError> {
    if !client.is_relying_party() {
        return Ok(());
    }
    let kinds = [KeyKind::Signing(client.id_token_algorithm())];
    let direct = schema::connect(config).await?;
    establish::run(&direct, &key_source(config), &kinds, Caller::Command, clock).await?;
    Ok(store::close(direct).await?)
}

/// The ID token algorithms of clients that may register themselves, or that documents describe. Each client chooses one,
/// and must not wait for an RSA key to be generated.
fn dynamic_client_algorithms(config: &Config) -> &'static [SigningAlgorithm] {
    match (config.client_registration, config.client_id_documents) {
        (ClientRegistration::Off, ClientIdDocuments::Off) => &[],
        (ClientRegistration::Open, _) | (_, ClientIdDocuments::On) => &SigningAlgorithm::ALL,
    }
}

/// The OpenAPI document of a service with this configuration. It needs no database.
///
/// # Errors
/// [`StartError`].
pub fn openapi(config: &Config, clock: &Arc<dyn Clock>) -> Result<String, StartError> {
    let keyring = Arc::new(Keyring::new(KeySource::folder(PathBuf::new()), KeySet::default()));
    let core = Core::new(config, config.listen, Pools::default(), clock, Some(&keyring));
    let wired = wiring::wire(core, keyring, Arc::new(|| 0), DocumentNetwork::default())?;
    Ok(http::openapi(wired.services, &wired.http))
}
