//! Checks passwords, for every route that takes one.

use std::time::Duration;

use secrecy::SecretString;

use crate::{
    crypto::password::hash::{AccountState, PasswordHasher, Verdict},
    domain::{
        client_info::{ClientInfo, Credentials},
        email::EmailAddress,
        password_hash::PasswordHash,
        password_policy::{NotAPassword, Password},
        user::User,
        username::Username,
    },
    services::{
        Unavailable,
        accounts::throttle::{Found, Name, Throttle, ThrottleDecision, ThrottleError},
        audit::Event,
        sessions::bearer::Caller,
    },
    store::{
        Database,
        users::{self, Identifier},
    },
};

/// The longest name that a login accepts, in bytes: an email address, or 64 code points.
const MAX_IDENTIFIER: usize = 256;

#[derive(Debug, Clone)]
pub struct Authenticate {
    pub db: Database,
    /// Where hashes are computed.
    pub hasher: PasswordHasher,
    /// Counts wrong passwords.
    pub throttle: Throttle,
}

/// An account whose password was checked.
#[derive(Debug)]
pub struct Authenticated {
    /// The account, which was not disabled when it was read.
    pub user: User,
    /// The hash that the password was checked against. A write that relies on it must check that it is still the same.
    pub proof: PasswordHash,
}

/// Why a login is refused.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// A field is malformed, whatever the account.
    #[error("{field} {why}")]
    Malformed { field: &'static str, why: String },
    /// The account is unknown, disabled or has no password, or the password is wrong: one answer, at one cost.
    #[error("the username or the password is wrong")]
    Invalid,
    /// Too many wrong passwords came before this one, which was not evaluated.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next attempt is allowed.
        retry_after: Duration,
    },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<ThrottleError> for AuthenticateError {
    fn from(error: ThrottleError) -> Self {
        match error {
            ThrottleError::TooMany { retry_after } => Self::TooMany { retry_after },
            ThrottleError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

impl Authenticate {
    /// Checks a username (or verified email address) and password. Every failure costs one hash in the same queue, so
    /// that neither the answer nor its time tells which accounts exist. Failures slow down the next attempts. A hash
    /// that is weaker than configured is replaced.
    pub async fn check(
        &self,
        credentials: &Credentials<'_>,
        origin: &ClientInfo,
    ) -> Result<Authenticated, AuthenticateError> {
        let password = parse(credentials.password)?;
        let name = identify(credentials.username)?;
        self.throttle.check_cache(&name, origin)?;
        // Refuse a flood before it writes: the queue would refuse it anyway.
        self.hasher.has_room().map_err(Unavailable::from)?;
        let found = self.find(name.identifier.as_ref()).await?;
        let admission = self.throttle.admit(&name, found.as_ref(), origin).await?;
        self.evaluate(found, password, admission).await
    }

    /// Checks the password of a user who is logged in.
    pub async fn check_known(
        &self,
        caller: &Caller,
        password: &SecretString,
    ) -> Result<Authenticated, AuthenticateError> {
        let password = parse(password)?;
        self.hasher.has_room().map_err(Unavailable::from)?;
        let found = self.find(Some(&Identifier::Id(caller.user))).await?;
        let admission = self.throttle.admit_caller(caller).await?;
        self.evaluate(found, password, admission).await
    }

    async fn find(&self, identifier: Option<&Identifier>) -> Result<Option<Found>, Unavailable> {
        match identifier {
            Some(identifier) => Ok(users::find_with_password(&self.db, identifier).await?),
            None => Ok(None),
        }
    }

    /// Compares the password and settles the attempt with the throttle: a right one resets it, a wrong one stays
    /// counted, and one that we could not compare is released.
    async fn evaluate(
        &self,
        found: Option<Found>,
        password: Password,
        admission: ThrottleDecision,
    ) -> Result<Authenticated, AuthenticateError> {
        let checked =
            if admission.evaluated { self.compare(found, password.clone()).await } else { self.dummy().await };
        let (verdict, Authenticated { user, proof }) = match checked {
            Ok(right) => right,
            Err(error) => {
                return Err(match (error, admission.retry_after) {
                    (AuthenticateError::Unavailable(unavailable), _) => {
                        self.throttle.release(&admission.counted).await?;
                        unavailable.into()
                    }
                    (AuthenticateError::Invalid, Some(retry_after)) => AuthenticateError::TooMany { retry_after },
                    (error, _) => error,
                });
            }
        };
        self.throttle.settle(&admission).await?;
        let proof = match verdict {
            Verdict::RightButWeaker => self.strengthen(&user, proof, password).await?,
            Verdict::Right | Verdict::Wrong => proof,
        };
        Ok(Authenticated { user, proof })
    }

    /// The answer and the cost of a wrong password. The throttle has logged why.
    async fn dummy(&self) -> Result<(Verdict, Authenticated), AuthenticateError> {
        self.hasher.verify(None, None, AccountState::Enabled).await.map_err(Unavailable::from)?;
        Err(AuthenticateError::Invalid)
    }

    /// The account, if the password is right and the account not disabled; else the same answer at the same cost.
    async fn compare(
        &self,
        found: Option<Found>,
        password: Password,
    ) -> Result<(Verdict, Authenticated), AuthenticateError> {
        let (user, stored) = found.map_or((None, None), |(user, stored)| (Some(user), stored));
        let state = match &user {
            Some(user) if user.disabled_at.is_some() => AccountState::Disabled,
            _ => AccountState::Enabled,
        };
        let verdict = self.hasher.verify(Some(password), stored.clone(), state).await.map_err(Unavailable::from)?;
        let reason = match (user, stored, verdict) {
            (Some(user), Some(proof), Verdict::Right | Verdict::RightButWeaker) if user.disabled_at.is_none() => {
                return Ok((verdict, Authenticated { user, proof }));
            }
            (Some(user), Some(_), Verdict::Right | Verdict::RightButWeaker) => (Some(user), "disabled"),
            (Some(user), Some(_), Verdict::Wrong) => (Some(user), "wrong_password"),
            (Some(user), None, _) => (Some(user), "no_password"),
            (None, _, _) => (None, "unknown_name"),
        };
        let (user, reason) = reason;
        let event = Event::refused("password_check", reason);
        match &user {
            Some(user) => event.account(user.id).record(),
            None => event.record(),
        }
        Err(AuthenticateError::Invalid)
    }

    /// Hashes the password again with the configured parameters. If another login did so first, its hash stays: the
    /// caller's guard notices and starts over.
    async fn strengthen(
        &self,
        user: &User,
        old: PasswordHash,
        password: Password,
    ) -> Result<PasswordHash, Unavailable> {
        let new = self.hasher.hash(password).await?;
        let replaced = users::replace_password(&self.db, user.id, &old, &new).await?;
        Ok(if replaced { new } else { old })
    }
}

/// Parses a typed password.
fn parse(password: &SecretString) -> Result<Password, AuthenticateError> {
    Password::parse(password)
        .map_err(|why: NotAPassword| AuthenticateError::Malformed { field: "password", why: why.to_string() })
}

/// The account identifier that a typed name means, and its throttle key, the same for every spelling.
fn identify(text: &str) -> Result<Name, AuthenticateError> {
    let malformed = |why: &str| Err(AuthenticateError::Malformed { field: "username", why: why.to_owned() });
    // Keyboards of phones add white space.
    let text = text.trim();
    if text.is_empty() {
        return malformed("must not be empty");
    }
    if text.len() > MAX_IDENTIFIER {
        return malformed("is too long");
    }
    if text.chars().any(char::is_control) {
        return malformed("must not contain control characters");
    }
    let identifier = if text.contains('@') {
        EmailAddress::parse(text).ok().map(Identifier::Email)
    } else {
        Username::parse_existing(text).ok().map(Identifier::Username)
    };
    let key = match &identifier {
        Some(Identifier::Username(username)) => username.key().to_owned(),
        Some(Identifier::Email(email)) => email.key().to_owned(),
        // No account can have such a name, in any spelling.
        Some(Identifier::Id(_)) | None => text.to_owned(),
    };
    Ok(Name { identifier, key })
}
