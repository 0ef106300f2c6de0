//! A client's own site, with its callback.

use std::sync::{Arc, Mutex};

use poem::{
    EndpointExt, Route, Server, get, handler,
    http::StatusCode,
    listener::{Acceptor, Listener, TcpListener},
    web::{Data, Form, Html, Query},
};
use tokio::task::JoinHandle;

type Parameters = Vec<(String, String)>;
type Seen = Arc<Mutex<Vec<Parameters>>>;

/// A site that keeps the parameters that browsers bring to its `/callback`.
#[derive(Debug)]
pub(crate) struct Callback {
    server: JoinHandle<()>,
    pub(crate) url: String,
    seen: Seen,
}

/// The text of its page.
pub(crate) const BACK: &str = "Back at the app";

impl Callback {
    pub(crate) async fn serves() -> Self {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let port = acceptor.local_addr()[0].as_socket_addr().expect("a TCP address").port();
        let seen = Seen::default();
        let routes = Route::new()
            .at("/callback", get(by_query).post(by_form))
            .at("/favicon.ico", get(nothing))
            .data(Arc::clone(&seen));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(routes).await.expect("it serves as long as the story lasts");
        });
        Self { server, url: format!("http://127.0.0.1:{port}/callback"), seen }
    }

    /// The query of the last callback.
    pub(crate) fn last(&self) -> Parameters {
        self.seen.lock().expect("nobody fails while holding it").last().expect("somebody came").clone()
    }

    /// One parameter of the last callback, or the empty string.
    pub(crate) fn brought(&self, name: &str) -> String {
        self.last().into_iter().find(|(given, _)| given == name).map(|(_, value)| value).unwrap_or_default()
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn keep(seen: &Seen, parameters: Parameters) -> Html<String> {
    seen.lock().expect("nobody fails while holding it").push(parameters);
    Html(format!("<!doctype html><title>app</title><p>{BACK}</p>"))
}

#[handler]
fn by_query(Data(seen): Data<&Seen>, query: Query<Parameters>) -> Html<String> {
    keep(seen, query.0)
}

#[handler]
fn by_form(Data(seen): Data<&Seen>, form: Form<Parameters>) -> Html<String> {
    keep(seen, form.0)
}

#[handler]
fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}
