//! Registers accounts.

use std::sync::Arc;

use secrecy::SecretString;

use super::{Trouble, audit::Event};
use crate::{
    crypto::{password_hash::PasswordHasher, random::Random},
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        password_policy::{Password, PasswordPolicy},
        user::User,
        username::Username,
    },
    store::{
        Database, StoreError,
        users::{self, NewUser},
    },
};

/// Registers accounts.
#[derive(Debug, Clone)]
pub struct Register {
    /// Where accounts are.
    pub db: Database,
    /// Hashes the password.
    pub hasher: PasswordHasher,
    /// What passwords may be chosen.
    pub policy: PasswordPolicy,
    /// Draws the account's id.
    pub random: Random,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Whether anybody may register.
    pub open: bool,
}

/// What somebody typed.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The name that they want.
    pub username: &'a str,
    /// The password that they chose.
    pub password: &'a SecretString,
    /// Their address, if they gave one.
    pub email: Option<&'a str>,
}

/// A field that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Which.
    pub field: &'static str,
    /// What to do about it, in words for whoever typed it.
    pub message: String,
}

/// Why nobody was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Registration is closed.
    #[error("registration is closed")]
    Closed,
    /// These fields cannot be taken.
    #[error("some fields cannot be taken")]
    Invalid(Vec<FieldError>),
    /// Another account has that name.
    #[error("the username is taken")]
    UsernameTaken,
    /// Trouble on our side.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Register {
    /// Registers an account.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn run(&self, registration: &Registration<'_>) -> Result<User, RegisterError> {
        if !self.open {
            return Err(RegisterError::Closed);
        }
        let (username, password, email) = self.parse(registration).map_err(RegisterError::Invalid)?;
        let password_hash = self.hasher.hash(password).await.map_err(Trouble::from)?;
        let now = self.clock.now();
        let new = NewUser {
            id: UserId(self.random.uuid_v7(now)),
            username: &username,
            email: email.as_ref(),
            password_hash: &password_hash,
            created_at: now,
        };
        match users::insert(&self.db, &new).await {
            Ok(user) => {
                Event::done("register").account(user.id).record();
                Ok(user)
            }
            Err(StoreError::Duplicate(_)) => {
                Event::refused("register", "username_taken").record();
                Err(RegisterError::UsernameTaken)
            }
            Err(other) => Err(Trouble::from(other).into()),
        }
    }

    /// Reads every field, and says all that is wrong at once.
    fn parse(
        &self,
        registration: &Registration<'_>,
    ) -> Result<(Username, Password, Option<EmailAddress>), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut wrong = |field, why: &dyn ToString| errors.push(FieldError { field, message: why.to_string() });
        let username = Username::parse(registration.username).map_err(|why| wrong("username", &why)).ok();
        let email = registration
            .email
            .map(|text| EmailAddress::parse(text).map_err(|why| wrong("email", &why)))
            .transpose()
            .ok();
        let password = Password::parse(registration.password).map_err(|why| wrong("password", &why)).ok();
        if let (Some(username), Some(email), Some(password)) = (&username, &email, &password)
            && let Err(why) = self.policy.judge(password, username, email.as_ref())
        {
            wrong("password", &why);
        }
        match (username, password, email) {
            (Some(username), Some(password), Some(email)) if errors.is_empty() => Ok((username, password, email)),
            _ => Err(errors),
        }
    }
}
