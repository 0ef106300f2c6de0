//! Throttles password guessing, and keeps strangers from locking an account's owner out.
//!
//! Attempts are counted under the typed name and the client's network, under the name alone, and under the account. The
//! first counter is small: it refuses one source, and nobody else. The other two hold about a hundred failures, which
//! only an attack from many networks reaches.
//!
//! If a name's counter is full, the answer says so, even for names without an account. If only the account's is full,
//! the answer is that of a wrong password: anything else would tell that an email address and a username belong to one
//! account. A device that the owner has logged in with before has its own counter, used only when one of the others is
//! full. So has a network that a live session of the account began in, when the counters over all networks are full; an
//! attempt from there costs and answers the same as from anywhere else, unless its password is right.

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
        throttle::{Counter, Counting, ThrottleKey, ThrottleRules},
        user::User,
    },
    services::{Unavailable, audit::Event, metrics, sessions::bearer::Caller},
    store::{Database, StoreError, Transaction, refused_names::RefusedNames, sessions, throttles, users::Identifier},
};

/// Counts password attempts.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// How many failures are free; `None` turns throttling off.
    pub rules: Option<ThrottleRules>,
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
pub(in crate::services) struct ThrottleDecision {
    /// If not, the answer and its cost are those of a wrong password.
    pub(in crate::services) evaluated: bool,
    /// The counters that counted the attempt, to be settled or released.
    pub(in crate::services) counted: Vec<Counter>,
    /// A further counter that a right password sets to zero.
    also_settled: Option<Counter>,
    /// A wrong password is answered by a refusal until this long from now: every other network gets the same answer.
    pub(in crate::services) retry_after: Option<Duration>,
}

impl ThrottleDecision {
    fn evaluated(counted: Vec<Counter>) -> Self {
        Self { evaluated: true, counted, also_settled: None, retry_after: None }
    }

    /// A right password also sets `counter` to zero.
    fn settling(self, counter: Counter) -> Self {
        Self { also_settled: Some(counter), ..self }
    }
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
        if self.rules.is_none() || self.presented(origin, now).is_some() {
            return Ok(());
        }
        let by_source = self.by_source(name, origin, now)?;
        let by_name = self.by_name(name, now)?;
        let Some(until) = self.refused.until(&by_source.key, now).or(self.refused.until(&by_name.key, now)) else {
            return Ok(());
        };
        Event::refused("password_check", "throttled").record();
        metrics::limit_refused("account");
        Err(too_many(until, now))
    }

    /// Counts an attempt at `name`, which refers to the account `found`, before its password is evaluated.
    pub(in crate::services) async fn admit(
        &self,
        name: &Name,
        found: Option<&Found>,
        origin: &ClientInfo,
    ) -> Result<ThrottleDecision, ThrottleError> {
        let Some(rules) = &self.rules else { return Ok(ThrottleDecision::evaluated(Vec::new())) };
        let now = self.clock.now();
        let account = found.map(|(user, _)| user.id);
        let by_source = self.by_source(name, origin, now)?;
        let by_name = self.by_name(name, now)?;
        let by_account = match account {
            Some(user) => self.by_account(user, now)?,
            // The same statements and rows for a name without an account.
            None => self.counter(Counting::Nobody, &[b"unknown", name.key.as_bytes()], now)?,
        };
        let counted = throttles::attempt(&self.db, &[by_source, by_name, by_account], account, rules, now).await?;
        if counted.len() == 3 {
            return Ok(ThrottleDecision::evaluated(counted));
        }
        metrics::limit_refused("account");
        let event = Event::refused("password_check", "throttled");
        match account {
            Some(user) => event.account(user).record(),
            None => event.record(),
        }
        if let Some(by_device) = self.known_device(found, origin, now)? {
            self.release(&counted).await?;
            let counted = vec![self.count(by_device, account, rules, now).await?];
            return Ok(ThrottleDecision::evaluated(counted).settling(by_account));
        }
        let is_username = matches!(name.identifier, Some(Identifier::Username(_)));
        let refusing = if !counted.contains(&by_source) {
            Some(by_source)
        } else if !counted.contains(&by_name) {
            Some(by_name)
        } else {
            None
        };
        let retry_after = match refusing {
            Some(full) => {
                let until = throttles::free_at(&self.db, &full.key).await?.unwrap_or(now);
                // By username, the owner's network may have attempts left, and nobody must see which network that is.
                if full == by_source || !is_username {
                    self.release(&counted).await?;
                    self.refused.remember(full.key, account, now, until);
                    return Err(too_many(until, now));
                }
                Some(wait(until, now))
            }
            None => None,
        };
        // The attempt costs a hash, so it stays counted under the name. The account's counter is for what was evaluated.
        let (counted, others): (Vec<_>, Vec<_>) = counted.into_iter().partition(|counter| *counter != by_account);
        self.release(&others).await?;
        let by_network = match (is_username, network(origin)) {
            (true, Some(network)) => self.known_network(name, account, network, now).await?,
            // Usernames are public. By email address, an attempt must not tell whose it is.
            (true, None) | (false, _) => None,
        };
        let decision = match by_network {
            Some(by_network) => {
                ThrottleDecision::evaluated(counted.into_iter().chain([by_network]).collect()).settling(by_account)
            }
            None => ThrottleDecision { evaluated: false, ..ThrottleDecision::evaluated(counted) },
        };
        Ok(ThrottleDecision { retry_after, ..decision })
    }

    /// Counts an attempt at the caller's own password, by session: no stranger can use up its attempts, and a thief of
    /// its tokens has no more.
    pub(in crate::services) async fn admit_caller(&self, caller: &Caller) -> Result<ThrottleDecision, ThrottleError> {
        let Some(rules) = &self.rules else { return Ok(ThrottleDecision::evaluated(Vec::new())) };
        let now = self.clock.now();
        let parts: [&[u8]; 3] = [b"session", caller.user.0.as_bytes(), caller.session.0.as_bytes()];
        let by_session = self.counter(Counting::Row, &parts, now)?;
        let counted = self.count(by_session, Some(caller.user), rules, now).await.inspect_err(|_| {
            metrics::limit_refused("account");
            Event::refused("password_check", "throttled").account(caller.user).session(caller.session).record();
        })?;
        Ok(ThrottleDecision::evaluated(vec![counted]).settling(self.by_account(caller.user, now)?))
    }

    /// Notes that the password was right. That ends the account's failures, wherever it was typed.
    pub(in crate::services) async fn settle(&self, decision: &ThrottleDecision) -> Result<(), Unavailable> {
        let counted: Vec<_> = decision.counted.iter().copied().chain(decision.also_settled).collect();
        if let (Some(rules), [_, ..]) = (&self.rules, counted.as_slice()) {
            throttles::settle(&self.db, &counted, rules, self.clock.now()).await?;
            self.refused.forget(&counted);
        }
        Ok(())
    }

    /// Forgives the account's failures at every counter, in the transaction that sets a new password.
    pub(in crate::services) async fn reset(&self, transaction: &Transaction, user: UserId) -> Result<(), StoreError> {
        throttles::forgive(transaction, user).await
    }

    /// Undoes the count of an attempt that we could not evaluate.
    pub(in crate::services) async fn release(&self, counted: &[Counter]) -> Result<(), Unavailable> {
        if let (Some(rules), [_, ..]) = (&self.rules, counted) {
            throttles::release(&self.db, counted, rules, self.clock.now()).await?;
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
        if self.rules.is_none() {
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
    async fn count(
        &self,
        counter: Counter,
        account: Option<UserId>,
        rules: &ThrottleRules,
        now: DateTime<Utc>,
    ) -> Result<Counter, ThrottleError> {
        if !throttles::attempt(&self.db, &[counter], account, rules, now).await?.is_empty() {
            return Ok(counter);
        }
        let free_at = throttles::free_at(&self.db, &counter.key).await?;
        Err(too_many(free_at.unwrap_or(now), now))
    }

    /// The counter of the attempt's device, if the account's owner has logged in there before.
    fn known_device(
        &self,
        found: Option<&Found>,
        origin: &ClientInfo,
        now: DateTime<Utc>,
    ) -> Result<Option<Counter>, SignError> {
        let (Some((user, Some(proof))), Some(presented)) = (found, self.presented(origin, now)) else {
            return Ok(None);
        };
        let Some(device) = presented.of(user.id, proof) else { return Ok(None) };
        let parts: [&[u8]; 3] = [b"device", user.id.0.as_bytes(), device.as_bytes()];
        Ok(Some(self.counter(Counting::Row, &parts, now)?))
    }

    /// The counter of the attempt's network, if a live session of the account began there and the counter has counted
    /// the attempt. Every network costs the same statements.
    async fn known_network(
        &self,
        name: &Name,
        account: Option<UserId>,
        network: ClientNetwork,
        now: DateTime<Utc>,
    ) -> Result<Option<Counter>, ThrottleError> {
        let Some(rules) = &self.rules else { return Ok(None) };
        let user = account.unwrap_or(UserId(Uuid::nil()));
        let addresses = sessions::addresses_of(&self.db, user, now).await?;
        let mut networks = addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        let is_known = networks.any(|address| ClientNetwork::from(address) == network);
        let network = network.to_string();
        let counter = if is_known {
            self.counter(Counting::Row, &[b"network", user.0.as_bytes(), network.as_bytes()], now)?
        } else {
            self.counter(Counting::Nobody, &[b"stranger", name.key.as_bytes(), network.as_bytes()], now)?
        };
        let admitted = throttles::attempt(&self.db, &[counter], account, rules, now).await?;
        Ok(admitted.first().copied().filter(|_| is_known))
    }

    /// The device whose token came with the request, of whichever account.
    fn presented(&self, origin: &ClientInfo, now: DateTime<Utc>) -> Option<KnownDevice> {
        let token = origin.device.as_ref()?;
        KnownDevice::open(&self.keyring.current(), token.expose_secret(), now)
    }

    /// The counter of a typed name at the client's network. Clients without an address share one.
    fn by_source(&self, name: &Name, origin: &ClientInfo, now: DateTime<Utc>) -> Result<Counter, SignError> {
        let network = network(origin).map(|network| network.to_string()).unwrap_or_default();
        self.counter(Counting::Source, &[b"source", name.key.as_bytes(), network.as_bytes()], now)
    }

    /// The counter of a typed name over all networks.
    fn by_name(&self, name: &Name, now: DateTime<Utc>) -> Result<Counter, SignError> {
        self.counter(Counting::Rate, &[b"name", name.key.as_bytes()], now)
    }

    /// The counter of an account over all networks.
    fn by_account(&self, user: UserId, now: DateTime<Utc>) -> Result<Counter, SignError> {
        self.counter(Counting::Account, &[b"owner", user.0.as_bytes()], now)
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
    ThrottleError::TooMany { retry_after: wait(free_at, now) }
}

fn wait(free_at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (free_at - now).to_std().unwrap_or_default()
}
