//! Registers accounts.

use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::SecretString;

use crate::{
    crypto::random::Random,
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        password_policy::Password,
        username::{ReservedUsernames, Username},
    },
    services::{
        Unavailable,
        accounts::{
            authenticate::Authenticated,
            choose_password::{ChoosePassword, ChoosePasswordError},
        },
        audit::Event,
        change_feed::ChangeFeed,
        outbox::Outbox,
    },
    store::{
        self, Database, StoreError,
        outbox::OutboxEvent,
        users::{self, Identifier, NewUser},
    },
};

#[derive(Debug, Clone)]
pub struct Register {
    pub db: Database,
    /// Checks the password against the policy, and hashes it.
    pub choose_password: ChoosePassword,
    /// Commits.
    pub changes: ChangeFeed,
    /// Sends the email that verifies the address.
    pub outbox: Outbox,
    pub random: Random,
    pub clock: Arc<dyn Clock>,
    /// The names that only the operator can give.
    pub reserved: ReservedUsernames,
    /// Whether anybody may register.
    pub open: bool,
}

/// The registration form.
#[derive(Debug)]
pub struct NewAccount<'a> {
    pub username: &'a str,
    pub password: &'a SecretString,
    /// Optional.
    pub email: Option<&'a str>,
}

/// A field that is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub field: &'static str,
    /// What to do about it, for the person who typed it.
    pub message: String,
}

/// Why no account was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("registration is closed")]
    Closed,
    /// These fields are not valid.
    #[error("some fields cannot be taken")]
    Invalid(Vec<FieldError>),
    #[error("the username is taken")]
    UsernameTaken,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// How long after a registration the same form, sent again, logs in.
const AGAIN: TimeDelta = TimeDelta::minutes(10);

impl Register {
    /// Whether the account of this name was registered a moment ago, perhaps by the first press of the same button.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn is_new(&self, username: &str) -> Result<bool, Unavailable> {
        let Ok(username) = Username::parse(username) else { return Ok(false) };
        let found = users::find_named(&self.db, &Identifier::Username(username)).await?;
        Ok(found.is_some_and(|user| self.clock.now() < user.created_at + AGAIN))
    }

    /// Registers an account. The result can log in without a second hash.
    pub async fn run(&self, registration: &NewAccount<'_>) -> Result<Authenticated, RegisterError> {
        if !self.open {
            return Err(RegisterError::Closed);
        }
        let (username, password, email) = parse(registration).map_err(RegisterError::Invalid)?;
        if self.reserved.contain(&username) {
            return Err(taken());
        }
        let chosen = self.choose_password.run(password, &username, email.as_ref()).await;
        let proof = chosen.map_err(|error| match error {
            ChoosePasswordError::Weak(why) => {
                RegisterError::Invalid(vec![FieldError { field: "password", message: why.to_string() }])
            }
            ChoosePasswordError::Unavailable(unavailable) => unavailable.into(),
        })?;
        let now = self.clock.now();
        let new = NewUser {
            id: UserId(self.random.uuid_v7(now)),
            username: &username,
            email: email.as_ref(),
            password_hash: Some(&proof),
            created_at: now,
        };
        let transaction = store::begin(&self.db).await.map_err(Unavailable::from)?;
        let user = match users::insert(&transaction, &new).await {
            Ok(user) => user,
            Err(StoreError::Duplicate(_)) => return Err(taken()),
            Err(other) => return Err(Unavailable::from(other).into()),
        };
        // Whether the email address is another account's is not checked here, so that the answer does not tell; the
        // email does.
        if let Some(email) = email {
            let claimed = OutboxEvent::EmailClaimed(user.id, Some(email));
            self.outbox.within(&transaction, &claimed).await.map_err(Unavailable::from)?;
        }
        let written = self.changes.write(&transaction, Vec::new()).await.map_err(Unavailable::from)?;
        self.changes.commit(transaction, written.recording(Event::done("register").account(user.id))).await?;
        self.outbox.wake();
        Ok(Authenticated { user, proof })
    }
}

fn taken() -> RegisterError {
    Event::refused("register", "username_taken").record();
    RegisterError::UsernameTaken
}

/// Parses all fields, and reports every error at once. The password policy is checked later.
fn parse(registration: &NewAccount<'_>) -> Result<(Username, Password, Option<EmailAddress>), Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut wrong = |field, why: &dyn ToString| errors.push(FieldError { field, message: why.to_string() });
    let username = Username::parse(registration.username).map_err(|why| wrong("username", &why)).ok();
    let email =
        registration.email.map(|text| EmailAddress::parse(text).map_err(|why| wrong("email", &why))).transpose().ok();
    let password = Password::parse(registration.password).map_err(|why| wrong("password", &why)).ok();
    match (username, password, email) {
        (Some(username), Some(password), Some(email)) => Ok((username, password, email)),
        _ => Err(errors),
    }
}
