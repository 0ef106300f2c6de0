//! The environment of a service: folder, database and configuration.

use std::{collections::BTreeMap, path::PathBuf};

use sea_orm::{ConnectOptions, DatabaseConnection};
use serde_json::Value;
use signet::testing::DocumentNetwork;

use super::{
    counting_proxy::CountingProxy,
    postgres::{self, Cluster, Durability},
    process::{Ended, Process},
    run,
    site::{Answer, Ask, Site, Tokens},
    statements::Statements,
    test_app::TestApp,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// Configuration by which PostgreSQL logs the plan of every statement.
const PLANS: &str = "session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\n\
    auto_explain.log_analyze = on\nauto_explain.log_timing = off";

/// Builds a [`TestEnv`].
#[derive(Debug)]
pub(crate) struct TestEnvBuilder {
    database: Database,
    settings: BTreeMap<String, String>,
    own_cluster: Option<Durability>,
    configuration: &'static str,
    documents: DocumentNetwork,
}

impl TestEnvBuilder {
    /// Defaults for most stories: cheap hashing and no rate limits.
    pub(crate) fn on(database: Database) -> Self {
        let builder = Self {
            database,
            settings: BTreeMap::new(),
            own_cluster: None,
            configuration: "",
            documents: DocumentNetwork::default(),
        };
        builder
            .set("password.memory_kib", "64")
            .set("password.iterations", "1")
            .set("rate_limits.enabled", "false")
            .set("metrics_listen", "off")
    }

    /// Sets a configuration key.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Leaves a configuration key at its default.
    pub(crate) fn unset(mut self, key: &str) -> Self {
        self.settings.remove(key);
        self
    }

    /// Takes documents as client ids, and fetches them through this network.
    pub(crate) fn with_documents(self, network: DocumentNetwork) -> Self {
        Self { documents: network, ..self.set("client_id_documents", "on") }
    }

    /// Uses a dedicated PostgreSQL server, which a story may break.
    pub(crate) fn on_its_own_cluster(mut self, durability: Durability) -> Self {
        assert_eq!(self.database, Database::Postgres, "SQLite has no server");
        self.own_cluster = Some(durability);
        self
    }

    /// As [`Self::on_its_own_cluster`], with a count of every statement.
    pub(crate) fn with_statements_counted(self) -> Self {
        let builder = self.on_its_own_cluster(Durability::None);
        Self { configuration: Statements::CONFIGURATION, ..builder }
    }

    /// As [`Self::on_its_own_cluster`]; the server logs the plan of every statement.
    pub(crate) fn with_plans_logged(self) -> Self {
        let builder = self.on_its_own_cluster(Durability::None);
        Self { configuration: PLANS, ..builder }
    }

    /// Creates the environment, without starting anything.
    pub(crate) async fn env(self) -> TestEnv {
        let folder = run::folder();
        let own_cluster = self.own_cluster.map(|durability| Cluster::make(durability, self.configuration));
        let mut database = None;
        let url = match self.database {
            Database::Sqlite => format!("sqlite://{}?mode=rwc", folder.join("signet.db").display()),
            Database::Postgres => {
                let cluster = match &own_cluster {
                    Some(cluster) => cluster,
                    None => Cluster::shared().await,
                };
                let name = cluster.create_database().await;
                let url = cluster.url(&name);
                database = Some((cluster.port(), name));
                url
            }
        };
        let documents = self.documents;
        let mut env = TestEnv { folder, settings: self.settings, own_cluster, database, documents };
        env.set("database_url", &url);
        env.set("keys_dir", &env.keys().display().to_string());
        env.set("data_dir", &env.folder.join("data").display().to_string());
        env
    }

    /// Creates the environment and starts an app in it.
    pub(crate) async fn open(self) -> TestApp {
        self.env().await.open().await
    }
}

#[derive(Debug)]
pub(crate) struct TestEnv {
    pub(crate) folder: PathBuf,
    settings: BTreeMap<String, String>,
    own_cluster: Option<Cluster>,
    database: Option<(u16, String)>,
    /// How the service fetches the documents of clients.
    pub(crate) documents: DocumentNetwork,
}

impl TestEnv {
    /// Sets a configuration key for processes started later.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
    }

    /// The keys folder, which the service creates.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// The key files, sorted by name.
    pub(crate) fn key_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.keys()).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "pem")).collect();
        files.sort();
        files
    }

    /// The dedicated PostgreSQL server.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.own_cluster.as_ref().expect("the plan asked for one")
    }

    /// Has processes that start later reach PostgreSQL through a proxy, which counts their round trips.
    pub(crate) async fn counts_round_trips(&mut self) -> CountingProxy {
        let (port, name) = self.database.clone().expect("it is on PostgreSQL");
        let proxy = CountingProxy::before(port).await.expect("a port is free");
        self.set("database_url", &format!("postgres://signet@127.0.0.1:{}/{name}", proxy.port));
        proxy
    }

    pub(crate) fn database_url(&self) -> &str {
        &self.settings["database_url"]
    }

    /// A direct connection to the database.
    pub(crate) async fn store(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.database_url());
        options.max_connections(2).sqlx_logging(false);
        sea_orm::Database::connect(options).await.expect("the database is there")
    }

    /// The configuration as environment variables, `more` keys added.
    pub(crate) fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut settings = self.settings.clone();
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let name = |key: String| format!("SIGNET_{}", key.replace('.', "__").to_uppercase());
        settings.into_iter().map(|(key, value)| (name(key), value)).collect()
    }

    /// Starts an app in this environment.
    pub(crate) async fn open(self) -> TestApp {
        TestApp::open(self).await
    }

    /// Runs `signet serve` as a process of its own, on a free port, with `more` keys set.
    pub(crate) fn serves(&self, more: &[(&str, &str)]) -> Process {
        let listen = format!("127.0.0.1:{}", run::free_port());
        let settings: Vec<(&str, &str)> =
            [("listen", listen.as_str())].into_iter().chain(more.iter().copied()).collect();
        Process::start(&self.folder, &self.environment(&settings), &["serve"], "")
    }

    /// As [`Self::serves`], with a limit of open files.
    pub(crate) fn serves_with_files(&self, files: u32, more: &[(&str, &str)]) -> Process {
        let listen = format!("127.0.0.1:{}", run::free_port());
        let environment = self.environment(&[&[("listen", listen.as_str())], more].concat());
        // The shell becomes the program: it keeps the process id.
        let launch = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        Process::launch(&["sh", "-c", &launch], &self.folder, &environment, &["serve"], "")
    }

    /// Runs a command to its end.
    pub(crate) async fn runs(&self, arguments: &[&str]) -> Ended {
        Process::start(&self.folder, &self.environment(&[]), arguments, "").ends().await
    }

    /// As [`Self::runs`], with `more` keys set.
    pub(crate) async fn runs_with(&self, more: &[(&str, &str)], arguments: &[&str]) -> Ended {
        Process::start(&self.folder, &self.environment(more), arguments, "").ends().await
    }

    /// Runs a command to its end, with this on its standard input.
    pub(crate) async fn runs_on(&self, input: &str, arguments: &[&str]) -> Ended {
        Process::start(&self.folder, &self.environment(&[]), arguments, input).ends().await
    }

    /// Registers a client with these options of `signet client create`.
    pub(crate) async fn registers_client(&self, options: &[&str]) -> Client {
        let arguments: Vec<&str> = ["client", "create"].into_iter().chain(options.iter().copied()).collect();
        let json = self.runs(&arguments).await.well().json();
        let member = |name: &str| json[name].as_str().map(str::to_owned);
        Client { id: member("client_id").expect("an id"), secret: member("client_secret").unwrap_or_default() }
    }

    /// Registers a public first-party client with the password grant, with more options.
    pub(crate) async fn registers_public_client(&self, more: &[&str]) -> Client {
        let options =
            ["--name", "Public client", "--public", "--first-party", "--grant", "password", "--scope", "openid"];
        self.registers_client(&[&options[..], more].concat()).await
    }

    /// Registers a confidential client with the `client_credentials` grant, with more options.
    pub(crate) async fn registers_service(&self, more: &[&str]) -> Client {
        let options = ["--name", "Billing", "--grant", "client_credentials", "--scope", "read"];
        self.registers_client(&[&options[..], more].concat()).await
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if let (None, Some((port, name))) = (&self.own_cluster, self.database.take()) {
            postgres::is_over(port, name);
        }
    }
}

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// Empty for a public client.
    pub(crate) secret: String,
}

impl Client {
    /// The form with the client's credentials (`client_secret_post`).
    pub(crate) fn in_form<'a>(&'a self, form: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut all = form.to_vec();
        all.push(("client_id", &self.id));
        if !self.secret.is_empty() {
            all.push(("client_secret", &self.secret));
        }
        all
    }
}

impl Client {
    /// Sends a form as this client, authenticated if it is confidential.
    pub(crate) async fn posts(&self, site: &Site, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = site.post(path);
        if self.secret.is_empty() {
            request.form(&self.in_form(form)).answer().await
        } else {
            request.basic_auth(&self.id, Some(&self.secret)).form(form).answer().await
        }
    }

    /// Requests a token with `client_credentials`.
    pub(crate) async fn gets_a_token(&self, site: &Site) -> Tokens {
        self.posts(site, "/oauth/token", &[("grant_type", "client_credentials")]).await.granted()
    }

    /// Uses a refresh token.
    pub(crate) async fn refreshes(&self, site: &Site, tokens: &Tokens) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
        self.posts(site, "/oauth/token", &form).await
    }

    pub(crate) async fn revokes(&self, site: &Site, token: &str) -> Answer {
        self.posts(site, "/oauth/revoke", &[("token", token)]).await
    }

    /// Introspects a token.
    pub(crate) async fn introspects(&self, site: &Site, token: &str) -> Answer {
        self.posts(site, "/oauth/introspect", &[("token", token)]).await
    }
}

/// The JSON array that `--json` printed.
pub(crate) fn list(json: &Value) -> &Vec<Value> {
    json.as_array().unwrap_or_else(|| panic!("no list: {json}"))
}
