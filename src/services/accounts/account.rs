//! Show, change and delete: what people do with their own account.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use secrecy::SecretString;

use crate::{
    domain::{
        client_info::{ClientInfo, Credentials},
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        one_use_secret::Purpose,
        password_hash::PasswordHash,
        user::{AccountRecord, User},
        username::{ReservedUsernames, Username},
    },
    services::{
        Unavailable,
        accounts::{
            authenticate::{Authenticate, AuthenticateError, Authenticated},
            delete::delete_account,
            register::FieldError,
        },
        audit::Event,
        outbox::Outbox,
        sessions::{bearer::Caller, end::EndSession},
    },
    store::{
        self, Database, StoreError, one_use_secrets,
        outbox::{self, Kind, OutboxEvent},
        sessions,
        users::{self, Identifier, PasswordStill, ProfileUpdate},
    },
};

/// The caller's own account.
#[derive(Debug, Clone)]
pub struct Account {
    pub db: Database,
    /// Checks the password for changes that need it.
    pub authenticate: Authenticate,
    /// Ends the sessions of a deleted account.
    pub end_session: EndSession,
    /// Sends the email that verifies a new address, and tells the owner of other changes.
    pub outbox: Outbox,
    /// The names that only the operator can give.
    pub reserved: ReservedUsernames,
    pub clock: Arc<dyn Clock>,
}

/// The wanted changes; `None` leaves a field as it is.
#[derive(Debug, Default)]
pub struct ProfileChange<'a> {
    pub username: Option<&'a str>,
    /// The new email address; needs the current password.
    pub email: Option<&'a str>,
    pub current_password: Option<&'a SecretString>,
}

/// Why an account stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the account is gone")]
    Gone,
    /// These fields are not valid.
    #[error("some fields cannot be taken")]
    Invalid(Vec<FieldError>),
    #[error("the username is taken")]
    UsernameTaken,
    #[error("the password is wrong")]
    WrongPassword,
    /// The account has no password, and the login is too old to replace it.
    #[error("the login is too old")]
    LogInTooOld,
    /// Too many wrong passwords came before this one, which was not evaluated.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next attempt is allowed.
        retry_after: Duration,
    },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(AccountError: StoreError);

/// How recent a login must be to replace the password of an account that has none.
const RECENT: TimeDelta = TimeDelta::minutes(5);

impl Account {
    /// Whether the name is free; `Err` if it is not a valid name.
    ///
    /// # Errors
    /// [`AccountError::Invalid`] or [`Unavailable`].
    pub async fn is_available(&self, username: &str) -> Result<bool, AccountError> {
        let username = Username::parse(username)
            .map_err(|why| AccountError::Invalid(vec![FieldError { field: "username", message: why.to_string() }]))?;
        Ok(!self.reserved.contain(&username) && !users::is_taken(&self.db, &username).await?)
    }

    /// The caller's account.
    pub async fn show(&self, caller: &Caller) -> Result<User, AccountError> {
        users::find(&self.db, caller.user).await?.ok_or(AccountError::Gone)
    }

    /// The same, and whether it has a password.
    pub async fn overview(&self, caller: &Caller) -> Result<AccountRecord, AccountError> {
        let found = users::find_with_password(&self.db, &Identifier::Id(caller.user)).await?;
        let (user, password_hash) = found.ok_or(AccountError::Gone)?;
        Ok(AccountRecord { user, has_password: password_hash.is_some() })
    }

    /// Changes the caller's name or email address. A new address needs the password, or a login of at most five minutes
    /// ago if the account has none. The next tokens of live sessions carry the new name. A verified address stays in
    /// force until the new one is verified.
    pub async fn change(&self, caller: &Caller, wanted: &ProfileChange<'_>) -> Result<User, AccountError> {
        let mut errors = Vec::new();
        let mut wrong = |field, why: &dyn ToString| errors.push(FieldError { field, message: why.to_string() });
        let username =
            wanted.username.and_then(|text| Username::parse(text).map_err(|why| wrong("username", &why)).ok());
        let email = wanted.email.and_then(|text| EmailAddress::parse(text).map_err(|why| wrong("email", &why)).ok());
        let unproved = wanted.email.is_some() && wanted.current_password.is_none();
        if unproved && self.has_password(caller).await? {
            wrong("current_password", &"is required to change the email address");
        }
        if !errors.is_empty() {
            return Err(AccountError::Invalid(errors));
        }
        if username.as_ref().is_some_and(|name| self.reserved.contain(name)) {
            return Err(AccountError::UsernameTaken);
        }
        let hash = match (&email, wanted.current_password) {
            (Some(_), Some(password)) => Some(self.prove(caller, password, "current_password").await?.proof),
            (Some(_), None) if !self.is_recent(caller) => return Err(AccountError::LogInTooOld),
            _ => None,
        };
        let proof = match &hash {
            Some(hash) => PasswordStill::Is(hash),
            None if email.is_some() => PasswordStill::Missing,
            None => PasswordStill::Any,
        };
        if username.is_none() && email.is_none() {
            return self.show(caller).await;
        }
        let transaction = store::begin(&self.db).await?;
        let before = users::hold(&transaction, &Identifier::Id(caller.user)).await?.ok_or(AccountError::Gone)?;
        let change = ProfileUpdate { proof, username: username.as_ref(), email: email.as_ref() };
        let user = match users::change(&transaction, caller.user, &change).await {
            Ok(Some(user)) => user,
            Ok(None) if proof != PasswordStill::Any => return Err(AccountError::WrongPassword),
            Ok(None) => return Err(AccountError::Gone),
            Err(StoreError::Duplicate(_)) => return Err(AccountError::UsernameTaken),
            Err(other) => return Err(other.into()),
        };
        if let Some(username) = &username {
            sessions::rename(&transaction, user.id, username.as_written()).await?;
            if username.as_written() != before.username.as_written() {
                self.outbox.tell_renamed(&transaction, &before, username.as_written()).await?;
            }
        }
        if let Some(email) = email {
            // From now on only the newest claim counts, even before its email is sent.
            let earlier = one_use_secrets::SecretSelector::Of(user.id, Purpose::EmailVerification);
            one_use_secrets::void(&transaction, earlier, self.clock.now()).await?;
            outbox::withdraw(&transaction, user.id, Kind::EmailClaimed).await?;
            self.outbox.within(&transaction, &OutboxEvent::EmailClaimed(user.id, Some(email))).await?;
        }
        let changes = &self.end_session.changes;
        let written = changes.write(&transaction, vec![changes.account_changed(user.id)]).await?;
        let written = written.recording(Event::done("account_change").account(user.id).session(caller.session));
        changes.commit(transaction, written).await?;
        self.outbox.wake();
        Ok(user)
    }

    /// Deletes the caller's account, and ends all its sessions. It needs the password, or a login of at most five
    /// minutes ago if the account has none.
    pub async fn delete(&self, caller: &Caller, password: Option<&SecretString>) -> Result<(), AccountError> {
        let proof = match password {
            Some(password) => Some(self.prove(caller, password, "password").await?.proof),
            None => self.recent_log_in(caller).await?,
        };
        self.delete_proved(caller.user, proof.as_ref()).await
    }

    /// Deletes the account of these credentials, as the original service does.
    pub async fn delete_by_credentials(
        &self,
        credentials: &Credentials<'_>,
        origin: &ClientInfo,
    ) -> Result<(), AccountError> {
        let checked = self.authenticate.check(credentials, origin).await;
        let Authenticated { user, proof } = checked.map_err(|error| refused(error, "password"))?;
        self.delete_proved(user.id, Some(&proof)).await
    }

    /// Asks for the password of the caller's account.
    async fn prove(
        &self,
        caller: &Caller,
        password: &SecretString,
        field: &'static str,
    ) -> Result<Authenticated, AccountError> {
        let checked = self.authenticate.check_known(caller, password).await;
        checked.map_err(|error| refused(error, field))
    }

    /// Accepts a recent login in place of a password, if the account has none.
    async fn recent_log_in(&self, caller: &Caller) -> Result<Option<PasswordHash>, AccountError> {
        if self.has_password(caller).await? {
            let message = "is required".to_owned();
            return Err(AccountError::Invalid(vec![FieldError { field: "password", message }]));
        }
        if self.is_recent(caller) { Ok(None) } else { Err(AccountError::LogInTooOld) }
    }

    async fn has_password(&self, caller: &Caller) -> Result<bool, AccountError> {
        let found = users::find_with_password(&self.db, &Identifier::Id(caller.user)).await?;
        let (_, password_hash) = found.ok_or(AccountError::Gone)?;
        Ok(password_hash.is_some())
    }

    fn is_recent(&self, caller: &Caller) -> bool {
        self.clock.now() <= caller.authenticated_at + RECENT
    }

    async fn delete_proved(&self, user: UserId, proof: Option<&PasswordHash>) -> Result<(), AccountError> {
        let transaction = store::begin(&self.end_session.db).await?;
        let owner = users::hold(&transaction, &Identifier::Id(user)).await?;
        let deleted = users::delete(&transaction, user, proof).await?;
        let Some(owner) = owner.filter(|_| deleted) else {
            // The password was replaced, or the account deleted, in the meantime.
            return Err(AccountError::WrongPassword);
        };
        let ending = delete_account(&self.end_session, &self.outbox, &transaction, &owner).await?;
        let ending = ending.recording(Event::done("account_delete").account(user));
        self.end_session.commit(transaction, ending).await?;
        self.outbox.wake();
        Ok(())
    }
}

/// Maps the error of a password check; the request had the password in `field`.
fn refused(error: AuthenticateError, field: &'static str) -> AccountError {
    match error {
        AuthenticateError::Malformed { field: which, why } => {
            let field = if which == "password" { field } else { which };
            AccountError::Invalid(vec![FieldError { field, message: why }])
        }
        AuthenticateError::Invalid => AccountError::WrongPassword,
        AuthenticateError::TooMany { retry_after } => AccountError::TooMany { retry_after },
        AuthenticateError::Unavailable(unavailable) => unavailable.into(),
    }
}
