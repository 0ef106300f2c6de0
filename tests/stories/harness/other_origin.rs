//! A site of another origin.

use poem::{
    Endpoint, Route, Server,
    endpoint::make_sync,
    get,
    http::StatusCode,
    listener::{Acceptor, Listener, TcpListener},
    web::Html,
};
use tokio::task::JoinHandle;

/// A local site of another origin.
#[derive(Debug)]
pub(crate) struct OtherOrigin {
    server: JoinHandle<()>,
    port: u16,
}

impl OtherOrigin {
    /// Serves this page at `/`, and at `/plain` one that says "a page of another site".
    pub(crate) async fn serves(html: impl Into<String>) -> Self {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let port = acceptor.local_addr()[0].as_socket_addr().expect("a TCP address").port();
        let routes = Route::new()
            .at("/", get(page(html.into())))
            .at("/plain", get(page("<!doctype html><title>x</title>a page of another site".to_owned())));
        // Every browser requests it.
        let routes = routes.at("/favicon.ico", get(make_sync(|_| StatusCode::NO_CONTENT)));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(routes).await.expect("it serves as long as the story lasts");
        });
        Self { server, port }
    }

    /// Its URL with this host name.
    pub(crate) fn at(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.port)
    }
}

impl Drop for OtherOrigin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn page(html: String) -> impl Endpoint<Output = Html<String>> {
    make_sync(move |_| Html(html.clone()))
}
