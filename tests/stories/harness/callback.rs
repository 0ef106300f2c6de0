//! A client's own site, with its callback.

use std::sync::{Arc, Mutex};

use poem::{
    EndpointExt, Response, Route, Server, get, handler,
    http::StatusCode,
    listener::{Acceptor, Listener, TcpListener},
    web::{Data, Form, Html, Query},
};
use tokio::task::JoinHandle;

use super::driver::FOREIGN_HOST;

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
        Self::serves_on("127.0.0.1").await
    }

    /// At this address of the loopback interface, as a URL has it.
    pub(crate) async fn serves_on(host: &str) -> Self {
        let acceptor = TcpListener::bind(format!("{host}:0")).into_acceptor().await.expect("a free port");
        let port = acceptor.local_addr()[0].as_socket_addr().expect("a TCP address").port();
        let seen = Seen::default();
        let routes = Route::new()
            .at("/callback", get(by_query).post(by_form))
            .at("/hop", get(hop_by_query).post(hop_by_form))
            .at("/favicon.ico", get(nothing))
            .data(Arc::clone(&seen))
            .data(port);
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(routes).await.expect("it serves as long as the story lasts");
        });
        Self { server, url: format!("http://{host}:{port}/callback"), seen }
    }

    /// Another redirect URI of it, which redirects to a callback of another origin.
    pub(crate) fn hop(&self) -> String {
        self.url.replace("/callback", "/hop")
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

/// To another origin, with what came.
fn hop(port: u16, parameters: Parameters) -> Response {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let there = format!("http://{FOREIGN_HOST}:{port}/callback?{query}");
    Response::builder().status(StatusCode::FOUND).header("location", there).finish()
}

#[handler]
fn hop_by_query(Data(port): Data<&u16>, query: Query<Parameters>) -> Response {
    hop(*port, query.0)
}

#[handler]
fn hop_by_form(Data(port): Data<&u16>, form: Form<Parameters>) -> Response {
    hop(*port, form.0)
}

#[handler]
fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}
