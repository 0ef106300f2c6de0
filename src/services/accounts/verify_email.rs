//! Verifies addresses: whoever reads the mail has the address, and nobody else claims it any more.

use std::sync::Arc;

use secrecy::SecretString;

use crate::{
    crypto::one_use_secret,
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
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

/// Verifies addresses.
#[derive(Debug, Clone)]
pub struct VerifyEmail {
    /// Where accounts and secrets are.
    pub db: Database,
    /// Tells others what an account's address is now.
    pub changes: ChangeFeed,
    /// Sends the mails.
    pub outbox: Outbox,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What a secret would prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The account that names the address.
    pub user: User,
    /// The address that the secret was mailed to.
    pub email: EmailAddress,
}

/// Why nothing was verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyEmailError {
    /// The secret is none, has run out, was used, or is not the newest; or somebody else has proved the address.
    #[error("the token is not good, or no longer")]
    InvalidToken,
    /// Trouble on our side.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(VerifyEmailError: StoreError);

impl VerifyEmail {
    /// Has the caller's unverified or pending address written to once more. Whether there is one is not told.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn ask(&self, caller: &Caller) -> Result<(), Unavailable> {
        self.outbox.write(&OutboxEvent::EmailClaimed(caller.user, None)).await?;
        Event::done("verification_requested").account(caller.user).session(caller.session).record();
        Ok(())
    }

    /// What the secret would prove; `None`: nothing. It is as good as before: scanners of mail look, too.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn peek(&self, token: &SecretString) -> Result<Option<Claim>, Unavailable> {
        let Ok(digest) = digest(token) else { return Ok(None) };
        let Some(live) = self.find(digest).await? else { return Ok(None) };
        let user = users::find(&self.db, live.user).await?;
        Ok(user.filter(|user| names(user, &live.email)).map(|user| Claim { user, email: live.email }))
    }

    /// Uses the secret up: the address that it was mailed to is the account's verified one. Every other account's
    /// unverified claim on it is dropped, with the secrets that were mailed for it; the owner of the address that it
    /// replaces is told.
    ///
    /// # Errors
    /// [`VerifyEmailError`]; then nothing has changed.
    pub async fn complete(&self, token: &SecretString) -> Result<(), VerifyEmailError> {
        let (transaction, digest, user, email) = self.hold(token).await?;
        let (now, id) = (self.clock.now(), user.id);
        match users::verify_email(&transaction, id, &email).await {
            Ok(true) => {}
            // Another account proved it first: the unique index knows.
            Ok(false) | Err(StoreError::Duplicate(_)) => return Err(refused("email_verified")),
            Err(other) => return Err(other.into()),
        }
        if one_use_secrets::consume(&transaction, Purpose::EmailVerification, digest, now).await?.is_none() {
            return Err(refused("email_verified"));
        }
        let losers = users::drop_claims(&transaction, &email, Claimant::AllBut(id)).await?;
        one_use_secrets::void(&transaction, SecretSelector::MailedTo(&email, id), now).await?;
        if let Some(old) = user.email.filter(|old| user.email_verified && old.key() != email.key()) {
            // Whoever still reads the old mailbox has no say in the account any more.
            one_use_secrets::void(&transaction, SecretSelector::AllOf(id), now).await?;
            self.outbox.within(&transaction, &OutboxEvent::EmailChanged(id, old, email)).await?;
        }
        let changed = losers.into_iter().chain([id]).collect();
        self.commit(transaction, changed, Event::done("email_verified").account(id)).await
    }

    /// Uses the secret up to say that the account is not one's own: the address is taken away from it.
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

    /// Opens a transaction that holds the account of a secret, and every other that names its address.
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

    /// Commits, and has every replica read these accounts again.
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
