//! The events that are reported by email, and how a row stores them.

use entity::outbox::Model;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{email::EmailAddress, ids::UserId, username::Username},
    store::{
        StoreError,
        rows::{from_json, unreadable},
        users::Identifier,
    },
};

const TABLE: &str = "outbox";

/// An event to report by email, if there is a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxEvent {
    /// A new password was requested for a named account, which may not exist.
    ResetRequested(Identifier),
    /// An account claims an email address, or requests another verification email (`None`).
    EmailClaimed(UserId, Option<EmailAddress>),
    /// A password was changed; this was the account's verified email address.
    PasswordChanged(UserId, EmailAddress),
    /// A verified email address was replaced: the account, the old and the new one.
    EmailChanged(UserId, EmailAddress, EmailAddress),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`OutboxEvent::ResetRequested`].
    ResetRequested,
    /// [`OutboxEvent::EmailClaimed`].
    EmailClaimed,
    /// [`OutboxEvent::PasswordChanged`].
    PasswordChanged,
    /// [`OutboxEvent::EmailChanged`].
    EmailChanged,
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
        }
    }
}

impl OutboxEvent {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::ResetRequested(_) => Kind::ResetRequested,
            Self::EmailClaimed(..) => Kind::EmailClaimed,
            Self::PasswordChanged(..) => Kind::PasswordChanged,
            Self::EmailChanged(..) => Kind::EmailChanged,
        }
    }

    /// The account, if the event names one.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::ResetRequested(Identifier::Id(user))
            | Self::EmailClaimed(user, _)
            | Self::PasswordChanged(user, _)
            | Self::EmailChanged(user, _, _) => Some(*user),
            Self::ResetRequested(_) => None,
        }
    }
}

/// The JSON that a row stores beside kind and account.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::store) struct Payload {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<String>,
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
            OutboxEvent::PasswordChanged(_, to) => Self { email: text(to), ..Self::default() },
            OutboxEvent::EmailChanged(_, old, new) => Self { email: text(old), new: text(new), ..Self::default() },
        }
    }
}

/// Reads the event of a row.
pub(in crate::store) fn read(row: &Model) -> Result<OutboxEvent, StoreError> {
    let payload: Payload = from_json(TABLE, &row.payload)?;
    let user = || row.user_id.map(UserId).ok_or_else(|| unreadable(TABLE, "no account"));
    let address = |text: &str| EmailAddress::parse(text).map_err(|why| unreadable(TABLE, why));
    let needed = |text: Option<String>| address(&text.ok_or_else(|| unreadable(TABLE, "no address"))?);
    Ok(match row.kind.as_str() {
        "reset_requested" => OutboxEvent::ResetRequested(match (payload.username, payload.email) {
            (Some(key), _) => Identifier::Username(Username::from_stored(key.clone(), key)),
            (None, Some(email)) => Identifier::Email(address(&email)?),
            (None, None) => Identifier::Id(user()?),
        }),
        "email_claimed" => OutboxEvent::EmailClaimed(user()?, payload.email.as_deref().map(address).transpose()?),
        "password_changed" => OutboxEvent::PasswordChanged(user()?, needed(payload.email)?),
        "email_changed" => OutboxEvent::EmailChanged(user()?, needed(payload.email)?, needed(payload.new)?),
        _ => return Err(unreadable(TABLE, "a kind of cause that this version does not know")),
    })
}
