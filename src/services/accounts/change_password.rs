//! Changes a password, and ends every other session of the account.

use std::time::Duration;

use secrecy::SecretString;

use crate::{
    domain::{mail::AccountChange, password_policy::Password, session::EndReason},
    services::{
        Unavailable,
        accounts::{
            authenticate::{Authenticate, AuthenticateError, Authenticated},
            choose_password::{ChoosePassword, ChoosePasswordError},
        },
        audit::Event,
        outbox::Outbox,
        sessions::{bearer::Caller, end::EndSession},
    },
    store::{self, Database, sessions::SessionSelector, users},
};

#[derive(Debug, Clone)]
pub struct ChangePassword {
    pub authenticate: Authenticate,
    /// Checks the new password against the policy, and hashes it.
    pub choose_password: ChoosePassword,
    pub end_session: EndSession,
    /// Notifies the owner.
    pub outbox: Outbox,
    pub db: Database,
}

/// Why the password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The current password is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// A field is not valid.
    #[error("{field} {why}")]
    Malformed { field: &'static str, why: String },
    /// Too many wrong passwords came before this one, which was not evaluated.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next attempt is allowed.
        retry_after: Duration,
    },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl ChangePassword {
    /// Replaces `current` by `new`, and ends all the account's sessions but the caller's.
    pub async fn run(
        &self,
        caller: &Caller,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), ChangePasswordError> {
        let malformed =
            |why: &dyn ToString| ChangePasswordError::Malformed { field: "new_password", why: why.to_string() };
        let new = Password::parse(new).map_err(|why| malformed(&why))?;
        let checked = self.authenticate.check_known(caller, current).await;
        let Authenticated { user, proof } = checked.map_err(|error| match error {
            AuthenticateError::Malformed { why, .. } => {
                ChangePasswordError::Malformed { field: "current_password", why }
            }
            AuthenticateError::Invalid => {
                Event::refused("password_change", "credentials").account(caller.user).record();
                ChangePasswordError::WrongPassword
            }
            AuthenticateError::TooMany { retry_after } => ChangePasswordError::TooMany { retry_after },
            AuthenticateError::Unavailable(unavailable) => unavailable.into(),
        })?;
        let chosen = self.choose_password.run(new, &user.username, user.email.as_ref()).await;
        let hash = chosen.map_err(|error| match error {
            ChoosePasswordError::Weak(why) => malformed(&why),
            ChoosePasswordError::Unavailable(unavailable) => unavailable.into(),
        })?;

        let transaction = store::begin(&self.db).await.map_err(Unavailable::from)?;
        // The account first, then its sessions: a login with the old password waits here or finds it replaced.
        let replaced =
            users::replace_password(&transaction, user.id, &proof, &hash).await.map_err(Unavailable::from)?;
        if !replaced {
            return Err(ChangePasswordError::WrongPassword);
        }
        let written = self.outbox.tell_owner(&transaction, &user, AccountChange::Password).await;
        written.map_err(Unavailable::from)?;
        let others = SessionSelector::AllOfBut(user.id, caller.session);
        let ending = self
            .end_session
            .within(&transaction, &others, EndReason::PasswordChange, Vec::new())
            .await
            .map_err(Unavailable::from)?;
        let changed = Event::done("password_change").account(user.id).session(caller.session);
        let ending = ending.recording(changed);
        self.end_session.commit(transaction, ending).await?;
        self.outbox.wake();
        Ok(())
    }
}
