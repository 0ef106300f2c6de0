//! The issuer's side: a server on a free port that counts what it is asked for, and can be told to misbehave.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use poem::{
    EndpointExt, Response, Route, Server, get, handler,
    http::{HeaderMap, StatusCode, header},
    listener::TcpAcceptor,
    web::{Data, Path},
};
use serde_json::{Value, json};

use super::Key;

/// A server that publishes keys and a status list.
pub(crate) struct Issuer {
    base: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    jwks: AtomicUsize,
    lists: AtomicUsize,
    unchanged: AtomicUsize,
    published: Mutex<Published>,
}

#[derive(Default)]
struct Published {
    down: bool,
    redirects: bool,
    cache_control: Option<&'static str>,
    jwks: String,
    list: Option<String>,
}

impl Issuer {
    /// A server that has nothing to say yet.
    pub(crate) async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        shared.published.lock().unwrap().cache_control = Some("public, max-age=300");
        let routes = Route::new()
            .at("/.well-known/jwks.json", get(jwks))
            .at("/oauth/status-lists/:name", get(list))
            .data(Arc::clone(&shared));
        let acceptor = TcpAcceptor::from_std(listener).unwrap();
        tokio::spawn(Server::new_with_acceptor(acceptor).run(routes));
        Self { base, shared }
    }

    /// Its name.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Publishes these keys, and no others.
    pub(crate) fn publishes(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.publishes_text(json!({ "keys": keys }).to_string());
    }

    /// Publishes this in the place of keys.
    pub(crate) fn publishes_text(&self, text: String) {
        self.change(|published| published.jwks = text);
    }

    /// Publishes this as each of its status lists.
    pub(crate) fn publishes_list(&self, token: &str) {
        self.change(|published| published.list = Some(token.to_owned()));
    }

    /// How long it lets keys be kept.
    pub(crate) fn lets_cache(&self, cache_control: Option<&'static str>) {
        self.change(|published| published.cache_control = cache_control);
    }

    /// Answers 503 from now on, or no longer.
    pub(crate) fn is_down(&self, down: bool) {
        self.change(|published| published.down = down);
    }

    /// Answers with a redirect to itself, which would end well.
    pub(crate) fn redirects(&self) {
        self.change(|published| published.redirects = true);
    }

    fn change(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.shared.published.lock().unwrap());
    }

    /// How often it was asked for its keys.
    pub(crate) fn jwks_fetches(&self) -> usize {
        self.shared.jwks.load(Ordering::SeqCst)
    }

    /// How often it was asked for a status list.
    pub(crate) fn list_fetches(&self) -> usize {
        self.shared.lists.load(Ordering::SeqCst)
    }

    /// How often it could say that nothing had changed.
    pub(crate) fn unchanged(&self) -> usize {
        self.shared.unchanged.load(Ordering::SeqCst)
    }
}

#[handler]
fn jwks(Data(shared): Data<&Arc<Shared>>, headers: &HeaderMap, uri: &poem::http::Uri) -> Response {
    shared.jwks.fetch_add(1, Ordering::SeqCst);
    let published = shared.published.lock().unwrap();
    if published.redirects && uri.query().is_none() {
        return Response::builder().status(StatusCode::FOUND).header(header::LOCATION, "?again").finish();
    }
    shared.answer(&published, headers, &published.jwks, "application/jwk-set+json")
}

#[handler]
fn list(Data(shared): Data<&Arc<Shared>>, headers: &HeaderMap, Path(_): Path<String>) -> Response {
    shared.lists.fetch_add(1, Ordering::SeqCst);
    assert_eq!(headers[header::ACCEPT], "application/statuslist+jwt");
    let published = shared.published.lock().unwrap();
    let Some(list) = &published.list else { return StatusCode::NOT_FOUND.into() };
    shared.answer(&published, headers, list, "application/statuslist+jwt")
}

impl Shared {
    fn answer(&self, published: &Published, headers: &HeaderMap, body: &str, content_type: &str) -> Response {
        if published.down {
            return StatusCode::SERVICE_UNAVAILABLE.into();
        }
        // Long enough to tell apart what stories publish: a signature's end, or a key's.
        let etag = format!("\"{}-{}\"", body.len(), &body[body.len().saturating_sub(40)..].replace('"', "'"));
        let mut response = Response::builder().header(header::ETAG, &etag);
        if let Some(cache_control) = published.cache_control {
            response = response.header(header::CACHE_CONTROL, cache_control);
        }
        if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
            self.unchanged.fetch_add(1, Ordering::SeqCst);
            return response.status(StatusCode::NOT_MODIFIED).finish();
        }
        response.content_type(content_type).body(body.to_owned())
    }
}
