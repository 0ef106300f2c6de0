//! Throttles password guessing, and keeps strangers from locking an account's owner out.
//!
//! Attempts are counted under the typed name and under the account. If the name's counter is full, the answer says so,
//! even for names without an account. If only the account's is full, the answer is that of a wrong password: anything
//! else would tell that an email address and a username belong to one account. A device that the owner has logged in
//! with before has its own counter, used only when one of the others is full.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    crypto::{
        jose::jwt::SignError,
        keys::ring::{KeyKind, Keyring, Purpose},
        known_device::KnownDevice,
        mac,
        random::Random,
    },
    domain::{
        client_info::ClientInfo,
        client_network::ClientNetwork,
        clock::Clock,
        ids::UserId,
        password_hash::PasswordHash,
        throttle::{Counter, Counting, ThrottleKey, ThrottleRule},
        user::User,
    },
    services::{Unavailable, audit::Event, sessions::bearer::Caller},
    store::{
        Database, StoreError, sessions,
        throttles::{self, RefusedNames},
        users::Identifier,
    },
};

/// Counts password attempts.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// How many failures are free; `None` turns throttling off.
    pub rule: Option<ThrottleRule>,
    /// Where counters and sessions are.
    pub db: Database,
    /// The cache of refused names.
    pub refused: RefusedNames,
    /// Its root secrets derive the keys of counters and the tokens of known devices.
    pub keyring: Arc<Keyring>,
    /// Draws device ids.
    pub random: Random,
    pub clock: Arc<dyn Clock>,
}

/// A typed name.
#[derive(Debug)]
pub(in crate::services) struct Name {
    /// The account identifier; `None` if no account can have such a name.
    pub(in crate::services) identifier: Option<Identifier>,
    /// The same for every spelling.
    pub(in crate::services) key: String,
}

/// An account with its password hash.
pub(in crate::services) type Found = (User, Option<PasswordHash>);

/// Whether a password is evaluated.
#[derive(Debug)]
pub(in crate::services) enum ThrottleDecision {
    /// Yes. The attempt was counted here, to be reset or released.
    Evaluated(Vec<Counter>),
    /// No: the answer and its cost are those of a wrong password.
    Dummy,
}

/// Why an attempt is refused.
#[derive(Debug, thiserror::Error)]
pub(in crate::services) enum ThrottleError {
    /// There were too many attempts.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next attempt is allowed.
        retry_after: Duration,
    },
    /// A failure on our side, which is never permission.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(ThrottleError: StoreError, SignError);

impl Throttle {
    /// Refuses a name that is cached as refused, at no cost. A request with the token of a known device passes, and is
    /// decided later.
    pub(in crate::services) fn check_cache(&self, name: &Name, origin: &ClientInfo) -> Result<(), ThrottleError> {
        let now = self.clock.now();
        if self.rule.is_none() || self.presented(origin, now).is_some() {
            return Ok(());
        }
        let by_name = self.by_name(name, now)?;
        match (self.refused.until(&by_name.key, now), self.refused.until(&self.refused_key(name, origin, now)?, now)) {
            (Some(free_at), Some(_)) => Err(too_many(free_at, now)),
            _ => Ok(()),
        }
    }

    /// Counts an attempt at `name`, which refers to the account `found`, before its password is evaluated.
    pub(in crate::services) async fn admit(
        &self,
        name: &Name,
        found: Option<&Found>,
        origin: &ClientInfo,
    ) -> Result<ThrottleDecision, ThrottleError> {
        let Some(rule) = &self.rule else { return Ok(ThrottleDecision::Evaluated(Vec::new())) };
        let now = self.clock.now();
        let by_name = self.by_name(name, now)?;
        let by_account = match found {
            Some((user, _)) => self.counter(Counting::Row, &[b"account", user.id.0.as_bytes()], now)?,
            // The same statements and rows for a name without an account.
            None => self.counter(Counting::Row, &[b"nobody", name.key.as_bytes()], now)?,
        };
        let counted = throttles::attempt(&self.db, &[by_name, by_account], rule, now).await?;
        if counted.len() == 2 {
            return Ok(ThrottleDecision::Evaluated(counted));
        }
        let event = Event::refused("password_check", "throttled");
        match found {
            Some((user, _)) => event.account(user.id).record(),
            None => event.record(),
        }
        if let Some(by_device) = self.known_device(name, found, origin, now).await? {
            self.release(&counted).await?;
            return Ok(ThrottleDecision::Evaluated(vec![self.count(by_device, rule, now).await?]));
        }
        if counted.contains(&by_name) {
            return Ok(ThrottleDecision::Dummy);
        }
        self.release(&counted).await?;
        let free_at = throttles::free_at(&self.db, &by_name.key).await?.unwrap_or(now);
        self.refused.remember(by_name.key, free_at);
        self.refused.remember(self.refused_key(name, origin, now)?, free_at);
        Err(too_many(free_at, now))
    }

    /// Counts an attempt at the caller's own password, by session: no stranger can use up its attempts, and a thief of
    /// its tokens has no more.
    pub(in crate::services) async fn admit_caller(&self, caller: &Caller) -> Result<ThrottleDecision, ThrottleError> {
        let Some(rule) = &self.rule else { return Ok(ThrottleDecision::Evaluated(Vec::new())) };
        let now = self.clock.now();
        let parts: [&[u8]; 3] = [b"session", caller.user.0.as_bytes(), caller.session.0.as_bytes()];
        let by_session = self.counter(Counting::Row, &parts, now)?;
        let counted = self.count(by_session, rule, now).await.inspect_err(|_| {
            Event::refused("password_check", "throttled").account(caller.user).session(caller.session).record();
        })?;
        Ok(ThrottleDecision::Evaluated(vec![counted]))
    }

    /// Notes that the password was right.
    pub(in crate::services) async fn settle(&self, counted: &[Counter]) -> Result<(), Unavailable> {
        if let (Some(rule), [_, ..]) = (&self.rule, counted) {
            throttles::settle(&self.db, counted, rule, self.clock.now()).await?;
            self.refused.forget(counted);
        }
        Ok(())
    }

    /// Deletes the account's failures: its owner has set a new password by email.
    pub(in crate::services) async fn reset(&self, user: UserId) -> Result<(), Unavailable> {
        let Some(rule) = &self.rule else { return Ok(()) };
        let now = self.clock.now();
        let by_account = self.counter(Counting::Row, &[b"account", user.0.as_bytes()], now)?;
        Ok(throttles::settle(&self.db, &[by_account], rule, now).await?)
    }

    /// Undoes the count of an attempt that we could not evaluate.
    pub(in crate::services) async fn release(&self, counted: &[Counter]) -> Result<(), Unavailable> {
        if let (Some(rule), [_, ..]) = (&self.rule, counted) {
            throttles::release(&self.db, counted, rule, self.clock.now()).await?;
            self.refused.forget(counted);
        }
        Ok(())
    }

    /// The token that identifies the device of a login from now on. A device keeps its id, so that its attempts stay
    /// counted together. `None` without throttling.
    pub(in crate::services) fn remember(
        &self,
        user: UserId,
        proof: &PasswordHash,
        origin: &ClientInfo,
    ) -> Result<Option<SecretString>, Unavailable> {
        if self.rule.is_none() {
            return Ok(None);
        }
        let now = self.clock.now();
        let known = self.presented(origin, now).and_then(|presented| presented.of(user, proof));
        let device = known.unwrap_or_else(|| self.random.uuid_v7(now));
        let keys = self.keyring.current();
        let root = keys.active_root_secret(now).ok_or(SignError::NoKey(KeyKind::RootSecret))?;
        Ok(Some(KnownDevice::new(user, device, proof).seal(root, now)))
    }

    /// Counts an attempt under one counter alone.
    async fn count(&self, counter: Counter, rule: &ThrottleRule, now: DateTime<Utc>) -> Result<Counter, ThrottleError> {
        if !throttles::attempt(&self.db, &[counter], rule, now).await?.is_empty() {
            return Ok(counter);
        }
        let free_at = throttles::free_at(&self.db, &counter.key).await?;
        Err(too_many(free_at.unwrap_or(now), now))
    }

    /// The counter of the attempt's device, if the account's owner has logged in there before.
    async fn known_device(
        &self,
        name: &Name,
        found: Option<&Found>,
        origin: &ClientInfo,
        now: DateTime<Utc>,
    ) -> Result<Option<Counter>, ThrottleError> {
        if let (Some((user, Some(proof))), Some(presented)) = (found, self.presented(origin, now))
            && let Some(device) = presented.of(user.id, proof)
        {
            let parts: [&[u8]; 3] = [b"device", user.id.0.as_bytes(), device.as_bytes()];
            return Ok(Some(self.counter(Counting::Row, &parts, now)?));
        }
        // Someone in the owner's network must not learn from an email address which account it belongs to; usernames
        // are public.
        let (Some(Identifier::Username(_)), Some(network)) = (&name.identifier, network(origin)) else {
            return Ok(None);
        };
        let user = found.map_or(UserId(Uuid::nil()), |(user, _)| user.id);
        let addresses = sessions::addresses_of(&self.db, user, now).await?;
        let mut networks = addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        if !networks.any(|address| ClientNetwork::from(address) == network) {
            return Ok(None);
        }
        let network = network.to_string();
        let parts: [&[u8]; 3] = [b"network", user.0.as_bytes(), network.as_bytes()];
        Ok(Some(self.counter(Counting::Row, &parts, now)?))
    }

    /// The device whose token came with the request, of whichever account.
    fn presented(&self, origin: &ClientInfo, now: DateTime<Utc>) -> Option<KnownDevice> {
        let token = origin.device.as_ref()?;
        KnownDevice::open(&self.keyring.current(), token.expose_secret(), now)
    }

    /// The cache key of `name` for this unknown network.
    fn refused_key(&self, name: &Name, origin: &ClientInfo, now: DateTime<Utc>) -> Result<ThrottleKey, SignError> {
        let network = network(origin).map(|network| network.to_string()).unwrap_or_default();
        self.key(&[b"refused", name.key.as_bytes(), network.as_bytes()], now)
    }

    /// The counter of a typed name.
    fn by_name(&self, name: &Name, now: DateTime<Utc>) -> Result<Counter, SignError> {
        self.counter(Counting::Rate, &[b"name", name.key.as_bytes()], now)
    }

    fn counter(&self, counting: Counting, parts: &[&[u8]], now: DateTime<Utc>) -> Result<Counter, SignError> {
        Ok(Counter { key: self.key(parts, now)?, counting })
    }

    /// The key of a counter. When the root secret is replaced, counting starts again, once.
    fn key(&self, parts: &[&[u8]], now: DateTime<Utc>) -> Result<ThrottleKey, SignError> {
        let keys = self.keyring.current();
        let root = keys.active_root_secret(now).ok_or(SignError::NoKey(KeyKind::RootSecret))?;
        Ok(ThrottleKey(mac::code(&root.derive(Purpose::Throttle), parts)))
    }
}

fn network(origin: &ClientInfo) -> Option<ClientNetwork> {
    origin.ip.as_ref()?.parse::<IpAddr>().ok().map(ClientNetwork::from)
}

fn too_many(free_at: DateTime<Utc>, now: DateTime<Utc>) -> ThrottleError {
    ThrottleError::TooMany { retry_after: (free_at - now).to_std().unwrap_or_default() }
}
