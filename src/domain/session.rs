//! Sessions: one row a log-in, which decides what its refresh tokens are worth.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ids::{ClientId, SessionId, UserId},
    role::Role,
    scope::Scope,
    status_list::StatusPosition,
};

/// A log-in of a user at a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// The client that its tokens are issued to.
    pub client: ClientId,
    /// The log-in at our pages that it came from, which it ends with.
    pub parent: Option<SessionId>,
    /// What was granted; refreshes may narrow it, never widen.
    pub scope: Scope,
    /// The one resource that its tokens are for, where one was asked (RFC 8707).
    pub resource: Option<String>,
    /// The username that tokens carry.
    pub username: String,
    /// The roles that tokens carry.
    pub roles: Vec<Role>,
    /// How the user proved who they are (RFC 8176).
    pub amr: Vec<String>,
    /// The live refresh token's generation.
    pub generation: Generation,
    /// When the user proved it.
    pub authenticated_at: DateTime<Utc>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the live generation began.
    pub rotated_at: DateTime<Utc>,
    /// When the live refresh token ends unless it is used.
    pub idle_ends_at: DateTime<Utc>,
    /// When the session ends, used or not.
    pub ends_at: DateTime<Utc>,
    /// Its place in the status lists.
    pub status: StatusPosition,
    /// Since when it is over, if so.
    pub ended_at: Option<DateTime<Utc>>,
    /// From what program the log-in came, as it named itself.
    pub user_agent: Option<String>,
    /// From what address.
    pub ip: Option<String>,
}

/// What [`Session::amr`] says of a log-in with a provider. RFC 8176 has no word for it, since it asks what the provider
/// did; this is the one that is common.
pub const FEDERATED: &str = "fed";

/// How often the refresh token of a session has been rotated, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i64);

impl Generation {
    /// The generation that a session begins with.
    pub const FIRST: Self = Self(1);
}

/// How long the tokens of a session live.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an access token.
    pub access_token: TimeDelta,
    /// Of a refresh token that is not used.
    pub refresh_token: TimeDelta,
    /// Of the session, used or not.
    pub session: TimeDelta,
    /// How long after a rotation the generation before is answered again.
    pub grace: TimeDelta,
}

/// What a refresh token that is not the live one turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleRefresh {
    /// The answer to its rotation was lost: give the live generation again, change nothing.
    Repeated,
    /// It had been rotated away: somebody holds a copy. The session ends.
    Reused,
    /// The session is over, or the token was never this session's: refuse, change nothing.
    Over,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its user logged out, of this session or of all.
    LogOut,
    /// A rotated refresh token was presented again.
    Reuse,
    /// The password was changed.
    PasswordChange,
    /// The password was replaced by way of a mail.
    PasswordReset,
    /// The account was deleted.
    AccountDeleted,
    /// The account was disabled.
    AccountDisabled,
    /// An operator ended it.
    Operator,
    /// The client was deleted.
    ClientDeleted,
    /// A client revoked one of its tokens (RFC 7009).
    Revoked,
    /// Somebody logged in anew in the same browser.
    Replaced,
    /// Its user took back what they had allowed the client.
    ConsentWithdrawn,
    /// A provider was unlinked, by which it may have begun.
    Unlinked,
}

impl EndReason {
    /// The word that logs and the database keep.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LogOut => "log_out",
            Self::Reuse => "reuse",
            Self::PasswordChange => "password_change",
            Self::PasswordReset => "password_reset",
            Self::AccountDeleted => "account_deleted",
            Self::AccountDisabled => "account_disabled",
            Self::Operator => "operator",
            Self::ClientDeleted => "client_deleted",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::Unlinked => "unlinked",
        }
    }
}

impl Session {
    /// Neither ended nor run out at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now < self.ends_at && now < self.idle_ends_at
    }

    /// Whether it began by a provider's word.
    #[must_use]
    pub fn is_federated(&self) -> bool {
        self.amr.iter().any(|method| method == FEDERATED)
    }

    /// Judges a refresh token of `generation`, presented at `now` by the session's own client, that the rotation did
    /// not take.
    ///
    /// The generation just before the live one is [`StaleRefresh::Repeated`] for `grace` after the rotation (the answer
    /// was lost), and [`StaleRefresh::Reused`] from then on, as are all older ones (RFC 9700 §4.14.2). A session that is
    /// over is never reused: a logout must not read as a theft. A generation yet to come cannot be one of ours.
    ///
    /// With a `grace` of zero nothing is ever `Repeated`: of requests that arrive together, one may have read its clock
    /// before the rotation of another, so `now` can be earlier than `rotated_at`.
    #[must_use]
    pub fn presented(&self, generation: Generation, now: DateTime<Utc>, grace: TimeDelta) -> StaleRefresh {
        if !self.is_live(now) || generation >= self.generation {
            return StaleRefresh::Over;
        }
        let within_grace = grace > TimeDelta::zero() && now < self.rotated_at + grace;
        let lost_answer = within_grace && generation.0 + 1 == self.generation.0;
        if lost_answer { StaleRefresh::Repeated } else { StaleRefresh::Reused }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const GRACE: TimeDelta = TimeDelta::seconds(10);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// In its third generation, rotated at second 100.
    fn session() -> Session {
        Session {
            id: SessionId(Uuid::nil()),
            user: UserId(Uuid::nil()),
            client: ClientId::first_party(),
            parent: None,
            scope: Scope::default(),
            resource: None,
            username: "ada".into(),
            roles: vec![],
            amr: vec!["pwd".into()],
            generation: Generation(3),
            authenticated_at: at(0),
            created_at: at(0),
            rotated_at: at(100),
            idle_ends_at: at(1000),
            ends_at: at(2000),
            ended_at: None,
            status: StatusPosition { list: 0, index: 0 },
            user_agent: None,
            ip: None,
        }
    }

    #[test]
    fn the_generation_before_is_repeated_within_the_grace_and_reused_after_it() {
        assert_eq!(session().presented(Generation(2), at(109), GRACE), StaleRefresh::Repeated);
        assert_eq!(session().presented(Generation(2), at(110), GRACE), StaleRefresh::Reused);
        assert_eq!(session().presented(Generation(2), at(100), TimeDelta::zero()), StaleRefresh::Reused);
    }

    #[test]
    fn without_a_grace_nothing_is_repeated_not_even_by_a_clock_that_is_behind() {
        assert_eq!(session().presented(Generation(2), at(99), TimeDelta::zero()), StaleRefresh::Reused);
        assert_eq!(session().presented(Generation(2), at(99), GRACE), StaleRefresh::Repeated);
    }

    #[test]
    fn anything_older_is_reused_at_once() {
        assert_eq!(session().presented(Generation(1), at(101), GRACE), StaleRefresh::Reused);
    }

    #[test]
    fn an_ended_session_is_never_reused() {
        let ended = Session { ended_at: Some(at(101)), ..session() };
        assert_eq!(ended.presented(Generation(1), at(102), GRACE), StaleRefresh::Over);
        assert_eq!(session().presented(Generation(1), at(1000), GRACE), StaleRefresh::Over, "idle too long");
        let absolute = Session { ends_at: at(150), ..session() };
        assert_eq!(absolute.presented(Generation(1), at(150), GRACE), StaleRefresh::Over);
    }

    #[test]
    fn a_generation_yet_to_come_changes_nothing() {
        assert_eq!(session().presented(Generation(4), at(101), GRACE), StaleRefresh::Over);
    }
}
