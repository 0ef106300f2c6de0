//! The events that are reported by email, and how a job stores them.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{email::EmailAddress, ids::UserId, mail::AccountChange, username::Username},
    store::{
        StoreError,
        jobs::Job,
        rows::{from_json, unreadable},
        users::Identifier,
    },
};

const TABLE: &str = "jobs";

/// An event to report by email, if there is a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxEvent {
    /// A new password was requested for a named account, which may not exist.
    ResetRequested(Identifier),
    /// An account claims an email address, or requests another verification email (`None`).
    EmailClaimed(UserId, Option<EmailAddress>),
    /// The owner of an account is told of a change.
    Changed(Notice),
}

/// A notice to the owner of an account. It holds all that its email says, since the account may be gone by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub user: UserId,
    /// The account's verified address, before the change.
    pub to: EmailAddress,
    /// The username after the change; `None` in rows of earlier versions.
    pub username: Option<String>,
    pub change: AccountChange,
}

/// The topic of an email's job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ResetRequested,
    EmailClaimed,
    PasswordChanged,
    EmailChanged,
    UsernameChanged,
    ProviderLinked,
    ProviderUnlinked,
    AccountDeleted,
}

impl Kind {
    /// The name in the database and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResetRequested => "reset_requested",
            Self::EmailClaimed => "email_claimed",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::UsernameChanged => "username_changed",
            Self::ProviderLinked => "provider_linked",
            Self::ProviderUnlinked => "provider_unlinked",
            Self::AccountDeleted => "account_deleted",
        }
    }
}

impl From<&AccountChange> for Kind {
    fn from(change: &AccountChange) -> Self {
        match change {
            AccountChange::Password => Self::PasswordChanged,
            AccountChange::Email(_) => Self::EmailChanged,
            AccountChange::Username(_) => Self::UsernameChanged,
            AccountChange::ProviderLinked(_) => Self::ProviderLinked,
            AccountChange::ProviderUnlinked(_) => Self::ProviderUnlinked,
            AccountChange::Deleted => Self::AccountDeleted,
        }
    }
}

impl OutboxEvent {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::ResetRequested(_) => Kind::ResetRequested,
            Self::EmailClaimed(..) => Kind::EmailClaimed,
            Self::Changed(notice) => Kind::from(&notice.change),
        }
    }

    /// The account, if the event names one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::ResetRequested(Identifier::Id(user)) | Self::EmailClaimed(user, _) => Some(*user),
            Self::Changed(notice) => Some(notice.user),
            Self::ResetRequested(_) => None,
        }
    }
}

/// The JSON that a job stores beside topic and account.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::store) struct Payload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The new email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<String>,
    /// The old username, or the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    what: Option<String>,
}

impl Payload {
    pub(in crate::store) fn of(cause: &OutboxEvent) -> Self {
        let text = |address: &EmailAddress| Some(address.as_str().to_owned());
        match cause {
            OutboxEvent::ResetRequested(Identifier::Username(name)) => {
                Self { username: Some(name.key().to_owned()), ..Self::default() }
            }
            OutboxEvent::ResetRequested(Identifier::Email(email)) => Self { email: text(email), ..Self::default() },
            OutboxEvent::ResetRequested(Identifier::Id(_)) => Self::default(),
            OutboxEvent::EmailClaimed(_, email) => Self { email: email.as_ref().and_then(text), ..Self::default() },
            OutboxEvent::Changed(Notice { to, username, change, .. }) => {
                let (new, what) = match change {
                    AccountChange::Password | AccountChange::Deleted => (None, None),
                    AccountChange::Email(new) => (text(new), None),
                    AccountChange::Username(what)
                    | AccountChange::ProviderLinked(what)
                    | AccountChange::ProviderUnlinked(what) => (None, Some(what.clone())),
                };
                Self { username: username.clone(), email: text(to), new, what }
            }
        }
    }
}

/// The address that a stored claim names.
pub(super) fn claimed_address(payload: &str) -> Option<EmailAddress> {
    let payload: Payload = from_json(TABLE, payload).ok()?;
    payload.email.and_then(|email| EmailAddress::parse(&email).ok())
}

/// Reads the event of a job.
pub(super) fn read(job: &Job) -> Result<OutboxEvent, StoreError> {
    let Payload { username, email, new, what } = from_json(TABLE, &job.payload)?;
    let user = || job.user.ok_or_else(|| unreadable(TABLE, "no account"));
    let address = |text: &str| EmailAddress::parse(text).map_err(|why| unreadable(TABLE, why));
    let needed = |text: Option<String>| address(&text.ok_or_else(|| unreadable(TABLE, "no address"))?);
    let named = |text: Option<String>| text.ok_or_else(|| unreadable(TABLE, "no name"));
    let change = match job.topic.as_str() {
        "reset_requested" => {
            return Ok(OutboxEvent::ResetRequested(match (username, email) {
                (Some(key), _) => Identifier::Username(Username::from_stored(key.clone(), key)),
                (None, Some(email)) => Identifier::Email(address(&email)?),
                (None, None) => Identifier::Id(user()?),
            }));
        }
        "email_claimed" => {
            return Ok(OutboxEvent::EmailClaimed(user()?, email.as_deref().map(address).transpose()?));
        }
        "password_changed" => AccountChange::Password,
        "email_changed" => AccountChange::Email(needed(new)?),
        "username_changed" => AccountChange::Username(named(what)?),
        "provider_linked" => AccountChange::ProviderLinked(named(what)?),
        "provider_unlinked" => AccountChange::ProviderUnlinked(named(what)?),
        "account_deleted" => AccountChange::Deleted,
        _ => return Err(unreadable(TABLE, "a kind of cause that this version does not know")),
    };
    Ok(OutboxEvent::Changed(Notice { user: user()?, to: needed(email)?, username, change }))
}
