//! Checks a password, the one way for every route that takes one.

use secrecy::SecretString;

use super::{Trouble, audit::Event};
use crate::{
    crypto::password_hash::{PasswordHasher, Verdict},
    domain::{
        email::EmailAddress,
        password_hash::PasswordHash,
        password_policy::{NotAPassword, Password},
        user::User,
        username::Username,
    },
    store::{Database, users, users::Identifier},
};

/// The longest name that a log-in may carry, in bytes: an email address, or 64 code points.
const MAX_IDENTIFIER: usize = 256;

/// Checks passwords.
#[derive(Debug, Clone)]
pub struct Authenticate {
    /// Where accounts are.
    pub db: Database,
    /// Where hashes are computed.
    pub hasher: PasswordHasher,
}

/// An account whose password was given.
#[derive(Debug)]
pub struct Authenticated {
    /// The account, which was not disabled when it was read.
    pub user: User,
    /// What the password was checked against. Whoever writes on the strength of this checks that it still stands.
    pub proof: PasswordHash,
}

/// Why a password does not open an account.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// A field holds what no such field can, whatever the account.
    #[error("{field} {why}")]
    Malformed {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Unknown, wrong, disabled or without a password: one answer, at one cost.
    #[error("the username or the password is wrong")]
    Invalid,
    /// Trouble on our side.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Authenticate {
    /// Checks what somebody typed as username (or verified email address) and password. Whatever is wrong with them
    /// costs one hash in the same queue, so that neither the answer nor its time tells which accounts exist. A hash
    /// that is weaker than configured is replaced.
    ///
    /// # Errors
    /// [`AuthenticateError`].
    pub async fn check(&self, identifier: &str, password: &SecretString) -> Result<Authenticated, AuthenticateError> {
        let password = parse(password)?;
        let identifier = identify(identifier)?;
        self.compare(identifier.as_ref(), password).await
    }

    /// Checks the password of an account that is known already.
    ///
    /// # Errors
    /// [`AuthenticateError`].
    pub async fn check_known(
        &self,
        user: crate::domain::ids::UserId,
        password: &SecretString,
    ) -> Result<Authenticated, AuthenticateError> {
        let password = parse(password)?;
        self.compare(Some(&Identifier::Id(user)), password).await
    }

    async fn compare(
        &self,
        identifier: Option<&Identifier>,
        password: Password,
    ) -> Result<Authenticated, AuthenticateError> {
        let found = match identifier {
            Some(identifier) => users::find_with_password(&self.db, identifier).await.map_err(Trouble::from)?,
            None => None,
        };
        let (user, stored) = found.map_or((None, None), |(user, stored)| (Some(user), stored));
        let verdict = self.hasher.verify(Some(password.clone()), stored.clone()).await.map_err(Trouble::from)?;
        let refused = |reason| {
            let event = Event::refused("password_check", reason);
            match &user {
                Some(user) => event.account(user.id).record(),
                None => event.record(),
            }
            Err(AuthenticateError::Invalid)
        };
        let (Some(user), Some(proof)) = (&user, stored) else { return refused("no_password") };
        if verdict == Verdict::Wrong {
            return refused("wrong_password");
        }
        if user.disabled_at.is_some() {
            return refused("disabled");
        }
        let proof = match verdict {
            Verdict::RightButWeaker => self.strengthen(user, proof, password).await?,
            _ => proof,
        };
        Ok(Authenticated { user: user.clone(), proof })
    }

    /// Hashes the password anew with today's parameters. Where another log-in was first, what it left will do: the
    /// caller's own guard tells, and asks again.
    async fn strengthen(&self, user: &User, old: PasswordHash, password: Password) -> Result<PasswordHash, Trouble> {
        let new = self.hasher.hash(password).await?;
        let replaced = users::replace_password(&self.db, user.id, &old, &new).await?;
        Ok(if replaced { new } else { old })
    }
}

/// A password as somebody typed it.
fn parse(password: &SecretString) -> Result<Password, AuthenticateError> {
    Password::parse(password)
        .map_err(|why: NotAPassword| AuthenticateError::Malformed { field: "password", why: why.to_string() })
}

/// Whom a name could mean; `None`: nobody, since no account has such a name.
fn identify(text: &str) -> Result<Option<Identifier>, AuthenticateError> {
    let malformed = |why: &str| Err(AuthenticateError::Malformed { field: "username", why: why.to_owned() });
    if text.is_empty() {
        return malformed("must not be empty");
    }
    if text.len() > MAX_IDENTIFIER {
        return malformed("is too long");
    }
    if text.chars().any(char::is_control) {
        return malformed("must not contain control characters");
    }
    Ok(if text.contains('@') {
        EmailAddress::parse(text).ok().map(Identifier::Email)
    } else {
        Username::parse(text).ok().map(Identifier::Username)
    })
}
