//! Sessions: one row for each login, which decides whether its refresh tokens are valid.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ids::{ClientId, SessionId, UserId},
    role::Role,
    scope::Scope,
    status_list::StatusPosition,
};

/// A login of a user at a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// The user who logged in.
    pub user: UserId,
    /// The client that its tokens are issued to.
    pub client: ClientId,
    /// The browser session that the login came from. This session ends when the browser session ends.
    pub parent: Option<SessionId>,
    /// The granted scope; a refresh may narrow it, never widen it.
    pub scope: Scope,
    /// The one resource that its tokens are for, if the client asked for one (RFC 8707).
    pub resource: Option<String>,
    /// The username that tokens carry.
    pub username: String,
    /// The roles that tokens carry.
    pub roles: Vec<Role>,
    /// How the user proved who they are (RFC 8176).
    pub amr: Vec<String>,
    /// The live refresh token's generation.
    pub generation: Generation,
    /// When the user authenticated; [`UNKNOWN`] if their provider did not say, so that the login is never fresh.
    pub authenticated_at: DateTime<Utc>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the live generation began.
    pub rotated_at: DateTime<Utc>,
    /// When the live refresh token ends unless it is used.
    pub idle_ends_at: DateTime<Utc>,
    /// When the session ends, used or not.
    pub ends_at: DateTime<Utc>,
    /// Its status list index.
    pub status: StatusPosition,
    /// When it ended, if it has.
    pub ended_at: Option<DateTime<Utc>>,
    /// The `User-Agent` of the login.
    pub user_agent: Option<String>,
    /// The IP address of the login.
    pub ip: Option<String>,
}

/// The value of [`Session::amr`] after a login with a provider. RFC 8176 registers none for it; this one is in common
/// use.
pub const FEDERATED: &str = "fed";

/// The time of an authentication at an unknown time. It is older than any time that a request may ask for.
pub const UNKNOWN: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The authentication context classes (`acr`, OIDC Core §2) that a login can reach, weakest first. The standards leave
/// their names to the issuer.
pub const CONTEXT_CLASSES: [&str; 1] = [ONE_FACTOR];
/// One factor: a password, or a login with a provider.
const ONE_FACTOR: &str = "1";

/// The number of refresh tokens that a session has had, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub i64);

impl Generation {
    /// The generation that a session begins with.
    pub const FIRST: Self = Self(1);
}

/// How long the tokens of a session live.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// The lifetime of an access token.
    pub access_token: TimeDelta,
    /// The lifetime of a refresh token that is not used.
    pub refresh_token: TimeDelta,
    /// The lifetime of the session, used or not.
    pub session: TimeDelta,
    /// How long after a rotation the previous generation is still answered.
    pub grace: TimeDelta,
}

/// The verdict on a refresh token that is not the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleRefresh {
    /// The answer to its rotation was lost: return the live generation again, change nothing.
    Repeated,
    /// The token was rotated away before: two parties hold copies. The session ends.
    Reused,
    /// The session has ended, or the token never belonged to it: refuse, change nothing.
    Over,
}

/// The reason why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its user logged out of this session or of all.
    LogOut,
    /// A rotated refresh token was presented again.
    Reuse,
    PasswordChange,
    /// The password was reset by email.
    PasswordReset,
    AccountDeleted,
    AccountDisabled,
    /// An operator ended it.
    Operator,
    ClientDeleted,
    /// A client revoked one of its tokens (RFC 7009).
    Revoked,
    /// A user logged in again in the same browser.
    Replaced,
    /// Its user withdrew the consent to the client.
    ConsentWithdrawn,
    /// A provider was unlinked, and the session may have begun with it.
    Unlinked,
    /// The account had [`MOST_LIVE`] newer ones.
    TooMany,
}

/// The most sessions of an account, expired ones that are not deleted yet included. When one more begins, the oldest
/// ends: an account costs no more than this to list, and to log out of everywhere.
pub const MOST_LIVE: u64 = 1_000;

impl EndReason {
    const ALL: [Self; 13] = [
        Self::LogOut,
        Self::Reuse,
        Self::PasswordChange,
        Self::PasswordReset,
        Self::AccountDeleted,
        Self::AccountDisabled,
        Self::Operator,
        Self::ClientDeleted,
        Self::Revoked,
        Self::Replaced,
        Self::ConsentWithdrawn,
        Self::Unlinked,
        Self::TooMany,
    ];

    /// The reason with this value in the database.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == value)
    }

    /// The value in logs and the database.
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
            Self::TooMany => "too_many",
        }
    }
}

impl Session {
    /// Whether the session has neither ended nor expired at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now < self.ends_at && now < self.idle_ends_at
    }

    /// The `auth_time` of its tokens (OIDC Core §2); `None` if the provider did not say when the user authenticated.
    #[must_use]
    pub fn auth_time(&self) -> Option<i64> {
        (self.authenticated_at > UNKNOWN).then(|| self.authenticated_at.timestamp())
    }

    /// How much the login proves (`acr`).
    #[must_use]
    #[expect(clippy::unused_self, reason = "every login proves one factor so far")]
    pub fn acr(&self) -> &'static str {
        ONE_FACTOR
    }

    /// Whether it began with a login at a provider.
    #[must_use]
    pub fn is_federated(&self) -> bool {
        self.amr.iter().any(|method| method == FEDERATED)
    }

    /// Decides about a refresh token of `generation`, presented at `now` by the session's own client, after the
    /// rotation refused it.
    ///
    /// The generation just before the live one is [`StaleRefresh::Repeated`] for `grace` after the rotation (the answer
    /// was lost), and [`StaleRefresh::Reused`] from then on, as are all older ones (RFC 9700 §4.14.2). A session that
    /// has ended is never `Reused`: a logout must not be logged as a theft. Signet never issued a later generation.
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

    /// A session in its third generation, rotated at second 100.
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
