//! The one HTTP client for providers: pinned origins, no redirects, bounded time and length.

use std::{collections::BTreeSet, time::Duration};

use oauth2::{HttpRequest, HttpResponse, http};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::Semaphore;
use url::Url;

/// Limit of one request, from waiting for a slot to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// The most requests at a time to one provider, so that a slow one cannot hold more of our tasks.
const TURNS: usize = 32;

/// Why a request to a provider failed. It contains nothing of the provider's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider refused the code, or us.
    #[error("refused")]
    Refused,
    /// The provider is unreachable, or answered with a server error.
    #[error("down")]
    Down,
    /// The provider took too long, or too many requests wait for it.
    #[error("slow")]
    Slow,
    /// The answer is not valid, or leads where it must not.
    #[error("garbage: {0}")]
    Garbage(&'static str),
}

/// The client of one provider.
#[derive(Debug)]
pub(in crate::outbound) struct Fetcher {
    client: Client,
    origins: BTreeSet<String>,
    turns: Semaphore,
}

/// Why there is no HTTP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct NoClient;

impl Fetcher {
    /// Sends requests to these origins and no others.
    ///
    /// # Errors
    /// [`NoClient`] if the system has no certificates, for example.
    pub(in crate::outbound) fn new(origins: BTreeSet<String>) -> Result<Self, NoClient> {
        // No proxy from the environment: it would read client secrets on plain loopback.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            // GitHub refuses requests without a user agent.
            .user_agent("Signet");
        Ok(Self { client: client.build().map_err(|_| NoClient)?, origins, turns: Semaphore::new(TURNS) })
    }

    /// Whether requests may go to this URL.
    pub(in crate::outbound) fn allows(&self, url: &Url) -> bool {
        let plain = url.username().is_empty() && url.password().is_none();
        plain && self.origins.contains(&url.origin().ascii_serialization())
    }

    /// Sends a request and reads the whole answer, of 256 KiB at most.
    ///
    /// # Errors
    /// [`ProviderError`]; statuses below 500, redirects aside, are for the caller to judge.
    pub(in crate::outbound) async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| ProviderError::Garbage("an address"))?;
        if !self.allows(&url) {
            return Err(ProviderError::Garbage("an address elsewhere"));
        }
        let request = request.try_into().map_err(|_| ProviderError::Garbage("an address"))?;
        tokio::time::timeout(PATIENCE, self.exchange(request)).await.map_err(|_| ProviderError::Slow)?
    }

    /// Reads a JSON document, with a bearer token if one is given.
    pub(in crate::outbound) async fn get(&self, url: &Url, token: Option<&str>) -> Result<Vec<u8>, ProviderError> {
        let mut request = http::Request::get(url.as_str()).header(http::header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Vec::new()).map_err(|_| ProviderError::Garbage("a token"))?;
        let response = self.fetch(request).await?;
        if response.status().is_success() { Ok(response.into_body()) } else { Err(ProviderError::Refused) }
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<HttpResponse, ProviderError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| ProviderError::Slow)?;
        let failed =
            |error: &reqwest::Error| if error.is_timeout() { ProviderError::Slow } else { ProviderError::Down };
        let mut response = self.client.execute(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ProviderError::Down);
        }
        if status.is_redirection() {
            return Err(ProviderError::Garbage("a redirect"));
        }
        let mut whole = http::Response::builder().status(status);
        if let Some(kind) = response.headers().get(http::header::CONTENT_TYPE) {
            whole = whole.header(http::header::CONTENT_TYPE, kind);
        }
        let mut body = Vec::new();
        // `Content-Length` may lie, so the bytes are counted.
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(ProviderError::Garbage("an answer without end"));
            }
            body.extend_from_slice(&chunk);
        }
        whole.body(body).map_err(|_| ProviderError::Garbage("an answer"))
    }
}
