//! Resolves an outbox event to an email, at the moment of sending: neither the request nor the outbox tells whether
//! anyone gets one.
//!
//! An email with a secret goes to one address: the account's present or claimed one. The secret is stored in the
//! transaction that locks the account; everything that voids secrets locks it too.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use crate::{
    crypto::{
        digest,
        jose::jwt::SignError,
        keys::ring::{KeyKind, Keyring},
        one_use_secret,
    },
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        job,
        mail::{Email, Message},
        one_use_secret::{OneUseSecret, Purpose},
        user::User,
    },
    services::{Unavailable, audit::Event},
    store::{
        self, Database, Transaction,
        counted_emails::{self, Recipient},
        jobs::{self, Job},
        one_use_secrets::{self, NewSecret},
        outbox::{self, Kind, Notice, OutboxEvent},
        users::{self, Identifier},
    },
};

/// The longest window of a limit: emails are counted for no longer.
pub const LONGEST_WINDOW: TimeDelta = TimeDelta::days(1);

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
    /// It was withdrawn, or another process has it now.
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

/// What is to be done with an event.
#[derive(Debug)]
pub enum Resolution {
    Send(Box<Resolved>),
    /// Its account or its mailbox has had enough emails until then.
    PutOff(DateTime<Utc>),
    /// Nobody gets an email, and the event is done.
    Nobody,
}

/// The resolved email; or why it is not sent now, and the account if known.
type Found = Result<Resolved, (NotNow, Option<UserId>)>;

/// Why an email is not sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotNow {
    Never(Nobody),
    Before(DateTime<Utc>),
}

/// Whether an email is within the limits of its account and mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Admitted,
    /// There is room then.
    Full(DateTime<Utc>),
}

impl ResolveMail {
    /// The email for an event.
    ///
    /// # Errors
    /// [`Unavailable`]; then it is found another time.
    pub async fn run(&self, job: &Job, cause: &OutboxEvent) -> Result<Resolution, Unavailable> {
        let transaction = store::begin(&self.db).await?;
        let found = self.find(&transaction, job, cause).await?;
        store::commit(transaction).await?;
        let (why, user) = match found {
            Ok(resolved) => return Ok(Resolution::Send(Box::new(resolved))),
            Err(why) => why,
        };
        let (word, resolution) = match why {
            NotNow::Never(nobody) => (nobody.as_str(), Resolution::Nobody),
            NotNow::Before(then) => ("put_off", Resolution::PutOff(then)),
        };
        let event = Event::refused("mail", word);
        user.map_or(event.clone(), |user| event.account(user)).record();
        Ok(resolution)
    }

    async fn find(&self, transaction: &Transaction, job: &Job, cause: &OutboxEvent) -> Result<Found, Unavailable> {
        let identifier = match cause {
            OutboxEvent::ResetRequested(identifier) => identifier.clone(),
            OutboxEvent::EmailClaimed(user, _) => Identifier::Id(*user),
            OutboxEvent::Changed(notice) => return self.notice(transaction, job, notice).await,
        };
        let Some(user) = users::hold(transaction, &identifier).await? else {
            return Ok(Err((NotNow::Never(Nobody::Unknown), None)));
        };
        // From here on nobody withdraws it: that takes the account's lock.
        if !jobs::hold(transaction, job).await? {
            return Ok(Err((NotNow::Never(Nobody::Lost), Some(user.id))));
        }
        match cause {
            OutboxEvent::EmailClaimed(_, named) => self.verification(transaction, job, &user, named.as_ref()).await,
            OutboxEvent::ResetRequested(_) | OutboxEvent::Changed(_) => self.reset(transaction, job, &user).await,
        }
    }

    /// Security notices go to a disabled or deleted account's owner as well, and none is dropped. Only a username may
    /// change any number of times at no cost: its notices wait for room.
    async fn notice(&self, transaction: &Transaction, job: &Job, notice: &Notice) -> Result<Found, Unavailable> {
        let kind = Kind::from(&notice.change);
        if kind == Kind::UsernameChanged
            && let Admission::Full(then) = self.admit(transaction, job, kind, notice.user, &notice.to).await?
        {
            return Ok(Err((later(job, then), Some(notice.user))));
        }
        let username = if let Some(username) = &notice.username {
            username.clone()
        } else {
            let user = users::find_named(transaction, &Identifier::Id(notice.user)).await?;
            user.map(|user| user.username.as_written().to_owned()).unwrap_or_default()
        };
        let message = Message::AccountChanged { username, change: notice.change.clone(), at: job.created_at };
        let email = email_about(job, &notice.to, message);
        Ok(Ok(Resolved { email, user: notice.user, name: kind.as_str() }))
    }

    /// To the stored verified address of an account that is not disabled, however the request spelled it.
    async fn reset(&self, transaction: &Transaction, job: &Job, user: &User) -> Result<Found, Unavailable> {
        let nobody = |why| Ok(Err((NotNow::Never(why), Some(user.id))));
        if user.disabled_at.is_some() {
            return nobody(Nobody::Disabled);
        }
        let Some(to) = user.email.as_ref().filter(|_| user.email_verified) else {
            return nobody(Nobody::Unverified);
        };
        if let Admission::Full(_) = self.admit(transaction, job, Kind::ResetRequested, user.id, to).await? {
            return nobody(Nobody::Limited);
        }
        let secret = self.secret(transaction, job, Purpose::PasswordReset, user.id, to).await?;
        let Some((secret, valid_for)) = secret else { return nobody(Nobody::Overtaken) };
        let link = self.link("/reset-password", &secret);
        let message = Message::PasswordReset { username: user.username.as_written().to_owned(), link, valid_for };
        Ok(Ok(Resolved { email: email_about(job, to, message), user: user.id, name: "password_reset" }))
    }

    /// To the address that the account claims; or to the account that has already verified it.
    async fn verification(
        &self,
        transaction: &Transaction,
        job: &Job,
        user: &User,
        named: Option<&EmailAddress>,
    ) -> Result<Found, Unavailable> {
        let nobody = |why| Ok(Err((NotNow::Never(why), Some(user.id))));
        if user.disabled_at.is_some() {
            return nobody(Nobody::Disabled);
        }
        let to = match outbox::merge_claims(transaction, user.id, job, named).await? {
            Some(named) => Some(named),
            None => one_use_secrets::claimed_address(transaction, user.id).await?,
        };
        let Some(to) = to.or_else(|| user.email.clone()) else { return nobody(Nobody::Verified) };
        if user.email_verified && user.email.as_ref() == Some(&to) {
            return nobody(Nobody::Verified);
        }
        let owner = users::find_named(transaction, &Identifier::Email(to.clone())).await?;
        if let Some(owner) = owner.filter(|owner| owner.id != user.id) {
            return self.tell_owner(transaction, job, &owner).await;
        }
        if let Admission::Full(then) = self.admit(transaction, job, Kind::EmailClaimed, user.id, &to).await? {
            // Others may have named the address again and again; its owner waits, and gets the email all the same.
            return Ok(Err((later(job, then), Some(user.id))));
        }
        let secret = self.secret(transaction, job, Purpose::EmailVerification, user.id, &to).await?;
        let Some((secret, valid_for)) = secret else { return nobody(Nobody::Overtaken) };
        let link = self.link("/verify-email", &secret);
        let message = Message::EmailVerification { link, valid_for };
        Ok(Ok(Resolved { email: email_about(job, &to, message), user: user.id, name: "email_verification" }))
    }

    /// Notifies an address's owner that another account claimed it.
    async fn tell_owner(&self, transaction: &Transaction, job: &Job, owner: &User) -> Result<Found, Unavailable> {
        let nobody = |why| Ok(Err((NotNow::Never(why), Some(owner.id))));
        let Some(to) = &owner.email else { return nobody(Nobody::Unverified) };
        if owner.disabled_at.is_some() {
            return nobody(Nobody::Disabled);
        }
        if let Admission::Full(_) = self.admit(transaction, job, Kind::EmailClaimed, owner.id, to).await? {
            return nobody(Nobody::Limited);
        }
        let username = owner.username.as_written().to_owned();
        let email = email_about(job, to, Message::RegistrationTried { username, at: job.created_at });
        Ok(Ok(Resolved { email, user: owner.id, name: "registration_tried" }))
    }

    /// Counts the job towards the limits of its account and mailbox, once; or says when there is room for it.
    async fn admit(
        &self,
        transaction: &Transaction,
        job: &Job,
        kind: Kind,
        user: UserId,
        to: &EmailAddress,
    ) -> Result<Admission, Unavailable> {
        let to = Recipient { user, mailbox: digest::sha256(to.mailbox().as_bytes()) };
        if counted_emails::is_counted(transaction, job.id).await? {
            return Ok(Admission::Admitted);
        }
        let now = self.clock.now();
        counted_emails::hold(transaction, to).await?;
        if let Some((most, per)) = self.limit {
            let window = (most, TimeDelta::from_std(per).unwrap_or(LONGEST_WINDOW).min(LONGEST_WINDOW));
            if let Some(then) = counted_emails::room_at(transaction, kind.as_str(), to, window, now).await? {
                return Ok(Admission::Full(then));
            }
        }
        counted_emails::insert(transaction, job.id, kind.as_str(), to, now).await?;
        Ok(Admission::Admitted)
    }

    /// The secret of this job, which replaces the account's earlier one, and its validity counted from the event. It
    /// has its whole lifetime from now on, so that a delayed email does not arrive expired.
    async fn secret(
        &self,
        transaction: &Transaction,
        job: &Job,
        purpose: Purpose,
        user: UserId,
        to: &EmailAddress,
    ) -> Result<Option<(OneUseSecret, TimeDelta)>, Unavailable> {
        let keys = self.keyring.current();
        // The root secret at the time of the event, so that each attempt derives the same secret. If it was removed, an
        // earlier email's link is void too, and this one replaces it.
        let root = keys.active_root_secret(job.created_at).ok_or(SignError::NoKey(KeyKind::RootSecret))?;
        let secret = one_use_secret::derive(root, purpose, job.id);
        let expires_at = self.clock.now() + purpose.lifetime();
        let digest = one_use_secret::digest(&secret);
        let new = NewSecret { id: job.id, purpose, user, email: to, digest, asked_at: job.created_at, expires_at };
        // Whole minutes, so that an email that is retried at once is the same.
        let valid_for = TimeDelta::minutes((expires_at - job.created_at).num_minutes());
        Ok(one_use_secrets::put(transaction, &new).await?.then_some((secret, valid_for)))
    }

    fn link(&self, path: &str, secret: &OneUseSecret) -> SecretString {
        format!("{}{path}?token={}", self.issuer, secret.expose()).into()
    }
}

/// Puts an email off, unless that would take longer than emails are tried.
fn later(job: &Job, then: DateTime<Utc>) -> NotNow {
    let over = job.created_at + job::EMAIL.tried_for;
    if then < over { NotNow::Before(then) } else { NotNow::Never(Nobody::Limited) }
}

fn email_about(job: &Job, to: &EmailAddress, message: Message) -> Email {
    Email { id: job.id, to: to.clone(), message, written_at: job.created_at }
}
