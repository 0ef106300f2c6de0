//! Lists and removes the providers that are linked to the caller's account.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    domain::{
        clock::Clock,
        identity::{ProviderKind, ProviderName},
        ids::UserId,
        mail::AccountChange,
        scope::Scope,
        session::{EndReason, Session},
    },
    services::{
        Unavailable,
        accounts::authenticate::{Authenticate, AuthenticateError},
        audit::Event,
        federation::providers::Providers,
        outbox::Outbox,
        sessions::{bearer::Caller, end::EndSession},
    },
    store::{
        self, Database, StoreError, identities,
        sessions::SessionSelector,
        users::{self, Identifier},
    },
};

/// The caller's linked providers.
#[derive(Debug, Clone)]
pub struct Identities {
    /// The configured providers.
    pub providers: Arc<Providers>,
    /// Holds the links.
    pub db: Database,
    /// Checks the password.
    pub authenticate: Authenticate,
    /// Tells the owner.
    pub outbox: Outbox,
    /// Ends sessions that may have begun with a removed link.
    pub end_session: EndSession,
    pub clock: Arc<dyn Clock>,
}

/// The linked and linkable providers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityOverview {
    /// The linked providers.
    pub linked: Vec<Linked>,
    /// The providers that can be linked.
    pub others: Vec<(ProviderName, ProviderKind)>,
    /// Whether a change needs the password.
    pub password_wanted: bool,
}

/// A linked provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The link's id.
    pub id: Uuid,
    pub provider: ProviderName,
    /// Its kind, if it is still configured.
    pub kind: Option<ProviderKind>,
    pub since: DateTime<Utc>,
    /// Whether the account has another way to log in.
    pub removable: bool,
}

/// Why the link was not changed.
#[derive(Debug, thiserror::Error)]
pub enum IdentitiesError {
    #[error("it is not linked")]
    Unknown,
    /// It is the last way to log in.
    #[error("it is the last way in")]
    LastWayIn,
    /// The password is needed, and missing or wrong.
    #[error("the password is wrong")]
    WrongPassword,
    /// The login is too old, and there is no password.
    #[error("the login is too old")]
    LogInTooOld,
    /// Too many wrong passwords came before this one, which was not evaluated.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next attempt is allowed.
        retry_after: Duration,
    },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(IdentitiesError: StoreError);

/// How recent a login must be to replace the password.
const RECENT: TimeDelta = TimeDelta::minutes(5);

impl Identities {
    /// The linked and linkable providers of the account of `session`.
    pub async fn of(&self, session: &Session) -> Result<IdentityOverview, Unavailable> {
        let found = users::find_with_password(&self.db, &Identifier::Id(session.user)).await?;
        let has_password = found.is_some_and(|(_, password)| password.is_some());
        let linked = identities::of(&self.db, session.user).await?;
        let kind = |name: &ProviderName| self.kind(name);
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
                    Linked { id: link.id, provider: link.provider, kind, since: link.linked_at, removable }
                })
                .collect(),
        })
    }

    /// The kind of a provider, if it is configured.
    #[must_use]
    pub fn kind(&self, name: &ProviderName) -> Option<ProviderKind> {
        self.providers.iter().find(|(one, _)| *one == name).map(|(_, kind)| kind)
    }

    /// Confirms that the owner wants a change: by a login of at most five minutes ago, or by the password. An
    /// unattended browser must not be able to link an identity. If there is a password, a login with a provider does
    /// not replace it: a provider may log in anyone at the browser without a prompt.
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
            Err(AuthenticateError::Unavailable(unavailable)) => Err(unavailable.into()),
        }
    }

    /// Removes a link from the account of `session`, unless it is the last way to log in. Every other session ends: it
    /// may have begun with that provider.
    pub async fn unlink(&self, session: &Session, id: Uuid) -> Result<(), IdentitiesError> {
        let user = session.user;
        let transaction = store::begin(&self.end_session.db).await?;
        // The account is locked, so that two concurrent requests cannot remove the last two links.
        let owner = users::hold(&transaction, &Identifier::Id(user)).await?.ok_or(IdentitiesError::Unknown)?;
        let found = users::find_with_password(&transaction, &Identifier::Id(user)).await?;
        let has_password = found.is_some_and(|(_, password)| password.is_some());
        let linked = identities::of(&transaction, user).await?;
        let usable = |link: &identities::LinkedIdentity| self.providers.find(link.provider.as_str()).is_some();
        if !has_password && !linked.iter().any(|link| link.id != id && usable(link)) {
            return Err(refused(user));
        }
        let unlinked = linked.iter().find(|link| link.id == id).ok_or(IdentitiesError::Unknown)?;
        if !identities::delete(&transaction, user, id).await? {
            return Err(IdentitiesError::Unknown);
        }
        let provider = unlinked.provider.as_str().to_owned();
        self.outbox.tell_owner(&transaction, &owner, AccountChange::ProviderUnlinked(provider)).await?;
        let others = SessionSelector::AllOfBut(user, session.id);
        let ending = self.end_session.within(&transaction, &others, EndReason::Unlinked, Vec::new()).await?;
        let ending = ending.recording(Event::done("identity_unlink").account(user).session(session.id));
        self.end_session.commit(transaction, ending).await?;
        self.outbox.wake();
        Ok(())
    }

    /// Whether a login replaces the password of its account.
    fn stands_in(&self, session: &Session, has_password: bool) -> bool {
        let recent = self.clock.now() <= session.authenticated_at + RECENT;
        recent && !(has_password && session.is_federated())
    }
}

fn refused(user: UserId) -> IdentitiesError {
    Event::refused("identity_unlink", "last_way_in").account(user).record();
    IdentitiesError::LastWayIn
}
