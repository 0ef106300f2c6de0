//! Resolves an outbox event to an email, at the moment of sending: neither the request nor the outbox tells whether
//! anyone gets one.
//!
//! An email with a secret goes to one address: the account's present or claimed one. The secret is stored in the
//! transaction that locks the account; everything that voids secrets locks it too.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use secrecy::SecretString;

use crate::{
    crypto::{
        jose::jwt::SignError,
        keys::ring::{KeyKind, Keyring},
        one_use_secret,
    },
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        mail::{Email, Message},
        one_use_secret::{OneUseSecret, Purpose},
        user::User,
    },
    services::{Unavailable, audit::Event},
    store::{
        self, Database, Transaction,
        one_use_secrets::{self, NewSecret},
        outbox::{self, Claimed, Kind, OutboxEvent},
        users::{self, Identifier},
    },
};

/// Resolves outbox events to emails.
#[derive(Debug, Clone)]
pub struct ResolveMail {
    /// Holds accounts, secrets and events.
    pub db: Database,
    /// Its root secret derives the one-use secrets.
    pub keyring: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
    /// The prefix of every link.
    pub issuer: String,
    /// How many emails of a kind an account or address gets within which time; `None` is unlimited.
    pub limit: Option<(u32, Duration)>,
}

/// An email, and the account that it is about.
#[derive(Debug)]
pub struct Resolved {
    /// The email to send.
    pub email: Email,
    pub user: UserId,
    /// Its kind, in one word for the log.
    pub name: &'static str,
}

/// Why no email is sent. The word goes into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nobody {
    /// There is no such account.
    Unknown,
    /// The account has no verified address.
    Unverified,
    /// The account is disabled.
    Disabled,
    /// There is nothing to verify.
    Verified,
    /// A newer event was sent instead.
    Overtaken,
    /// The limit is reached.
    Limited,
    /// Another process has the row now.
    Lost,
}

impl Nobody {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unverified => "unverified",
            Self::Disabled => "disabled",
            Self::Verified => "verified",
            Self::Overtaken => "overtaken",
            Self::Limited => "rate_limit",
            Self::Lost => "withdrawn",
        }
    }
}

/// The resolved email; or why there is none, and the account if known.
type Found = Result<Resolved, (Nobody, Option<UserId>)>;

impl ResolveMail {
    /// The email for an event; `None` if there is no recipient, and the event is done.
    ///
    /// # Errors
    /// [`Unavailable`]; then it is found another time.
    pub async fn run(&self, row: &Claimed, cause: &OutboxEvent) -> Result<Option<Resolved>, Unavailable> {
        let transaction = store::begin(&self.db).await?;
        let found = self.find(&transaction, row, cause).await?;
        store::commit(transaction).await?;
        match found {
            Ok(resolved) => Ok(Some(resolved)),
            Err((nobody, user)) => {
                let event = Event::refused("mail", nobody.as_str());
                match user {
                    Some(user) => event.account(user).record(),
                    None => event.record(),
                }
                outbox::drop_row(&self.db, row).await?;
                Ok(None)
            }
        }
    }

    async fn find(&self, transaction: &Transaction, row: &Claimed, cause: &OutboxEvent) -> Result<Found, Unavailable> {
        let identifier = match cause {
            OutboxEvent::ResetRequested(identifier) => identifier.clone(),
            OutboxEvent::EmailClaimed(user, _)
            | OutboxEvent::PasswordChanged(user, _)
            | OutboxEvent::EmailChanged(user, ..) => Identifier::Id(*user),
        };
        let Some(user) = users::hold(transaction, &identifier).await? else {
            return Ok(Err((Nobody::Unknown, None)));
        };
        let username = user.username.as_written().to_owned();
        let at = row.created_at;
        match cause {
            OutboxEvent::ResetRequested(_) => self.reset(transaction, row, &user).await,
            OutboxEvent::EmailClaimed(_, named) => self.verification(transaction, row, &user, named.as_ref()).await,
            // Security notices are not limited, and go to a disabled account's owner as well.
            OutboxEvent::PasswordChanged(_, to) => {
                let email = email_about(row, to, Message::PasswordChanged { username, at });
                Ok(Ok(Resolved { email, user: user.id, name: "password_changed" }))
            }
            OutboxEvent::EmailChanged(_, old, new) => {
                let email = email_about(row, old, Message::EmailChanged { username, new: new.clone(), at });
                Ok(Ok(Resolved { email, user: user.id, name: "email_changed" }))
            }
        }
    }

    /// To the stored verified address of an account that is not disabled, however the request spelled it.
    async fn reset(&self, transaction: &Transaction, row: &Claimed, user: &User) -> Result<Found, Unavailable> {
        let nobody = |why| Ok(Err((why, Some(user.id))));
        if user.disabled_at.is_some() {
            return nobody(Nobody::Disabled);
        }
        let Some(to) = user.email.as_ref().filter(|_| user.email_verified) else {
            return nobody(Nobody::Unverified);
        };
        if let Some(why) = self.admit(transaction, row, Kind::ResetRequested, user.id, to).await? {
            return nobody(why);
        }
        let secret = self.secret(transaction, row, Purpose::PasswordReset, user.id, to).await?;
        let Some((secret, valid_for)) = secret else { return nobody(Nobody::Overtaken) };
        let link = self.link("/reset-password", &secret);
        let message = Message::PasswordReset { username: user.username.as_written().to_owned(), link, valid_for };
        Ok(Ok(Resolved { email: email_about(row, to, message), user: user.id, name: "password_reset" }))
    }

    /// To the address that the account claims; or to the account that has already verified it.
    async fn verification(
        &self,
        transaction: &Transaction,
        row: &Claimed,
        user: &User,
        named: Option<&EmailAddress>,
    ) -> Result<Found, Unavailable> {
        let nobody = |why| Ok(Err((why, Some(user.id))));
        if user.disabled_at.is_some() {
            return nobody(Nobody::Disabled);
        }
        let to = match named {
            Some(named) => Some(named.clone()),
            None => one_use_secrets::claimed_address(transaction, user.id).await?,
        };
        let Some(to) = to.or_else(|| user.email.clone()) else { return nobody(Nobody::Verified) };
        if user.email_verified && user.email.as_ref() == Some(&to) {
            return nobody(Nobody::Verified);
        }
        let owner = users::find_named(transaction, &Identifier::Email(to.clone())).await?;
        if let Some(owner) = owner.filter(|owner| owner.id != user.id) {
            return self.tell_owner(transaction, row, &owner).await;
        }
        if let Some(why) = self.admit(transaction, row, Kind::EmailClaimed, user.id, &to).await? {
            return nobody(why);
        }
        let secret = self.secret(transaction, row, Purpose::EmailVerification, user.id, &to).await?;
        let Some((secret, valid_for)) = secret else { return nobody(Nobody::Overtaken) };
        let link = self.link("/verify-email", &secret);
        let message = Message::EmailVerification { username: user.username.as_written().to_owned(), link, valid_for };
        Ok(Ok(Resolved { email: email_about(row, &to, message), user: user.id, name: "email_verification" }))
    }

    /// Notifies an address's owner that another account claimed it.
    async fn tell_owner(&self, transaction: &Transaction, row: &Claimed, owner: &User) -> Result<Found, Unavailable> {
        let nobody = |why| Ok(Err((why, Some(owner.id))));
        let Some(to) = &owner.email else { return nobody(Nobody::Unverified) };
        if owner.disabled_at.is_some() {
            return nobody(Nobody::Disabled);
        }
        if let Some(why) = self.admit(transaction, row, Kind::EmailClaimed, owner.id, to).await? {
            return nobody(why);
        }
        let username = owner.username.as_written().to_owned();
        let email = email_about(row, to, Message::RegistrationTried { username, at: row.created_at });
        Ok(Ok(Resolved { email, user: owner.id, name: "registration_tried" }))
    }

    /// Counts the row towards the limits of its account and address, once; or returns why it must not be sent.
    async fn admit(
        &self,
        transaction: &Transaction,
        row: &Claimed,
        kind: Kind,
        user: UserId,
        to: &EmailAddress,
    ) -> Result<Option<Nobody>, Unavailable> {
        let now = self.clock.now();
        if let Some((most, per)) = self.limit.filter(|_| !row.is_addressed) {
            let since = now - TimeDelta::from_std(per).unwrap_or(TimeDelta::MAX);
            if outbox::count(transaction, kind, user, to, since).await? >= u64::from(most) {
                return Ok(Some(Nobody::Limited));
            }
        }
        let own = outbox::address(transaction, row, user, to, now).await?;
        Ok((!own).then_some(Nobody::Lost))
    }

    /// The secret of this row, which replaces the account's earlier one, and its validity counted from the event. It
    /// has its whole lifetime from now on, so that a delayed email does not arrive expired.
    async fn secret(
        &self,
        transaction: &Transaction,
        row: &Claimed,
        purpose: Purpose,
        user: UserId,
        to: &EmailAddress,
    ) -> Result<Option<(OneUseSecret, TimeDelta)>, Unavailable> {
        let keys = self.keyring.current();
        // The root secret at the time of the event, so that each attempt derives the same secret. If it was removed, an
        // earlier email's link is void too, and this one replaces it.
        let root = keys.active_root_secret(row.created_at).ok_or(SignError::NoKey(KeyKind::RootSecret))?;
        let secret = one_use_secret::derive(root, purpose, row.id);
        let expires_at = self.clock.now() + purpose.lifetime();
        let digest = one_use_secret::digest(&secret);
        let new = NewSecret { id: row.id, purpose, user, email: to, digest, asked_at: row.created_at, expires_at };
        // Whole minutes, so that an email that is retried at once is the same.
        let valid_for = TimeDelta::minutes((expires_at - row.created_at).num_minutes());
        Ok(one_use_secrets::put(transaction, &new).await?.then_some((secret, valid_for)))
    }

    fn link(&self, path: &str, secret: &OneUseSecret) -> SecretString {
        format!("{}{path}?token={}", self.issuer, secret.expose()).into()
    }
}

fn email_about(row: &Claimed, to: &EmailAddress, message: Message) -> Email {
    Email { id: row.id, to: to.clone(), message, written_at: row.created_at }
}
