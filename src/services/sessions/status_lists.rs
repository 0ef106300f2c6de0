//! Status lists (draft-ietf-oauth-status-list): one signed, compressed bit for each session, from which gateways learn
//! of revocations. Built from the list's own bits in memory, at most once a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    crypto::{jose::jwt::Jwt, status_list},
    domain::{claims::numeric_date, clock::Clock, status_list::StatusListClaims},
    services::{Unavailable, keys::published::ETagged},
    store::{Database, revocations::Revocations, sessions},
};

#[derive(Debug, Clone)]
pub struct StatusLists {
    pub jwt: Arc<Jwt>,
    /// Which sessions have ended.
    pub revocations: Revocations,
    /// Tells how many lists there are.
    pub db: Database,
    pub clock: Arc<dyn Clock>,
    /// `iss`, and the prefix of every list's URI.
    pub issuer: String,
    pub built: StatusListCache,
}

/// The cache of built lists.
#[derive(Debug, Clone, Default)]
pub struct StatusListCache(Arc<Mutex<Shelved>>);

#[derive(Debug, Default)]
struct Shelved {
    lists: HashMap<u16, Arc<Published>>,
    building: HashMap<u16, Arc<tokio::sync::Mutex<()>>>,
    last: Option<(u16, Instant)>,
}

/// A signed status list.
#[derive(Debug)]
pub struct Published {
    /// The status list token, a JWT of type `statuslist+jwt`, and its entity tag.
    pub tagged: ETagged,
    /// The version of its bits.
    version: u64,
    issued: DateTime<Utc>,
    looked: Instant,
    /// The key that signed it.
    kid: Option<String>,
}

/// The shortest time between two builds of a list.
const AT_MOST: Duration = Duration::from_secs(1);

impl StatusLists {
    /// The status list `number`; `None` if it does not exist. While this process does not know the newest revocations,
    /// it returns the last built list, with its old times.
    ///
    /// # Errors
    /// [`Unavailable`] where there is none to give.
    pub async fn get(&self, number: u16) -> Result<Option<Arc<Published>>, Unavailable> {
        if let Some(fresh) = self.fresh(number) {
            return Ok(Some(fresh));
        }
        if !self.exists(number).await? {
            return Ok(None);
        }
        let builder = {
            let mut shelved = self.shelf();
            Arc::clone(shelved.building.entry(number).or_default())
        };
        // One request builds the list; the others wait for it.
        let _turn = builder.lock().await;
        let old = self.on_shelf(number);
        if let Some(fresh) = old.as_ref().filter(|shelved| shelved.looked.elapsed() < AT_MOST) {
            return Ok(Some(Arc::clone(fresh)));
        }
        if !self.revocations.are_current() {
            return old.map(Some).ok_or(Unavailable::Stale);
        }
        let this = self.clone();
        let built = tokio::task::spawn_blocking(move || this.build(number, old.as_deref())).await;
        let published = Arc::new(built.map_err(|_| Unavailable::TooSlow)??);
        self.shelf().lists.insert(number, Arc::clone(&published));
        Ok(Some(published))
    }

    /// The status list `number`, if it was built or looked at within the last second.
    #[must_use]
    pub fn fresh(&self, number: u16) -> Option<Arc<Published>> {
        self.on_shelf(number).filter(|shelved| shelved.looked.elapsed() < AT_MOST)
    }

    fn build(&self, number: u16, old: Option<&Published>) -> Result<Published, Unavailable> {
        let looked = Instant::now();
        let now = self.clock.now();
        let kid = self.jwt.access_kid(now);
        let is_young = |old: &&Published| now < old.issued + TimeDelta::seconds(StatusListClaims::TTL.into());
        // A list under a revoked key is verified by nobody.
        let good = old.filter(is_young).filter(|old| old.kid == kid);
        let state = self.revocations.status_list(number, good.map(|old| old.version));
        let state = match (good, state) {
            // Nothing ended since the last build: the same token is served until its `ttl` is over.
            (Some(&Published { ref tagged, version, issued, .. }), None) => {
                return Ok(Published { tagged: tagged.clone(), version, issued, looked, kid });
            }
            (_, state) => state.unwrap_or_default(),
        };
        let version = state.version;
        let bits = status_list::encode(state.bits);
        let (iat, exp) = (numeric_date(now), numeric_date(now + StatusListClaims::LIFETIME));
        let claims = StatusListClaims::of(&self.issuer, number, bits, iat, exp);
        let tagged = ETagged::of(self.jwt.sign_status_list(&claims, now)?);
        Ok(Published { tagged, version, issued: now, looked, kid })
    }

    /// Whether any session has an index in the list, or may be given one.
    async fn exists(&self, number: u16) -> Result<bool, Unavailable> {
        if number == 0 {
            return Ok(true);
        }
        let known = self.shelf().last;
        match known {
            Some((last, _)) if number <= last => return Ok(true),
            Some((_, asked)) if asked.elapsed() < AT_MOST => return Ok(false),
            _ => {}
        }
        let last = sessions::last_status_list(&self.db).await?.unwrap_or(0);
        self.shelf().last = Some((last, Instant::now()));
        Ok(number <= last)
    }

    fn on_shelf(&self, number: u16) -> Option<Arc<Published>> {
        self.shelf().lists.get(&number).map(Arc::clone)
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelved> {
        // No holder of the lock leaves the cache in a broken state.
        self.built.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
