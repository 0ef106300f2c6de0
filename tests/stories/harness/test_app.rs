//! A running service.

use std::{collections::BTreeMap, ops::Deref, path::Path, sync::Arc};

use signet::testing::{Config, Signet, Sources};

use super::{
    clock::StoryClock,
    people::Person,
    site::{Site, http},
    test_env::TestEnv,
};

/// A service in this process, with a clock that the story moves. A restart keeps its issuer, although the port
/// may change.
#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) site: Site,
    pub(crate) clock: StoryClock,
    pub(crate) issuer: String,
    env: TestEnv,
    signet: Option<Signet>,
}

impl Deref for TestApp {
    type Target = TestEnv;

    fn deref(&self) -> &TestEnv {
        &self.env
    }
}

impl TestApp {
    /// Starts an app in `env`.
    pub(crate) async fn open(mut env: TestEnv) -> Self {
        let clock = StoryClock::at_present();
        let signet = serve(&env, &clock, &[]).await.expect("the service starts");
        let base = format!("http://{}", signet.address());
        env.set("issuer", &base);
        Self { site: Site::at(&base), clock, issuer: base, env, signet: Some(signet) }
    }

    /// Stops the service, gracefully.
    pub(crate) async fn stop(&mut self) {
        self.signet.take().expect("it runs").stop().await;
    }

    /// Restarts the service, or starts it if it is stopped.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// As [`Self::restart`], with these keys set from now on.
    pub(crate) async fn restart_with(&mut self, settings: &[(&str, &str)]) {
        if self.signet.is_some() {
            self.stop().await;
        }
        for (key, value) in settings {
            self.env.set(key, value);
        }
        let signet = serve(&self.env, &self.clock, &[]).await.expect("the service starts again");
        self.site.moves_to(format!("http://{}", signet.address()));
        self.signet = Some(signet);
    }

    /// A second service on the same database, keys and clock. `SQLite` takes only one.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with(&[]).await
    }

    /// As [`Self::replica`], with these keys set there.
    pub(crate) async fn replica_with(&self, settings: &[(&str, &str)]) -> Replica {
        let data = self.env.folder.join("data-of-replica").display().to_string();
        let settings = [&[("data_dir", data.as_str())], settings].concat();
        let signet = serve(&self.env, &self.clock, &settings).await.expect("a replica starts");
        Replica { site: Site::at(format!("http://{}", signet.address())), signet }
    }

    /// Registers a person.
    pub(crate) async fn registers(&self, username: &str) -> Person {
        Person::registers(&self.site, username).await
    }
}

/// Another service on the same database.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) site: Site,
    signet: Signet,
}

impl Replica {
    pub(crate) async fn stop(self) {
        self.signet.stop().await;
    }
}

async fn serve(env: &TestEnv, clock: &StoryClock, more: &[(&str, &str)]) -> Result<Signet, String> {
    let environment = env.environment(&[&[("listen", "127.0.0.1:0")], more].concat());
    let sources = Sources {
        flags: BTreeMap::new(),
        file: None,
        environment: environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        directory: env.folder.clone(),
        terminal: false,
    };
    let config = Config::load(&sources).map_err(|error| error.to_string())?;
    // Boxed, so that not every story's future contains the whole start.
    let start = Signet::start_with(config, Arc::new(clock.clone()), Arc::new(|| 0), env.documents.clone());
    Box::pin(start).await.map_err(|error| error.to_string())
}

/// A site over TLS on `localhost`, for a client that trusts this authority alone.
pub(crate) fn https(authority: &Path, port: u16) -> Site {
    let pem = std::fs::read(authority).expect("the authority's certificate");
    let certificate = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let client = http().tls_certs_only([certificate]).pool_max_idle_per_host(0).build().expect("a client");
    Site::through(client, format!("https://localhost:{port}"))
}
