//! Verifies email addresses: the secret in the email proves the address, and all other claims on it are dropped.

use std::sync::Arc;

use secrecy::SecretString;

use crate::{
    crypto::one_use_secret,
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        mail::AccountChange,
        one_use_secret::{OneUseDigest, OneUseSecret, Purpose},
        user::User,
    },
    services::{Unavailable, audit::Event, change_feed::ChangeFeed, outbox::Outbox, sessions::bearer::Caller},
    store::{
        self, Database, StoreError, Transaction,
        one_use_secrets::{self, LiveSecret, SecretSelector},
        outbox::{self, Kind, OutboxEvent},
        users::{self, Claimant},
    },
};

/// Verifies email addresses.
#[derive(Debug, Clone)]
pub struct VerifyEmail {
    /// Where accounts and secrets are.
    pub db: Database,
    /// Publishes the change.
    pub changes: ChangeFeed,
    /// Sends the emails.
    pub outbox: Outbox,
    /// The time source.
    pub clock: Arc<dyn Clock>,
}

/// The claim that a secret proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The account that claims the address.
    pub user: User,
    /// The email address that the secret was sent to.
    pub email: EmailAddress,
}

/// The outcome of a used secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// The address is the account's, and confirmed.
    Confirmed,
    /// The account has nothing to do with the address.
    Removed,
}

/// Why nothing was verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyEmailError {
    /// The secret is unknown, expired, used, or not the newest; or another account has verified the address.
    #[error("the token is not good, or no longer")]
    InvalidToken,
    /// Trouble on our side.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(VerifyEmailError: StoreError);

impl VerifyEmail {
    /// Sends the verification email again to the caller's unverified or pending address. The answer does not tell
    /// whether there is one.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn ask(&self, caller: &Caller) -> Result<(), Unavailable> {
        self.outbox.write(&OutboxEvent::EmailClaimed(caller.user, None)).await?;
        Event::done("verification_requested").account(caller.user).session(caller.session).record();
        Ok(())
    }

    /// The claim that the secret proves, if any. The secret stays unused: email scanners open links, too.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn peek(&self, token: &SecretString) -> Result<Option<Claim>, Unavailable> {
        let Ok(digest) = digest(token) else { return Ok(None) };
        let Some(live) = self.find(digest).await? else { return Ok(None) };
        let user = users::find(&self.db, live.user).await?;
        Ok(user.filter(|user| names(user, &live.email)).map(|user| Claim { user, email: live.email }))
    }

    /// The outcome of a used secret, for a person who opens its link again; `None` if it was not used.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn used(&self, token: &SecretString) -> Result<Option<Used>, Unavailable> {
        let Ok(digest) = digest(token) else { return Ok(None) };
        let found = one_use_secrets::find_consumed(&self.db, Purpose::EmailVerification, digest).await?;
        let Some(secret) = found else { return Ok(None) };
        let Some(user) = users::find(&self.db, secret.user).await? else { return Ok(None) };
        let own = user.email.as_ref().is_some_and(|own| own.key() == secret.email.key());
        Ok(match (own, user.email_verified) {
            (true, true) => Some(Used::Confirmed),
            (true, false) => None,
            (false, _) => Some(Used::Removed),
        })
    }

    /// Uses the secret: the email address that it was sent to becomes the account's verified one. Other accounts'
    /// unverified claims on it are dropped, with their secrets; a replaced address is notified.
    ///
    /// # Errors
    /// [`VerifyEmailError`]; then nothing has changed.
    pub async fn complete(&self, token: &SecretString) -> Result<(), VerifyEmailError> {
        let (transaction, digest, user, email) = self.hold(token).await?;
        let (now, id) = (self.clock.now(), user.id);
        match users::verify_email(&transaction, id, &email).await {
            Ok(true) => {}
            // The unique index: another account verified the address first.
            Ok(false) | Err(StoreError::Duplicate(_)) => return Err(refused("email_verified")),
            Err(other) => return Err(other.into()),
        }
        if one_use_secrets::consume(&transaction, Purpose::EmailVerification, digest, now).await?.is_none() {
            return Err(refused("email_verified"));
        }
        let losers = users::drop_claims(&transaction, &email, Claimant::AllBut(id)).await?;
        one_use_secrets::void(&transaction, SecretSelector::MailedTo(&email, id), now).await?;
        let is_replaced = user.email.as_ref().is_some_and(|old| user.email_verified && old.key() != email.key());
        if is_replaced {
            // The old mailbox must not control the account any more.
            one_use_secrets::void(&transaction, SecretSelector::AllOf(id), now).await?;
            self.outbox.tell_owner(&transaction, &user, AccountChange::Email(email)).await?;
        }
        let changed = losers.into_iter().chain([id]).collect();
        self.commit(transaction, changed, Event::done("email_verified").account(id)).await
    }

    /// Uses the secret to disown the account: its claim on the email address is dropped.
    ///
    /// # Errors
    /// [`VerifyEmailError`]; then nothing has changed.
    pub async fn disown(&self, token: &SecretString) -> Result<(), VerifyEmailError> {
        let (transaction, digest, user, email) = self.hold(token).await?;
        let now = self.clock.now();
        if one_use_secrets::consume(&transaction, Purpose::EmailVerification, digest, now).await?.is_none() {
            return Err(refused("email_disowned"));
        }
        outbox::withdraw(&transaction, user.id, Kind::EmailClaimed).await?;
        let changed = users::drop_claims(&transaction, &email, Claimant::Only(user.id)).await?;
        self.commit(transaction, changed, Event::done("email_disowned").account(user.id)).await
    }

    /// Begins a transaction that locks the account of a secret, and every other account with the same email address.
    async fn hold(
        &self,
        token: &SecretString,
    ) -> Result<(Transaction, OneUseDigest, User, EmailAddress), VerifyEmailError> {
        let refused = || refused("email_verified");
        let digest = digest(token).map_err(|()| refused())?;
        let live = self.find(digest).await?.ok_or_else(refused)?;
        let transaction = store::begin(&self.db).await?;
        let user = users::hold_claimants(&transaction, live.user, &live.email).await?;
        let user = user.filter(|user| names(user, &live.email)).ok_or_else(refused)?;
        Ok((transaction, digest, user, live.email))
    }

    async fn find(&self, digest: OneUseDigest) -> Result<Option<LiveSecret>, StoreError> {
        one_use_secrets::find(&self.db, Purpose::EmailVerification, digest, self.clock.now()).await
    }

    /// Commits, and makes every replica read these accounts again.
    async fn commit(
        &self,
        transaction: Transaction,
        changed: Vec<UserId>,
        event: Event,
    ) -> Result<(), VerifyEmailError> {
        let entries = changed.into_iter().map(|user| self.changes.account_changed(user)).collect();
        let written = self.changes.write(&transaction, entries).await?;
        self.changes.commit(transaction, written.recording(event)).await?;
        self.outbox.wake();
        Ok(())
    }
}

/// Whether the account, as it is now, may prove the address: its unverified one, or one that is to replace a verified.
fn names(user: &User, email: &EmailAddress) -> bool {
    let own = user.email.as_ref().is_some_and(|own| own.key() == email.key());
    user.disabled_at.is_none() && (user.email_verified || own)
}

fn digest(token: &SecretString) -> Result<OneUseDigest, ()> {
    OneUseSecret::parse(token).map(|secret| one_use_secret::digest(&secret)).map_err(|_| ())
}

fn refused(event: &'static str) -> VerifyEmailError {
    Event::refused(event, "token").record();
    VerifyEmailError::InvalidToken
}
