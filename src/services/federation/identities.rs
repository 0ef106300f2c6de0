//! The providers that open an account, in its owner's hand: shown, and taken away.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    domain::{
        clock::Clock,
        identity::{ProviderKind, ProviderName},
        ids::UserId,
        scope::Scope,
        session::{EndReason, Session},
    },
    services::{
        Unavailable,
        accounts::authenticate::{Authenticate, AuthenticateError},
        audit::Event,
        federation::providers::Providers,
        sessions::{bearer::Caller, end::EndSession},
    },
    store::{
        self, Database, StoreError, identities,
        sessions::SessionSelector,
        users::{self, Identifier},
    },
};

/// The providers that open an account.
#[derive(Debug, Clone)]
pub struct Identities {
    /// Those that can be linked.
    pub providers: Arc<Providers>,
    /// Where links are.
    pub db: Database,
    /// Asks for the password.
    pub authenticate: Authenticate,
    /// Ends what may have begun by a link.
    pub end_session: EndSession,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What an account's owner sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityOverview {
    /// What opens the account.
    pub linked: Vec<Linked>,
    /// What could.
    pub others: Vec<(ProviderName, ProviderKind)>,
    /// Whether a change needs the password, since the log-in does not stand in for it.
    pub password_wanted: bool,
}

/// A provider that opens the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Names the link.
    pub id: Uuid,
    /// The provider.
    pub provider: ProviderName,
    /// What it is, if it is still configured.
    pub kind: Option<ProviderKind>,
    /// When it was linked.
    pub linked_at: DateTime<Utc>,
    /// Whether the account has another way in.
    pub removable: bool,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum IdentitiesError {
    /// It is not linked.
    #[error("it is not linked")]
    Unknown,
    /// There is no other way in.
    #[error("it is the last way in")]
    LastWayIn,
    /// The log-in does not stand in for the password, which was not given, or wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// The log-in is too old, and there is no password.
    #[error("the log-in is too old")]
    LogInTooOld,
    /// Too many passwords were wrong before this one, which was not looked at.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// Trouble on our side.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(IdentitiesError: StoreError);

/// How old a log-in may be that stands in for the password.
const RECENT: TimeDelta = TimeDelta::minutes(5);

impl Identities {
    /// What the owner of the account sees who is logged in with `session`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn of(&self, session: &Session) -> Result<IdentityOverview, Unavailable> {
        let found = users::find_with_password(&self.db, &Identifier::Id(session.user)).await?;
        let has_password = found.is_some_and(|(_, password)| password.is_some());
        let linked = identities::of(&self.db, session.user).await?;
        let kind = |name: &ProviderName| self.providers.iter().find(|(one, _)| *one == name).map(|(_, kind)| kind);
        let usable = linked.iter().filter(|link| kind(&link.provider).is_some()).count();
        let others = self.providers.iter().filter(|(name, _)| !linked.iter().any(|link| link.provider == **name));
        Ok(IdentityOverview {
            others: others.map(|(name, kind)| (name.clone(), kind)).collect(),
            password_wanted: !self.stands_in(session, has_password),
            linked: linked
                .into_iter()
                .map(|link| {
                    let kind = kind(&link.provider);
                    let left = usable - usize::from(kind.is_some());
                    let removable = has_password || left > 0;
                    Linked { id: link.id, provider: link.provider, kind, linked_at: link.linked_at, removable }
                })
                .collect(),
        })
    }

    /// Sees that it is the owner who wants a change: by a log-in of at most five minutes ago, or by the password. A
    /// browser that was left open must not open the account for ever. Where there is a password, a provider's word does
    /// not stand in for it: a provider may let in whoever has the browser, unasked.
    ///
    /// # Errors
    /// [`IdentitiesError`].
    pub async fn prove(&self, session: &Session, password: &SecretString) -> Result<(), IdentitiesError> {
        let found = users::find_with_password(&self.db, &Identifier::Id(session.user)).await?;
        let has_password = found.is_some_and(|(_, password)| password.is_some());
        if self.stands_in(session, has_password) {
            return Ok(());
        }
        if !has_password {
            return Err(IdentitiesError::LogInTooOld);
        }
        let caller = Caller {
            user: session.user,
            session: session.id,
            client: session.client.clone(),
            scope: Scope::default(),
            authenticated_at: session.authenticated_at,
        };
        match self.authenticate.check_known(&caller, password).await {
            Ok(_) => Ok(()),
            Err(AuthenticateError::Malformed { .. } | AuthenticateError::Invalid) => {
                Err(IdentitiesError::WrongPassword)
            }
            Err(AuthenticateError::TooMany { retry_after }) => Err(IdentitiesError::TooMany { retry_after }),
            Err(AuthenticateError::Unavailable(trouble)) => Err(trouble.into()),
        }
    }

    /// Takes a link away from the account of `session`, unless it is the last way in. Every other session ends: it may
    /// have begun by that provider.
    ///
    /// # Errors
    /// [`IdentitiesError`].
    pub async fn unlink(&self, session: &Session, id: Uuid) -> Result<(), IdentitiesError> {
        let user = session.user;
        let transaction = store::begin(&self.db).await?;
        // Held, so that of two links only one goes where both are the last.
        users::hold(&transaction, &Identifier::Id(user)).await?.ok_or(IdentitiesError::Unknown)?;
        let found = users::find_with_password(&transaction, &Identifier::Id(user)).await?;
        let has_password = found.is_some_and(|(_, password)| password.is_some());
        let linked = identities::of(&transaction, user).await?;
        let usable = |link: &identities::LinkedIdentity| self.providers.find(link.provider.as_str()).is_some();
        if !has_password && !linked.iter().any(|link| link.id != id && usable(link)) {
            return Err(refused(user));
        }
        if !identities::delete(&transaction, user, id).await? {
            return Err(IdentitiesError::Unknown);
        }
        let others = SessionSelector::AllOfBut(user, session.id);
        let ending = self.end_session.within(&transaction, &others, EndReason::Unlinked, Vec::new()).await?;
        let ending = ending.recording(Event::done("identity_unlink").account(user).session(session.id));
        self.end_session.commit(transaction, ending).await?;
        Ok(())
    }

    /// Whether a log-in stands in for the password of its account.
    fn stands_in(&self, session: &Session, has_password: bool) -> bool {
        let recent = self.clock.now() <= session.authenticated_at + RECENT;
        recent && !(has_password && session.is_federated())
    }
}

fn refused(user: UserId) -> IdentitiesError {
    Event::refused("identity_unlink", "last_way_in").account(user).record();
    IdentitiesError::LastWayIn
}
