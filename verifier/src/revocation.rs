//! Whether a token has been revoked: the issuer's status lists, and what to do without them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::Url;

use crate::{
    claims::StatusReference,
    clock::{Clock, numeric_date, time_of},
    error::{Distrust, Document, VerifyError},
    fetch::{Answer, FetchError, Fetcher},
    jws::Jws,
    keys::Keys,
    remote_copy::{Loaded, Outage, RemoteCopy, Source},
    status_list::{MAX_STATUS_LIST_TOKEN, StatusList, TYP},
};

/// What to do with a token whose status cannot be told, because its status list cannot be had and the copy of it, if
/// there is one, has expired.
///
/// Client-credentials tokens have no status; they are accepted under each policy, and so is a token with a session
/// but no status, from an issuer that publishes no status lists: it ends with its `exp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StatusPolicy {
    /// Refuse it as [`Unavailable`](VerifyError::Unavailable).
    #[default]
    FailClosed,
    /// Accept it. An attacker who can keep this service from reaching the issuer can use a stolen token after its session has
    /// been revoked, until its `exp`. What a status list says is still obeyed while there is one.
    DangerouslyFailOpen,
    /// Never ask: tokens are good until their `exp`, whatever has been revoked.
    Ignore,
}

/// The issuer's status lists.
#[derive(Debug)]
pub(crate) struct Revocation {
    policy: StatusPolicy,
    prefix: String,
    lists: Lists,
    clock: Arc<dyn Clock>,
}

/// Where status lists come from.
#[derive(Debug)]
pub(crate) enum Lists {
    /// Given, by their names, and never asked for.
    Given(HashMap<String, StatusList>),
    /// Published; a copy of each that a token has named.
    Published { origin: Origin, copies: Mutex<HashMap<String, Arc<RemoteCopy<StatusListSource>>>> },
}

/// The settings for fetching status lists.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) fetcher: Fetcher,
    pub(crate) keys: Keys,
    pub(crate) issuer: String,
    /// How long a list is kept at most, and where it does not say.
    pub(crate) ttl: Duration,
    /// How often a list is fetched at most because an index is past its end.
    pub(crate) cool_down: Duration,
}

impl Revocation {
    /// Knows what `issuer` revokes.
    pub(crate) fn new(policy: StatusPolicy, issuer: &str, lists: Lists, clock: Arc<dyn Clock>) -> Self {
        Self { policy, prefix: prefix(issuer), lists, clock }
    }

    /// Refuses what has been revoked.
    pub(crate) async fn check(&self, reference: &StatusReference) -> Result<(), VerifyError> {
        if self.policy == StatusPolicy::Ignore {
            return Ok(());
        }
        if !is_own(&self.prefix, &reference.uri) {
            return Err(Distrust::ForeignStatusList.into());
        }
        match (self.status(reference).await, self.policy) {
            (Ok(Some(0)), _) | (Err(_), StatusPolicy::DangerouslyFailOpen) => Ok(()),
            (Ok(Some(status)), _) => Err(VerifyError::Revoked(status)),
            (Ok(None), _) => Err(Distrust::NotInStatusList.into()),
            (Err(Outage(cause)), _) => Err(VerifyError::Unavailable { document: Document::StatusList, cause }),
        }
    }

    /// The status, `None` where the list does not go that far.
    async fn status(&self, reference: &StatusReference) -> Result<Option<u8>, Outage> {
        let StatusReference { idx, uri } = reference;
        match &self.lists {
            Lists::Given(lists) => {
                let now = numeric_date(self.clock.now());
                let list = lists.get(uri).filter(|list| now < list.exp);
                list.map(|list| list.status(*idx)).ok_or_else(|| Outage("none was given, or it has expired".into()))
            }
            Lists::Published { origin, copies } => {
                let copy = self.copy(origin, copies, uri)?;
                let seen = copy.current().await?;
                match seen.value.status(*idx) {
                    // Lists grow: a session may have begun after ours was fetched.
                    None => Ok(copy.newer(&seen).await?.value.status(*idx)),
                    status => Ok(status),
                }
            }
        }
    }

    /// The copy of the list at `uri`, made where there is none; those that are of no use any more go then.
    fn copy(
        &self,
        origin: &Origin,
        copies: &Mutex<HashMap<String, Arc<RemoteCopy<StatusListSource>>>>,
        uri: &str,
    ) -> Result<Arc<RemoteCopy<StatusListSource>>, Outage> {
        // Nothing that holds the lock can panic half-way through a change.
        let mut copies = copies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = copies.get(uri) {
            return Ok(Arc::clone(copy));
        }
        let now = self.clock.now();
        copies.retain(|_, copy| Arc::strong_count(copy) > 1 || copy.usable_until().is_some_and(|until| now < until));
        let url = Url::parse(uri).map_err(|_| Outage("its address cannot be read".into()))?;
        let source = StatusListSource { origin: origin.clone(), uri: uri.to_owned(), url };
        let copy = RemoteCopy::new(source, Arc::clone(&self.clock), origin.cool_down);
        copies.insert(uri.to_owned(), Arc::clone(&copy));
        Ok(copy)
    }
}

/// Where the lists of `issuer` are.
pub(crate) fn prefix(issuer: &str) -> String {
    format!("{issuer}/oauth/status-lists/")
}

/// Whether `uri` is one name below `prefix`: nothing that leads elsewhere.
pub(crate) fn is_own(prefix: &str, uri: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    uri.strip_prefix(prefix).is_some_and(|name| !name.is_empty() && name.bytes().all(plain))
}

/// One status list of the issuer's.
#[derive(Debug)]
pub(crate) struct StatusListSource {
    origin: Origin,
    uri: String,
    url: Url,
}

impl StatusListSource {
    /// Reads a status list token that was fetched.
    async fn read(&self, token: &[u8], now: i64, etag: Option<String>) -> Result<StatusList, FetchError> {
        let token = str::from_utf8(token).map_err(|_| FetchError::invalid("it is not a JWT"))?;
        let jws = Jws::parse(token.trim_ascii(), MAX_STATUS_LIST_TOKEN).map_err(FetchError::invalid)?;
        let invalid = |distrust: Distrust| FetchError::invalid(distrust.to_string());
        jws.expect_type(TYP).map_err(invalid)?;
        let key = self.origin.keys.find(jws.kid()).await.map_err(|error| FetchError::invalid(error.to_string()))?;
        let payload = jws.verify(&key).map_err(invalid)?;
        StatusList::read(&payload, |sub| sub == self.uri, &self.origin.issuer, now, etag).map_err(FetchError::invalid)
    }

    /// How long the list is kept: as it says, within our own limit, which the freshness of the answer does not move.
    fn fresh_for(&self, list: &StatusList) -> Duration {
        list.ttl.unwrap_or(self.origin.ttl).min(self.origin.ttl).max(Duration::from_secs(1))
    }
}

impl Source for StatusListSource {
    type Value = StatusList;

    async fn load(&self, held: Option<Arc<StatusList>>, now: SystemTime) -> Result<Loaded<StatusList>, FetchError> {
        let ends = |list: &StatusList| time_of(list.exp).ok_or_else(|| FetchError::invalid("its exp is no time"));
        // A copy that ends before it would be asked for again is replaced, not confirmed.
        let held = held.filter(|held| ends(held).is_ok_and(|end| end > now + self.fresh_for(held)));
        let tag = held.as_ref().and_then(|held| held.etag.as_deref());
        let answer = self.origin.fetcher.get(&self.url, "application/statuslist+jwt", tag, MAX_STATUS_LIST_TOKEN);
        let value = match (answer.await?, held) {
            (Answer::NotModified(_), Some(held)) => held,
            (Answer::NotModified(_), None) => return Err(FetchError::invalid("nothing was said to be unchanged")),
            (Answer::Fetched { body, etag, .. }, held) => {
                let list = self.read(&body, numeric_date(now), etag).await?;
                // A replica that lags behind must not undo a revocation.
                held.filter(|held| held.iat > list.iat).unwrap_or_else(|| Arc::new(list))
            }
        };
        Ok(Loaded { fresh_for: self.fresh_for(&value), usable_until: ends(&value)?, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_below_the_issuer_is_a_list_of_its() {
        let own = prefix("https://id.example.com");
        for uri in ["1", "42", "2026-11_b"] {
            assert!(is_own(&own, &format!("{own}{uri}")), "{uri}");
        }
        for uri in ["", ".", "..", "../../x", "1/2", "1?a", "1#a", "%2e%2e", "1 ", "\u{e9}", "1@evil.example"] {
            assert!(!is_own(&own, &format!("{own}{uri}")), "{uri}");
        }
        for uri in [
            "https://evil.example.com/oauth/status-lists/1",
            "https://id.example.com.evil.example/oauth/status-lists/1",
            "https://id.example.com@evil.example/oauth/status-lists/1",
            "http://id.example.com/oauth/status-lists/1",
            "https://ID.example.com/oauth/status-lists/1",
        ] {
            assert!(!is_own(&own, uri), "{uri}");
        }
    }
}
