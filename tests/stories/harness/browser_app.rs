//! A browser app made with oidc-client-ts, at an origin of its own.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use poem::{
    Endpoint, Response, Route, Server,
    endpoint::make_sync,
    get,
    listener::{Acceptor, Listener, TcpListener},
};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::tools::{script, tools};

/// A running app. Its page has a button for each step, and shows what the last step brought.
#[derive(Debug)]
pub(crate) struct BrowserApp {
    server: JoinHandle<()>,
    port: u16,
    settings: Arc<Mutex<Value>>,
}

/// Where the app's logins come back.
pub(crate) const CALLBACKS: [&str; 3] = ["/callback", "/popup", "/silent"];

impl BrowserApp {
    /// Serves an app with the bundle of this package.
    pub(crate) async fn serves(package: &str) -> Self {
        let bundle = tools().join("node_modules").join(package).join("dist/browser/oidc-client-ts.min.js");
        let bundle = fs::read_to_string(&bundle)
            .unwrap_or_else(|error| panic!("{}: {error}: run tests/run once, it installs it", bundle.display()));
        let own = |name: &str| fs::read_to_string(script(name)).expect("a file of ours");
        let settings = Arc::new(Mutex::new(Value::Null));
        let told = Arc::clone(&settings);
        let mut routes =
            Route::new().at("/oidc-client-ts.js", get(answers("text/javascript", move || bundle.clone()))).at(
                "/settings",
                get(answers("application/json", move || told.lock().expect("no story fails").to_string())),
            );
        let (page, code) = (own("oidc-client-ts.html"), own("oidc-client-ts.js"));
        routes = routes.at("/app.js", get(answers("text/javascript", move || code.clone())));
        for path in CALLBACKS.into_iter().chain(["/"]) {
            let page = page.clone();
            routes = routes.at(path, get(answers("text/html", move || page.clone())));
        }
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let port = acceptor.local_addr()[0].as_socket_addr().expect("a TCP address").port();
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(routes).await.expect("it serves as long as the story lasts");
        });
        Self { server, port, settings }
    }

    /// Its origin with this host name.
    pub(crate) fn origin(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// The settings of its `UserManager`: `authority`, `client_id`, `scope`.
    pub(crate) fn is_told(&self, settings: Value) {
        *self.settings.lock().expect("no story fails while it holds this") = settings;
    }
}

impl Drop for BrowserApp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answers(kind: &'static str, body: impl Fn() -> String + Send + Sync) -> impl Endpoint<Output = Response> {
    make_sync(move |_| Response::builder().content_type(kind).body(body()))
}
