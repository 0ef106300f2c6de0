//! Settings, checked once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Url;

use crate::{
    clock::{Clock, SystemClock, numeric_date},
    fetch::Fetcher,
    jwks::KeySet,
    jws::Jws,
    keys::{JwksSource, Keys},
    remote_copy::RemoteCopy,
    revocation::{Lists, Origin, Revocation, StatusPolicy, is_own, prefix},
    status_list::{MAX_STATUS_LIST_TOKEN, StatusList, TYP},
    verifier::Verifier,
};

/// The most that may be added to `exp` (the issuer's clock and ours differ by no more).
const MAX_LEEWAY: Duration = Duration::from_secs(30);

/// Makes a [`Verifier`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    issuer: String,
    audience: Option<String>,
    leeway: Duration,
    jwks_url: Option<String>,
    jwks: Option<String>,
    cool_down: Duration,
    outage: Duration,
    policy: Option<StatusPolicy>,
    status_list_ttl: Duration,
    status_lists: Vec<String>,
    clock: Arc<dyn Clock>,
}

/// Why there is no verifier with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The issuer is not written as its tokens write it.
    #[error("the issuer must be https:// (http:// on a loopback address) and a host, without path or trailing slash")]
    Issuer,
    /// No audience.
    #[error("an audience must be set: the name of this service, as it is in the aud claim")]
    Audience,
    /// Too much leeway.
    #[error("the leeway may be at most 30 seconds")]
    Leeway,
    /// Keys fetched from there could be anybody's.
    #[error("the URL of the keys must be https:// (http:// on a loopback address)")]
    JwksUrl,
    /// The keys given cannot be used.
    #[error("the keys given cannot be used: {0}")]
    Jwks(&'static str),
    /// A status list given cannot be used.
    #[error("the status list given cannot be used: {0}")]
    StatusList(String),
    /// Whether revoked tokens are to be accepted is not for a default to say.
    #[error("without network, give the status lists, or choose a status policy")]
    StatusPolicy,
    /// The HTTP client cannot be made: most often, the machine has no root certificates.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

impl Builder {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            audience: None,
            leeway: Duration::ZERO,
            jwks_url: None,
            jwks: None,
            cool_down: Duration::from_secs(10),
            outage: Duration::from_hours(24),
            policy: None,
            status_list_ttl: Duration::from_mins(1),
            status_lists: Vec::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The name of this service, as it is in the `aud` claim; compared byte for byte. Required.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// How long after its `exp` a token is still accepted: none unless set, at most 30 seconds, in whole seconds.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Where the keys are published, instead of `/.well-known/jwks.json` below the issuer.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.jwks_url = Some(url.into());
        self
    }

    /// The keys themselves, a JWK set in JSON. The verifier then never uses the network; so status lists must be
    /// [given](Self::status_list) too, or a [policy](Self::status_policy) chosen.
    pub fn jwks(mut self, json: impl Into<String>) -> Self {
        self.jwks = Some(json.into());
        self
    }

    /// How often, at most, tokens with an unknown `kid` make the verifier fetch the keys: every 10 seconds unless set,
    /// and never more often than every second.
    pub fn unknown_kid_cool_down(mut self, cool_down: Duration) -> Self {
        self.cool_down = cool_down.max(Duration::from_secs(1));
        self
    }

    /// How long the keys at hand are used where the issuer does not answer: 24 hours after they were fetched unless
    /// set. A key that was revoked meanwhile is trusted for as long.
    pub fn outage_tolerance(mut self, outage: Duration) -> Self {
        self.outage = outage;
        self
    }

    /// The policy for tokens whose status is unknown: [`StatusPolicy::FailClosed`] unless set.
    pub fn status_policy(mut self, policy: StatusPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// How long a status list is used before it is fetched again, at most: 60 seconds unless set, never under one. The
    /// list's own `ttl` may be shorter.
    pub fn status_list_ttl(mut self, ttl: Duration) -> Self {
        self.status_list_ttl = ttl;
        self
    }

    /// A status list token, for a verifier whose [keys are given](Self::jwks): what it says holds until its `exp`.
    /// May be called for several lists.
    pub fn status_list(mut self, token: impl Into<String>) -> Self {
        self.status_lists.push(token.into());
        self
    }

    /// Another clock, for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The verifier. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`BuildError`] says which setting is wrong.
    pub fn build(self) -> Result<Verifier, BuildError> {
        let issuer_url = trusted_url(&self.issuer).ok_or(BuildError::Issuer)?;
        if issuer_url.origin().ascii_serialization() != self.issuer {
            return Err(BuildError::Issuer);
        }
        let audience = self.audience.clone().filter(|audience| !audience.is_empty()).ok_or(BuildError::Audience)?;
        if self.leeway > MAX_LEEWAY {
            return Err(BuildError::Leeway);
        }
        let leeway = i64::try_from(self.leeway.as_secs()).map_err(|_| BuildError::Leeway)?;
        let (keys, lists) = match &self.jwks {
            Some(jwks) => self.given(jwks)?,
            None => self.published(&issuer_url)?,
        };
        let policy = self.policy.unwrap_or_default();
        let revocation = Revocation::new(policy, &self.issuer, lists, Arc::clone(&self.clock));
        Ok(Verifier::new(self.issuer, audience, leeway, keys, revocation, self.clock))
    }

    fn given(&self, jwks: &str) -> Result<(Keys, Lists), BuildError> {
        if self.policy.is_none() && self.status_lists.is_empty() {
            return Err(BuildError::StatusPolicy);
        }
        let keys = KeySet::parse(jwks.as_bytes(), None).map_err(BuildError::Jwks)?;
        let lists = self.status_lists.iter().map(|token| {
            let list = self.given_list(&keys, token).map_err(BuildError::StatusList)?;
            Ok((list.uri.clone(), list))
        });
        let lists = lists.collect::<Result<HashMap<_, _>, _>>()?;
        Ok((Keys::Fixed(Arc::new(keys)), Lists::Given(lists)))
    }

    fn given_list(&self, keys: &KeySet, token: &str) -> Result<StatusList, String> {
        let jws = Jws::parse(token, MAX_STATUS_LIST_TOKEN)?;
        jws.expect_type(TYP).map_err(|distrust| distrust.to_string())?;
        let key = keys.find(jws.kid()).ok_or("signed with an unknown key")?;
        let payload = jws.verify(&key).map_err(|distrust| distrust.to_string())?;
        let prefix = prefix(&self.issuer);
        let now = numeric_date(self.clock.now());
        Ok(StatusList::read(&payload, |sub| is_own(&prefix, sub), &self.issuer, now, None)?)
    }

    fn published(&self, issuer: &Url) -> Result<(Keys, Lists), BuildError> {
        if !self.status_lists.is_empty() {
            return Err(BuildError::StatusList("lists are fetched, unless the keys are given too".to_owned()));
        }
        let url = match &self.jwks_url {
            Some(url) => trusted_url(url).ok_or(BuildError::JwksUrl)?,
            None => issuer.join("/.well-known/jwks.json").map_err(|_| BuildError::Issuer)?,
        };
        let fetcher =
            Fetcher::new(is_loopback(issuer) && is_loopback(&url)).map_err(|e| BuildError::Client(e.to_string()))?;
        let source = JwksSource { fetcher: fetcher.clone(), url, outage: self.outage };
        let keys = Keys::Published(RemoteCopy::new(source, Arc::clone(&self.clock), self.cool_down));
        let origin = Origin {
            fetcher,
            keys: keys.clone(),
            issuer: self.issuer.clone(),
            ttl: self.status_list_ttl,
            cool_down: self.cool_down,
        };
        Ok((keys, Lists::Published { origin, copies: Mutex::default() }))
    }
}

/// A URL that only its owner can answer for: https, or this machine.
fn trusted_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let trusted = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    (plain && trusted && url.has_host()).then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(issuer: &str, set: impl FnOnce(Builder) -> Builder) -> Option<BuildError> {
        set(Builder::new(issuer.to_owned()).audience("api")).build().err()
    }

    #[test]
    fn an_issuer_that_tokens_cannot_name_is_refused() {
        for issuer in [
            "https://id.example.com/",
            "https://id.example.com/path",
            "https://id.example.com?query",
            "https://user@id.example.com",
            "https://ID.example.com",
            "https://id.example.com:443",
            "http://id.example.com",
            "ftp://id.example.com",
            "id.example.com",
            "",
        ] {
            assert_eq!(build(issuer, |builder| builder), Some(BuildError::Issuer), "{issuer}");
        }
        for issuer in
            ["https://id.example.com", "https://id.example.com:8443", "http://127.0.0.1:8080", "http://[::1]:1"]
        {
            assert_eq!(build(issuer, |builder| builder), None, "{issuer}");
        }
    }

    #[test]
    fn keys_never_come_over_an_open_line() {
        let from = |url: &str| build("https://id.example.com", |builder| builder.jwks_url(url));
        assert_eq!(from("http://id.example.com/jwks"), Some(BuildError::JwksUrl));
        assert_eq!(from("http://127.0.0.1.example.com/jwks"), Some(BuildError::JwksUrl));
        assert_eq!(from("http://localhost:1/jwks"), None);
    }

    #[test]
    fn nothing_that_matters_is_left_to_chance() {
        let issuer = "https://id.example.com";
        assert_eq!(build(issuer, |builder| builder.audience("")), Some(BuildError::Audience));
        assert_eq!(build(issuer, |builder| builder.leeway(Duration::from_millis(30_001))), Some(BuildError::Leeway));
        assert_eq!(build(issuer, |builder| builder.jwks("{}")), Some(BuildError::StatusPolicy));
        let ignoring = |builder: Builder| builder.status_policy(StatusPolicy::Ignore).jwks("{}");
        assert_eq!(build(issuer, ignoring), Some(BuildError::Jwks("not a JWK set")));
        assert!(matches!(build(issuer, |builder| builder.status_list("a.b.c")), Some(BuildError::StatusList(_))));
    }
}
