//! Sets a new password with a secret from an email (OWASP Forgot Password Cheat Sheet). Every session ends, and nobody
//! is logged in.

use std::sync::Arc;

use secrecy::SecretString;

use crate::{
    crypto::one_use_secret,
    domain::{
        clock::Clock,
        identity::ProviderName,
        mail::AccountChange,
        one_use_secret::{OneUseDigest, OneUseSecret, Purpose},
        password_policy::Password,
        session::EndReason,
        user::User,
    },
    services::{
        Unavailable,
        accounts::{
            choose_password::{ChoosePassword, ChoosePasswordError},
            throttle::Throttle,
        },
        audit::Event,
        outbox::Outbox,
        sessions::end::EndSession,
    },
    store::{
        self, Database, StoreError, Transaction, identities,
        one_use_secrets::{self, LiveSecret},
        outbox::{self, Kind},
        sessions::SessionSelector,
        users,
    },
};

#[derive(Debug, Clone)]
pub struct ResetPassword {
    /// Where accounts and secrets are.
    pub db: Database,
    /// Checks the new password against the policy, and hashes it.
    pub choose_password: ChoosePassword,
    pub end_session: EndSession,
    /// Forgets the failures, so that the owner can log in at once.
    pub throttle: Throttle,
    /// Notifies the owner.
    pub outbox: Outbox,
    pub clock: Arc<dyn Clock>,
}

/// The choice for the linked providers. A thief of the old password may have linked one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedProviders {
    Stay,
    /// The owner wants to be rid of them all.
    Unlinked,
}

/// Why the password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ResetPasswordError {
    /// The new password is not valid; the secret stays unused.
    #[error("new_password {0}")]
    Password(String),
    /// The secret is unknown, expired, used, or not the newest.
    #[error("the token is not good, or no longer")]
    InvalidToken,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(ResetPasswordError: StoreError);

impl ResetPassword {
    /// The account whose password the secret can set, if any, and the providers that can log in to it. The secret stays
    /// unused: email scanners open links, too.
    pub async fn peek(&self, token: &SecretString) -> Result<Option<(User, Vec<ProviderName>)>, Unavailable> {
        let Ok(secret) = OneUseSecret::parse(token) else { return Ok(None) };
        let Some((_, user)) = self.find(one_use_secret::digest(&secret)).await? else { return Ok(None) };
        let linked = identities::of(&self.db, user.id).await?;
        Ok(Some((user, linked.into_iter().map(|link| link.provider).collect())))
    }

    /// Unlinks every provider of the account, whose password is just being set. Returns them.
    async fn unlink(&self, transaction: &Transaction, user: &User) -> Result<Vec<ProviderName>, StoreError> {
        let linked = identities::of(transaction, user.id).await?;
        identities::forget(transaction, user.id).await?;
        for link in &linked {
            let provider = link.provider.as_str().to_owned();
            self.outbox.tell_owner(transaction, user, AccountChange::ProviderUnlinked(provider)).await?;
        }
        Ok(linked.into_iter().map(|link| link.provider).collect())
    }

    /// Whether the secret has set a password. The page of a used link says so.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn is_used(&self, token: &SecretString) -> Result<bool, Unavailable> {
        let Ok(secret) = OneUseSecret::parse(token) else { return Ok(false) };
        let digest = one_use_secret::digest(&secret);
        Ok(one_use_secrets::find_consumed(&self.db, Purpose::PasswordReset, digest).await?.is_some())
    }

    /// Uses the secret and sets the password. The account's sessions end, its other secrets are void, and its owner is
    /// notified.
    ///
    /// # Errors
    /// [`ResetPasswordError`]; then nothing has changed, and the secret is as good as before.
    pub async fn run(
        &self,
        token: &SecretString,
        new: &SecretString,
        providers: LinkedProviders,
    ) -> Result<(), ResetPasswordError> {
        let new = Password::parse(new).map_err(|why| ResetPasswordError::Password(why.to_string()))?;
        let digest = OneUseSecret::parse(token).map(|secret| one_use_secret::digest(&secret));
        let digest = digest.map_err(|_| refused())?;
        // Checked first, so that no hash is spent on a dead secret; it is checked again below.
        let (live, user) = self.find(digest).await?.ok_or_else(refused)?;
        let chosen = self.choose_password.run(new, &user.username, user.email.as_ref()).await;
        let hash = chosen.map_err(|error| match error {
            ChoosePasswordError::Weak(why) => ResetPasswordError::Password(why.to_string()),
            ChoosePasswordError::Unavailable(unavailable) => unavailable.into(),
        })?;

        let (now, id) = (self.clock.now(), user.id);
        let transaction = store::begin(&self.db).await?;
        // The account first, then its rows: a concurrent login or email waits here, or finds the account changed.
        if !users::reset_password(&transaction, id, &live.email, &hash).await? {
            return Err(refused());
        }
        if one_use_secrets::consume(&transaction, Purpose::PasswordReset, digest, now).await?.is_none() {
            return Err(refused());
        }
        one_use_secrets::void(&transaction, one_use_secrets::SecretSelector::AllOf(id), now).await?;
        // An intruder may have claimed an email address, in an email that is not sent yet.
        for kind in [Kind::EmailClaimed, Kind::ResetRequested] {
            outbox::withdraw(&transaction, id, kind).await?;
        }
        self.outbox.tell_owner(&transaction, &user, AccountChange::Password).await?;
        let unlinked = match providers {
            LinkedProviders::Stay => Vec::new(),
            LinkedProviders::Unlinked => self.unlink(&transaction, &user).await?,
        };
        self.throttle.reset(&transaction, id).await?;
        // Replicas drop what they remember of the account's refusals.
        let changed = vec![self.end_session.changes.account_changed(id)];
        let all = SessionSelector::AllOf(id);
        let ending = self.end_session.within(&transaction, &all, EndReason::PasswordReset, changed).await?;
        let mut ending = ending.recording(Event::done("reset_completed").account(id));
        for _ in unlinked {
            ending = ending.recording(Event::done("identity_unlink").because("reset").account(id));
        }
        self.end_session.commit(transaction, ending).await?;
        self.outbox.wake();
        Ok(())
    }

    /// A live secret, and the account that it opens: not disabled, with the address that it was mailed to.
    async fn find(&self, digest: OneUseDigest) -> Result<Option<(LiveSecret, User)>, Unavailable> {
        let found = one_use_secrets::find(&self.db, Purpose::PasswordReset, digest, self.clock.now()).await?;
        let Some(live) = found else { return Ok(None) };
        let user = users::find(&self.db, live.user).await?;
        let opens = |user: &User| {
            let mailed_to = user.email.as_ref().is_some_and(|email| email.key() == live.email.key());
            user.disabled_at.is_none() && user.email_verified && mailed_to
        };
        Ok(user.filter(opens).map(|user| (live, user)))
    }
}

fn refused() -> ResetPasswordError {
    Event::refused("reset_completed", "token").record();
    ResetPasswordError::InvalidToken
}
