//! Where keys come from: given once and for all, or fetched from the issuer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::Url;

use crate::{
    error::{Distrust, Document, VerifyError},
    fetch::{Answer, FetchError, Fetcher, Freshness},
    jwks::{Key, KeySet},
    remote_copy::{Loaded, Outage, RemoteCopy, Source},
};

/// The longest JWK set in bytes.
const MAX_JWKS: usize = 256 * 1024;
/// How long a JWK set is kept where the answer does not say.
const DEFAULT_MAX_AGE: Duration = Duration::from_mins(5);
/// The bounds of what it may say.
const MAX_AGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));

/// The issuer's keys.
#[derive(Debug, Clone)]
pub(crate) enum Keys {
    /// Given, and never asked for.
    Fixed(Arc<KeySet>),
    /// Published.
    Published(Arc<RemoteCopy<JwksSource>>),
}

impl Keys {
    /// The key of this `kid`.
    ///
    /// # Errors
    /// [`Distrust::UnknownKey`] where the issuer has none, in a set that was fetched for this look;
    /// [`VerifyError::Unavailable`] where that cannot be told: the issuer does not answer, or was asked a moment ago. It may
    /// have published a key since, and a client throws a token away on 401.
    pub(crate) async fn find(&self, kid: &str) -> Result<Arc<Key>, VerifyError> {
        let key = match self {
            Self::Fixed(set) => set.find(kid),
            Self::Published(copy) => {
                let seen = copy.current().await.map_err(unavailable)?;
                match seen.value.find(kid) {
                    // A key may be new: one that takes the place of a revoked key signs at once.
                    None => copy.newer(&seen).await.map_err(unavailable)?.value.find(kid),
                    found => found,
                }
            }
        };
        key.ok_or(VerifyError::Untrusted(Distrust::UnknownKey))
    }

    /// Fetches the keys unless they are at hand.
    ///
    /// # Errors
    /// [`VerifyError::Unavailable`] where there are none to be had.
    pub(crate) async fn ready(&self) -> Result<(), VerifyError> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::Published(copy) => copy.current().await.map(drop).map_err(unavailable),
        }
    }
}

fn unavailable(Outage(cause): Outage) -> VerifyError {
    VerifyError::Unavailable { document: Document::Keys, cause }
}

/// The issuer's JWK set.
#[derive(Debug)]
pub(crate) struct JwksSource {
    pub(crate) fetcher: Fetcher,
    pub(crate) url: Url,
    /// How long the keys are used where the issuer does not answer.
    pub(crate) outage: Duration,
}

impl Source for JwksSource {
    type Value = KeySet;

    async fn load(&self, held: Option<Arc<KeySet>>, now: SystemTime) -> Result<Loaded<KeySet>, FetchError> {
        const ACCEPT: &str = "application/jwk-set+json, application/json;q=0.9";
        let tag = held.as_ref().and_then(|held| held.etag.as_deref());
        let (value, freshness) = match (self.fetcher.get(&self.url, ACCEPT, tag, MAX_JWKS).await?, &held) {
            (Answer::NotModified(freshness), Some(held)) => (Arc::clone(held), freshness),
            (Answer::NotModified(_), None) => return Err(FetchError::invalid("nothing was said to be unchanged")),
            (Answer::Fetched { body, etag, freshness }, _) => {
                (Arc::new(KeySet::parse(&body, etag).map_err(FetchError::invalid)?), freshness)
            }
        };
        Ok(Loaded { value, fresh_for: bounded(freshness), usable_until: now + self.outage })
    }
}

fn bounded(freshness: Freshness) -> Duration {
    freshness.unwrap_or(DEFAULT_MAX_AGE).clamp(MAX_AGE.0, MAX_AGE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_neither_for_ever_nor_not_at_all() {
        assert_eq!(bounded(None), Duration::from_mins(5));
        assert_eq!(bounded(Some(Duration::ZERO)), Duration::from_secs(1));
        assert_eq!(bounded(Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert_eq!(bounded(Some(Duration::from_hours(48))), Duration::from_hours(1));
    }
}
