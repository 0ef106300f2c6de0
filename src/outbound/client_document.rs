//! Fetches the documents that describe clients (draft-ietf-oauth-client-id-metadata-document, §4).
//!
//! A stranger names the URL. So a fetch must reach nothing but servers on the internet (§6.5), and must be worth little to
//! somebody who wants us to burden them. Names are resolved here once, every address is judged, and the connection goes
//! to the judged addresses: a second answer of the resolver changes nothing.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use mime::Mime;
use moka::sync::Cache;
use reqwest::{
    Certificate, Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header, redirect,
};
use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::domain::{
    client_document::{MAX_LENGTH, lifetime},
    public_address,
};

/// The most fetches at a time.
const TURNS: usize = 16;
/// The most fetches from one host in [`WINDOW`].
const MOST_OF_A_HOST: u32 = 30;
const WINDOW: Duration = Duration::from_mins(1);
/// The most hosts whose fetches are counted.
const MOST_HOSTS: u64 = 10_000;

/// A replacement for the system's resolver.
pub type LookUp = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// How the hosts of documents are reached. The default is what the service uses; tests have servers of their own.
#[derive(Clone)]
pub struct DocumentNetwork {
    /// Resolves names; `None` stands for the system's resolver. A port that is not 0 replaces the usual one.
    pub look_up: Option<LookUp>,
    /// Whether an address may be connected to.
    pub is_allowed: fn(IpAddr) -> bool,
    /// The one authority that is trusted, as PEM; `None` stands for the system's.
    pub authority: Option<Vec<u8>>,
    /// Limit of one fetch, from the resolver to the last byte.
    pub patience: Duration,
}

impl Default for DocumentNetwork {
    fn default() -> Self {
        Self { look_up: None, is_allowed: public_address::is_public, authority: None, patience: Duration::from_secs(5) }
    }
}

impl fmt::Debug for DocumentNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentNetwork").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// Why a document was not fetched. The texts are for the developer of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Too many fetches at a time, or from this host.
    #[error("too many documents are being fetched")]
    Busy,
    /// No answer within the time, no TLS, or an error of the server's own.
    #[error("its host cannot be reached")]
    Unreachable,
    #[error("its host is not on the public internet")]
    NotPublic,
    /// Redirects are not followed: the document would be another URL's (§4).
    #[error("its URL redirects; the client_id must be the URL of the document itself")]
    Redirect,
    #[error("its URL answers with status {0}, and not with 200")]
    Status(u16),
    #[error("its Content-Type is neither application/json nor a type that ends with +json")]
    ContentType,
    #[error("its answer has a Content-Encoding, which was not asked for")]
    Encoding,
    #[error("it is longer than {} kB", MAX_LENGTH / 1024)]
    TooLong,
}

impl FetchError {
    /// Whether the same fetch may succeed a little later, although nothing about the document changes.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Busy | Self::Unreachable)
    }
}

/// A document as it was served.
#[derive(Debug)]
pub struct FetchedDocument {
    pub body: Vec<u8>,
    /// How long it is fresh.
    pub lifetime: TimeDelta,
}

/// The HTTP client for documents. Clones share its limits.
#[derive(Debug, Clone)]
pub struct DocumentFetcher {
    /// `None` if this machine has no TLS certificates.
    http: Option<Client>,
    turns: Arc<Semaphore>,
    /// How many fetches a host has had since the first one of its window.
    hosts: Cache<String, Arc<AtomicU32>>,
    is_allowed: fn(IpAddr) -> bool,
    patience: Duration,
}

impl DocumentFetcher {
    #[must_use]
    pub fn new(network: DocumentNetwork) -> Self {
        let DocumentNetwork { is_allowed, patience, .. } = network;
        Self {
            http: http(network),
            turns: Arc::new(Semaphore::new(TURNS)),
            hosts: Cache::builder().max_capacity(MOST_HOSTS).time_to_live(WINDOW).build(),
            is_allowed,
            patience,
        }
    }

    /// Fetches the document at `url`, which is a client identifier URL.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, url: &Url) -> Result<FetchedDocument, FetchError> {
        // An address in the URL itself is connected to without a resolver.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) | None => None,
        };
        if literal.is_some_and(|address| !(self.is_allowed)(address)) {
            return Err(FetchError::NotPublic);
        }
        let _turn = self.turns.try_acquire().map_err(|_| FetchError::Busy)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if self.hosts.get_with(host, Arc::default).fetch_add(1, Ordering::Relaxed) >= MOST_OF_A_HOST {
            return Err(FetchError::Busy);
        }
        tokio::time::timeout(self.patience, self.exchange(url)).await.unwrap_or(Err(FetchError::Unreachable))
    }

    async fn exchange(&self, url: &Url) -> Result<FetchedDocument, FetchError> {
        let Some(http) = &self.http else {
            tracing::error!("no document of a client can be fetched: this machine has no TLS certificates");
            return Err(FetchError::Unreachable);
        };
        let request = http.get(url.clone()).header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| failure(&error))?;
        judge(&response)?;
        let fields = response.headers().get_all(header::CACHE_CONTROL).iter();
        let lifetime = lifetime(fields.filter_map(|field| field.to_str().ok()));
        Ok(FetchedDocument { body: body(response).await?, lifetime })
    }
}

/// Redirects are not followed, and proxies of the environment are not used: a proxy would resolve the name again. No
/// connection is kept, since the next fetch must judge the addresses of its time.
fn http(network: DocumentNetwork) -> Option<Client> {
    let builder = Client::builder()
        .https_only(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(network.patience)
        .timeout(network.patience)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")));
    let builder = match &network.authority {
        None => builder,
        Some(pem) => builder.tls_certs_only([Certificate::from_pem(pem).ok()?]),
    };
    builder.dns_resolver(Arc::new(JudgingResolver(network))).build().ok()
}

/// Resolves a name, unless one of its addresses is not allowed. Its answer goes straight to the connection.
struct JudgingResolver(DocumentNetwork);

/// A name has an address that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("the host is not on the public internet")]
struct NotPublic;

impl Resolve for JudgingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let network = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = match &network.look_up {
                Some(look_up) => look_up(name.as_str())?,
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            // One address that is not allowed spoils the name: nobody publishes both kinds with good intent.
            if !addresses.iter().all(|address| (network.is_allowed)(address.ip())) {
                return Err(NotPublic.into());
            }
            Ok::<Addrs, _>(Box::new(addresses.into_iter()))
        })
    }
}

/// The resolver's refusal is somewhere within the error of the connection.
fn failure(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.is::<NotPublic>() {
            return FetchError::NotPublic;
        }
        cause = current.source();
    }
    FetchError::Unreachable
}

fn judge(response: &Response) -> Result<(), FetchError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect);
    }
    if status.is_server_error() || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
        return Err(FetchError::Unreachable);
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    let field = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if field(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(FetchError::Encoding);
    }
    let kind: Option<Mime> = field(header::CONTENT_TYPE).and_then(|kind| kind.parse().ok());
    let is_json = |kind: &Mime| {
        kind.type_() == mime::APPLICATION && (kind.subtype() == mime::JSON || kind.suffix() == Some(mime::JSON))
    };
    if kind.as_ref().is_some_and(is_json) { Ok(()) } else { Err(FetchError::ContentType) }
}

/// Reads the body, and stops at the limit. `Content-Length` may lie, so the bytes are counted.
async fn body(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > MAX_LENGTH {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_is_not_fetched_from_without_end() {
        let unknown: LookUp = Arc::new(|_| Err(io::Error::other("no such name")));
        let fetcher = DocumentFetcher::new(DocumentNetwork { look_up: Some(unknown), ..DocumentNetwork::default() });
        let url = |text: &str| Url::parse(text).expect("a URL");
        for n in 0..MOST_OF_A_HOST {
            let result = fetcher.fetch(&url(&format!("https://app.example/{n}"))).await;
            assert_eq!(result.err(), Some(FetchError::Unreachable));
        }
        assert_eq!(fetcher.fetch(&url("https://app.example/more")).await.err(), Some(FetchError::Busy));
        assert_eq!(fetcher.fetch(&url("https://other.example/c")).await.err(), Some(FetchError::Unreachable));
    }
}
