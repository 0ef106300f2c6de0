//! The one way in which a provider is asked anything: at pinned origins, without redirects, bounded in time and length.

use std::{collections::BTreeSet, time::Duration};

use oauth2::{HttpRequest, HttpResponse, http};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::Semaphore;
use url::Url;

/// How long one answer may take, from the wait for a turn to its last byte.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// The most that an answer may hold, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// How many requests wait for one provider at a time. A slow one keeps no more of ours than this.
const TURNS: usize = 32;

/// Why a provider did not give what it was asked for. Nothing that it said is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It refused: the code, or us.
    #[error("refused")]
    Refused,
    /// It cannot be reached, or says that it is in trouble.
    #[error("down")]
    Down,
    /// It took too long, or too many wait for it already.
    #[error("slow")]
    Slow,
    /// What it says cannot be what it means, or leads where it must not.
    #[error("garbage: {0}")]
    Garbage(&'static str),
}

/// Asks one provider.
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
    /// Asks at these origins and no others.
    ///
    /// # Errors
    /// [`NoClient`] where the system has no certificates, for example.
    pub(in crate::outbound) fn new(origins: BTreeSet<String>) -> Result<Self, NoClient> {
        // No proxy from the environment: whoever sets one would read client secrets on plain loopback.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            // GitHub refuses whoever does not name themselves.
            .user_agent("Signet");
        Ok(Self { client: client.build().map_err(|_| NoClient)?, origins, turns: Semaphore::new(TURNS) })
    }

    /// Whether requests may go there.
    pub(in crate::outbound) fn allows(&self, url: &Url) -> bool {
        let plain = url.username().is_empty() && url.password().is_none();
        plain && self.origins.contains(&url.origin().ascii_serialization())
    }

    /// Sends a request, and reads the whole answer, if it has one of less than 256 KiB.
    ///
    /// # Errors
    /// [`ProviderError`]; of a status below 500 but a redirect it is the caller's to judge.
    pub(in crate::outbound) async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|_| ProviderError::Garbage("an address"))?;
        if !self.allows(&url) {
            return Err(ProviderError::Garbage("an address elsewhere"));
        }
        let request = request.try_into().map_err(|_| ProviderError::Garbage("an address"))?;
        tokio::time::timeout(PATIENCE, self.exchange(request)).await.map_err(|_| ProviderError::Slow)?
    }

    /// Reads a JSON document, with this token if one is given.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub(in crate::outbound) async fn get(&self, url: &Url, token: Option<&str>) -> Result<Vec<u8>, ProviderError> {
        let mut request = http::Request::get(url.as_str()).header(http::header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Vec::new()).map_err(|_| ProviderError::Garbage("a token"))?;
        let response = self.fetch(request).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            _ => Err(ProviderError::Refused),
        }
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<HttpResponse, ProviderError> {
        // It is never closed.
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
        // What it says of its length may be a lie, so that it is counted.
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(ProviderError::Garbage("an answer without end"));
            }
            body.extend_from_slice(&chunk);
        }
        whole.body(body).map_err(|_| ProviderError::Garbage("an answer"))
    }
}
