//! Fetching the issuer's documents: bounded in time and size, without redirects.

use std::{error::Error, fmt::Write, time::Duration};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, AGE, CACHE_CONTROL, ETAG, HeaderMap, IF_NONE_MATCH},
    redirect,
};

/// How long one fetch may take, from the look-up of the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches documents. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    client: Client,
}

/// The issuer's answer.
pub(crate) enum Answer {
    /// The copy that we have is still the newest.
    NotModified(Freshness),
    /// A document.
    Fetched {
        /// The body, within the limit.
        body: Vec<u8>,
        /// Its entity tag.
        etag: Option<String>,
        /// How long it may be kept.
        freshness: Freshness,
    },
}

/// How long the answer may be kept without asking again (RFC 9111 §4.2); `None` where it does not say.
pub(crate) type Freshness = Option<Duration>;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// No answer, or not a whole one.
    #[error("{0}")]
    Network(String),
    /// An answer of another status; a redirect is one of them.
    #[error("the issuer answered {0}")]
    Status(u16),
    /// Longer than any document of its kind.
    #[error("the document has more than {0} bytes")]
    TooLong(usize),
    /// Not the document that it should be.
    #[error("{0}")]
    Invalid(String),
}

impl FetchError {
    /// Not the document that it should be, and why.
    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}

impl Fetcher {
    /// A fetcher. The environment's proxies are used, unless it is `local`: no proxy leads to a loopback address.
    pub(crate) fn new(local: bool) -> reqwest::Result<Self> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("signet-verifier/", env!("CARGO_PKG_VERSION")));
        let client = if local { client.no_proxy() } else { client };
        Ok(Self { client: client.build()? })
    }

    /// Fetches the document at `url`, of at most `limit` bytes, unless it is still the one tagged `etag`.
    pub(crate) async fn get(
        &self,
        url: &Url,
        accept: &'static str,
        etag: Option<&str>,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let mut request = self.client.get(url.clone()).header(ACCEPT, accept);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await?;
        let freshness = freshness(response.headers());
        match response.status() {
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Answer::NotModified(freshness)),
            StatusCode::OK => {
                let etag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                Ok(Answer::Fetched { body: body(response, limit).await?, etag, freshness })
            }
            other => Err(FetchError::Status(other.as_u16())),
        }
    }
}

/// The body, read no further than `limit`: `Content-Length` may be absent, or a lie.
async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `max-age` less the time that a cache on the way has had it. What must not be cached is fresh for no time.
fn freshness(headers: &HeaderMap) -> Freshness {
    let mut max_age = None;
    for field in headers.get_all(CACHE_CONTROL) {
        for directive in field.to_str().unwrap_or_default().split(',') {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Some(Duration::ZERO);
            }
            if name.eq_ignore_ascii_case("max-age") {
                max_age = max_age.or(seconds(value.trim().trim_matches('"')));
            }
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()).and_then(seconds).unwrap_or_default();
    max_age.map(|max_age| max_age.saturating_sub(age))
}

/// Delta-seconds (RFC 9111 §1.2.2): digits, and a number too large is a large one.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(u64::from(text.parse::<u32>().unwrap_or(u32::MAX))))
}

impl From<reqwest::Error> for FetchError {
    /// With its causes: reqwest's own message only says that there was an error.
    fn from(error: reqwest::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing to a string cannot fail.
            let _ = write!(message, ": {error}");
            cause = error.source();
        }
        Self::Network(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    fn of(cache_control: &str, age: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_str(cache_control).unwrap());
        if let Some(age) = age {
            headers.insert(AGE, HeaderValue::from_str(age).unwrap());
        }
        freshness(&headers).map(|freshness| freshness.as_secs())
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_says() {
        assert_eq!(of("public, max-age=300", None), Some(300));
        assert_eq!(of("MAX-AGE=\"300\"", Some("60")), Some(240));
        assert_eq!(of("max-age=60", Some("61")), Some(0));
        assert_eq!(of("max-age=300, no-cache", None), Some(0));
        assert_eq!(of("no-store", None), Some(0));
        assert_eq!(of("max-age=99999999999999999999", None), Some(u64::from(u32::MAX)));
        for unsaid in ["public", "max-age", "max-age=", "max-age=-1", "max-age=+1", "s-maxage=5"] {
            assert_eq!(of(unsaid, None), None, "{unsaid}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_wild_to_be_read(cache_control in "[ -~]{0,60}", age in "[ -~]{0,20}") {
            of(&cache_control, Some(&age));
        }
    }
}
