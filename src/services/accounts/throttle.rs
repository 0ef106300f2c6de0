//! Slows down the guessing of passwords, and keeps strangers from locking an account's owner out.
//!
//! Attempts are counted under what was typed as a name, and under the account. Where the name's counter is full, the
//! answer says so, for names that no account has too. Where only the account's is, the answer is that of a wrong
//! password: anything else would tell that this address and that username are one account. A device that the owner has
//! logged in with before has a counter of its own, which is asked only when one of the others is full.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    crypto::{
        jose::jwt::SignError,
        keys::ring::{KeyKind, Keyring, Purpose},
        known_device::{self, KnownDevice},
        mac,
        random::Random,
    },
    domain::{
        client_network::ClientNetwork,
        clock::Clock,
        ids::UserId,
        password_hash::PasswordHash,
        throttle::{Counter, Counting, ThrottleKey, ThrottleRule},
        user::User,
    },
    services::{
        Unavailable,
        audit::Event,
        sessions::{bearer::Caller, login::ClientInfo},
    },
    store::{
        Database, sessions,
        throttles::{self, RefusedNames},
        users::Identifier,
    },
};

/// How long a device stays known after a login.
pub const KNOWN_FOR: TimeDelta = known_device::KNOWN_FOR;

/// Counts attempts at passwords.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// How many failures are free; `None` counts nothing.
    pub rule: Option<ThrottleRule>,
    /// Where counters and sessions are.
    pub db: Database,
    /// Names that this process knows to be refused.
    pub refused: RefusedNames,
    /// Names counters, and makes the tokens of known devices.
    pub keyring: Arc<Keyring>,
    /// Draws the ids of devices.
    pub random: Random,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What somebody typed as a name.
#[derive(Debug)]
pub(in crate::services) struct Name {
    /// Whom it could mean; `None`: nobody, since no account has such a name.
    pub(in crate::services) identifier: Option<Identifier>,
    /// The same for every spelling of it.
    pub(in crate::services) key: String,
}

/// An account with what its password is checked against.
pub(in crate::services) type Found = (User, Option<PasswordHash>);

/// Whether a password is evaluated.
#[derive(Debug)]
pub(in crate::services) enum ThrottleDecision {
    /// It is. The attempt was counted here, to be settled or given back.
    Evaluated(Vec<Counter>),
    /// It is not: whatever it is, the answer and its cost are those of a wrong one.
    Dummy,
}

/// Why an attempt is not answered.
#[derive(Debug, thiserror::Error)]
pub(in crate::services) enum ThrottleError {
    /// There were too many.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// Trouble on our side, which is never permission.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl<E> From<E> for ThrottleError
where
    E: crate::services::grants::IntoUnavailable,
{
    fn from(error: E) -> Self {
        Self::Unavailable(error.into())
    }
}

impl Throttle {
    /// Refuses a name that this process knows to be refused, at no cost. A known device is not known yet here, so whoever
    /// shows the token of one is asked about further on.
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

    /// Counts an attempt at `name`, which means the account `found`, before its password is evaluated.
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
            // The same statements and the same rows for a name that nobody has.
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

    /// Counts an attempt at the caller's own password. The session is the device: no stranger can use up its attempts,
    /// and a thief of its tokens has no more than these.
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

    /// Forgets the account's row of failures: its owner has a new password, by a proof that no guesser has.
    pub(in crate::services) async fn reset(&self, user: UserId) -> Result<(), Unavailable> {
        let Some(rule) = &self.rule else { return Ok(()) };
        let now = self.clock.now();
        let by_account = self.counter(Counting::Row, &[b"account", user.0.as_bytes()], now)?;
        Ok(throttles::settle(&self.db, &[by_account], rule, now).await?)
    }

    /// Takes the attempt off again: it was not evaluated, and not for any fault of whoever made it.
    pub(in crate::services) async fn release(&self, counted: &[Counter]) -> Result<(), Unavailable> {
        if let (Some(rule), [_, ..]) = (&self.rule, counted) {
            throttles::release(&self.db, counted, rule, self.clock.now()).await?;
            self.refused.forget(counted);
        }
        Ok(())
    }

    /// The token that makes the device known with which somebody has just logged in. A device keeps its id, so that its
    /// attempts stay counted together. `None` where nothing is counted.
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

    /// The counter of the device that an attempt comes from, if the account's owner has logged in there before.
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
        // A neighbour of the owner must not learn by an address which account is theirs; usernames are public.
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

    /// The device whose token came with the request, if it is one of ours; whose, is still to be seen.
    fn presented(&self, origin: &ClientInfo, now: DateTime<Utc>) -> Option<KnownDevice> {
        let token = origin.device.as_ref()?;
        KnownDevice::open(&self.keyring.current(), token.expose_secret(), now)
    }

    /// Under what it is remembered that `name` is refused to this network, which is not known there.
    fn refused_key(&self, name: &Name, origin: &ClientInfo, now: DateTime<Utc>) -> Result<ThrottleKey, SignError> {
        let network = network(origin).map(|network| network.to_string()).unwrap_or_default();
        self.key(&[b"refused", name.key.as_bytes(), network.as_bytes()], now)
    }

    /// The counter of what was typed as a name.
    fn by_name(&self, name: &Name, now: DateTime<Utc>) -> Result<Counter, SignError> {
        self.counter(Counting::Rate, &[b"name", name.key.as_bytes()], now)
    }

    fn counter(&self, counting: Counting, parts: &[&[u8]], now: DateTime<Utc>) -> Result<Counter, SignError> {
        Ok(Counter { key: self.key(parts, now)?, counting })
    }

    /// Names a counter. When the root secret is replaced, counting begins anew, once.
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
