//! The service under test: its process, its database, and the clients and accounts that the load uses.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Failure,
    client::{Connection, Requests, member},
    options::{Database, Options},
    postgres::{self, Cluster},
    process::{self, Program},
};

/// The password of every account.
pub(crate) const PASSWORD: &str = "plum orbit lantern 73 quay";

/// A running service.
#[derive(Debug)]
pub(crate) struct Service {
    // Dropped in this order: the service ends before its database.
    pub(crate) program: Program,
    pub(crate) cluster: Option<Cluster>,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
}

/// The names and credentials that requests use.
#[derive(Debug, Clone)]
pub(crate) struct Fixtures {
    pub(crate) usernames: Vec<String>,
    /// Base64 of id and secret of a client with the grant `client_credentials` that may introspect.
    pub(crate) credentials: String,
}

impl Service {
    /// Starts it on an empty database.
    pub(crate) async fn start(options: &Options) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("signet-load-").tempdir()?;
        let cluster = match options.database {
            Database::Sqlite => None,
            Database::Postgres => Some(Cluster::start()?),
        };
        let file = || format!("sqlite://{}?mode=rwc", folder.path().join("signet.db").display());
        let database_url = cluster.as_ref().map_or_else(file, Cluster::url);
        let port = process::free_port()?;
        let environment = vec![
            ("SIGNET_LISTEN", format!("127.0.0.1:{port}")),
            ("SIGNET_ISSUER", format!("http://127.0.0.1:{port}")),
            ("SIGNET_DATABASE_URL", database_url),
            ("SIGNET_KEYS_DIR", folder.path().join("keys").display().to_string()),
            ("SIGNET_DATA_DIR", folder.path().join("data").display().to_string()),
            ("SIGNET_RATE_LIMITS__ENABLED", "false".to_owned()),
            ("SIGNET_METRICS_LISTEN", "off".to_owned()),
            // With more clients than hashes a second, a login waits longer than the default allows.
            ("SIGNET_PASSWORD__MAX_WAIT", "30s".to_owned()),
        ];
        let mut command = command(&options.service, &environment, folder.path())?;
        // The log is written, as in production.
        let log = File::create(folder.path().join("log"))?;
        command.arg("serve").stdout(log.try_clone()?).stderr(log);
        let program = Program::start(&mut command, port).await?;
        is_ready(&program).await?;
        Ok(Self { program, cluster, environment, folder })
    }

    /// Starts a replica, which reaches the database through another port. Also how long it took until it was ready.
    pub(crate) async fn replica(&self, options: &Options, database_port: u16) -> Result<(Program, Duration), Failure> {
        let port = process::free_port()?;
        let mut command = command(&options.service, &self.environment, self.folder.path())?;
        let log = File::create(self.folder.path().join("log-of-replica"))?;
        command
            .env("SIGNET_LISTEN", format!("127.0.0.1:{port}"))
            .env("SIGNET_DATABASE_URL", postgres::url(database_port))
            .arg("serve")
            .stdout(log.try_clone()?)
            .stderr(log);
        let begin = Instant::now();
        let program = Program::start(&mut command, port).await?;
        is_ready(&program).await?;
        Ok((program, begin.elapsed()))
    }

    /// Makes an account for each client, and the confidential client.
    pub(crate) async fn fixtures(&self, options: &Options) -> Result<Fixtures, Failure> {
        let mut connection = Connection::open(&self.program.authority).await?;
        let requests = Requests::to(&self.program.authority);
        let mut usernames = Vec::new();
        for number in 0..options.clients {
            let username = format!("load_{number}");
            let body = json!({"username": username, "password": PASSWORD});
            connection.send(requests.json("/v1/users", &body)?).await?.json(StatusCode::CREATED)?;
            usernames.push(username);
        }
        let issuer = format!("http://{}", self.program.authority);
        let client = ["client", "create", "--name", "Load", "--grant", "client_credentials", "--scope", "read"];
        let created = self.run(options, &[&client[..], &["--audience", &issuer]].concat())?;
        let credentials = format!("{}:{}", member(&created, "client_id")?, member(&created, "client_secret")?);
        Ok(Fixtures { usernames, credentials: STANDARD.encode(credentials) })
    }

    /// Logs an account in. The access token and the refresh token.
    pub(crate) async fn login(&self, username: &str) -> Result<(String, String), Failure> {
        let form = [("grant_type", "password"), ("username", username), ("password", PASSWORD)];
        let request = Requests::to(&self.program.authority).form("/oauth/token", None, &form)?;
        let answer = Connection::open(&self.program.authority).await?.send(request).await?.json(StatusCode::OK)?;
        Ok((member(&answer, "access_token")?.to_owned(), member(&answer, "refresh_token")?.to_owned()))
    }

    /// Runs a command of the service that prints JSON.
    fn run(&self, options: &Options, arguments: &[&str]) -> Result<Value, Failure> {
        let output = command(&options.service, &self.environment, self.folder.path())?.args(arguments).output()?;
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout)?);
        }
        Err(format!("{arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// Waits until it has made its tables; it listens before.
async fn is_ready(program: &Program) -> Result<(), Failure> {
    let ready = Requests::to(&program.authority).get("/readyz", None)?;
    let mut connection = Connection::open(&program.authority).await?;
    while connection.send(ready.clone()).await?.status != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The program in an environment of its own.
fn command(program: &Path, environment: &[(&'static str, String)], folder: &Path) -> Result<Command, Failure> {
    let program = program.canonicalize().map_err(|error| {
        format!("{}: {error}. Build it with `cargo build --release`, or name it with --service", program.display())
    })?;
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    Ok(command)
}
