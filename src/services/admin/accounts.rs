//! The operator's hand on accounts. Whoever runs this has been let in by the edge; the flow asks for no proof.
//!
//! Whatever shuts somebody out ends all their sessions in the transaction of its change, the account's row first: a
//! log-in that is under way waits for it and then finds the account as it has become.

use std::{collections::BTreeSet, sync::Arc};

use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    crypto::random::Random,
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        password_policy::Password,
        role::Role,
        session::EndReason,
        user::{AccountRecord, User},
        username::Username,
    },
    services::{
        Unavailable,
        accounts::{
            choose_password::{ChoosePassword, ChoosePasswordError},
            delete::delete_account,
        },
        audit::Event,
        outbox::Outbox,
        sessions::end::EndSession,
    },
    store::{
        self, Database, StoreError, Transaction, one_use_secrets,
        outbox::OutboxEvent,
        sessions::{self, SessionSelector},
        users::{self, Claimant, Identifier, NewUser},
    },
};

/// How many accounts are read at a time.
const PAGE: u64 = 500;
/// The most sessions that end together with the change that ends them. A transaction is bounded in time, and nobody
/// may keep an account from being disabled by logging in to it very often.
const MOST_TOGETHER: u64 = 5_000;
/// Of more sessions than that, how many end at a time before the change.
const BATCH: u64 = 500;

/// Accounts, as an operator handles them.
#[derive(Debug, Clone)]
pub struct Administer {
    /// Where accounts are.
    pub db: Database,
    /// Judges and hashes passwords.
    pub choose_password: ChoosePassword,
    /// Ends sessions.
    pub end_session: EndSession,
    /// Where mails wait, which a running service sends.
    pub outbox: Outbox,
    /// Draws accounts' ids.
    pub random: Random,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// An account to be.
#[derive(Debug)]
pub struct NewAccount {
    /// Its name.
    pub username: Username,
    /// Its address, where it has one.
    pub email: Option<NewEmail>,
    /// Its roles.
    pub roles: BTreeSet<Role>,
}

/// The address of an account to be.
#[derive(Debug)]
pub enum NewEmail {
    /// A claim that nobody has proved: it opens nothing.
    Unverified(EmailAddress),
    /// The operator knows that it is its owner's.
    Verified(EmailAddress),
}

impl NewEmail {
    fn address(&self) -> &EmailAddress {
        match self {
            Self::Unverified(email) | Self::Verified(email) => email,
        }
    }
}

/// An account with what else an operator wants to know of it.
#[derive(Debug)]
pub struct AccountOverview {
    /// The account.
    pub record: AccountRecord,
    /// How many live sessions it has.
    pub sessions: u64,
}

/// Why an account stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum AdministerError {
    /// There is none of that name.
    #[error("there is no such account")]
    Unknown,
    /// What was given is the id of one account and the username of another.
    #[error("this is the id of one account and the username of another")]
    Ambiguous,
    /// Another account has that name.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another account has proved that the address is its owner's.
    #[error("another account has verified this email address")]
    EmailTaken,
    /// It would have more than [`Role::MOST`] roles.
    #[error("an account has at most {} roles", Role::MOST)]
    TooManyRoles,
    /// No such password may be chosen. The message is a predicate of the password.
    #[error("the password {0}")]
    Password(String),
    /// Trouble on our side.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(AdministerError: StoreError);

impl Administer {
    /// The account that somebody means by `name`: its username in any spelling, its id, or its verified email address.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`], or [`AdministerError::Ambiguous`]: a username may look like an id, and whoever
    /// chose somebody else's must not be taken for them, nor they for him.
    pub async fn find(&self, name: &str) -> Result<User, AdministerError> {
        if let Ok(email) = EmailAddress::parse(name) {
            return self.read(&Identifier::Email(email)).await?.ok_or(AdministerError::Unknown);
        }
        let by_id = match Uuid::parse_str(name) {
            Ok(id) => users::find(&self.db, UserId(id)).await?,
            Err(_) => None,
        };
        let by_name = match Username::parse(name) {
            Ok(username) => self.read(&Identifier::Username(username)).await?,
            Err(_) => None,
        };
        match (by_id, by_name) {
            (Some(one), Some(other)) if one.id != other.id => Err(AdministerError::Ambiguous),
            (by_id, by_name) => by_id.or(by_name).ok_or(AdministerError::Unknown),
        }
    }

    async fn read(&self, identifier: &Identifier) -> Result<Option<User>, StoreError> {
        Ok(users::find_with_password(&self.db, identifier).await?.map(|(user, _)| user))
    }

    /// An account and what there is to know of it.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or trouble.
    pub async fn show(&self, id: UserId) -> Result<AccountOverview, AdministerError> {
        let found = users::find_with_password(&self.db, &Identifier::Id(id)).await?;
        let (user, password_hash) = found.ok_or(AdministerError::Unknown)?;
        let sessions = sessions::count_live(&self.db, id, self.clock.now()).await?;
        Ok(AccountOverview { record: AccountRecord { user, has_password: password_hash.is_some() }, sessions })
    }

    /// A page of all accounts: those behind `after`, oldest first, `None` for the first page; and where the next one
    /// begins, `None` at the end.
    ///
    /// # Errors
    /// [`AdministerError::Unavailable`].
    pub async fn page(&self, after: Option<UserId>) -> Result<(Vec<AccountRecord>, Option<UserId>), AdministerError> {
        let page = users::page(&self.db, after, PAGE).await?;
        let whole = u64::try_from(page.len()).is_ok_and(|rows| rows == PAGE);
        let next = page.last().filter(|_| whole).map(|record| record.user.id);
        Ok((page, next))
    }

    /// Makes an account, whether or not registration is open.
    ///
    /// A verified address is taken away from accounts that claim it without proof.
    ///
    /// # Errors
    /// [`AdministerError`]; then there is no account.
    pub async fn create(&self, new: &NewAccount, password: &SecretString) -> Result<User, AdministerError> {
        if new.roles.len() > Role::MOST {
            return Err(AdministerError::TooManyRoles);
        }
        let password = parse(password)?;
        let email = new.email.as_ref().map(NewEmail::address);
        let hash = self.choose_password.run(password, &new.username, email).await.map_err(chosen)?;
        let now = self.clock.now();
        let id = UserId(self.random.uuid_v7(now));
        let row = NewUser { id, username: &new.username, email, password_hash: Some(&hash), created_at: now };

        let transaction = store::begin(&self.db).await?;
        let mut user = users::insert(&transaction, &row).await.map_err(|error| match error {
            StoreError::Duplicate(_) => AdministerError::UsernameTaken,
            other => other.into(),
        })?;
        let mut dropped = Vec::new();
        if let Some(NewEmail::Verified(email)) = &new.email {
            user.email_verified = users::verify_email(&transaction, id, email).await.map_err(|error| match error {
                StoreError::Duplicate(_) => AdministerError::EmailTaken,
                other => other.into(),
            })?;
            dropped = users::drop_claims(&transaction, email, Claimant::AllBut(id)).await?;
            one_use_secrets::void(&transaction, one_use_secrets::SecretSelector::MailedTo(email, id), now).await?;
        }
        if let Some(NewEmail::Unverified(email)) = &new.email {
            self.outbox.within(&transaction, &OutboxEvent::EmailClaimed(id, Some(email.clone()))).await?;
        }
        if !new.roles.is_empty() {
            let roles: Vec<Role> = new.roles.iter().cloned().collect();
            user = users::set_roles(&transaction, id, &roles).await?.ok_or(AdministerError::Unknown)?;
        }
        let changes = &self.end_session.changes;
        let entries = dropped.iter().map(|other| changes.account_changed(*other)).collect();
        let mut written = changes.write(&transaction, entries).await?;
        written = written.recording(Event::done("register").because("operator").account(id));
        for other in dropped {
            written = written.recording(Event::done("account_change").because("email_proved").account(other));
        }
        changes.commit(transaction, written).await?;
        Ok(user)
    }

    /// Disables an account and ends its sessions; says how many. One that is disabled already stays so.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or trouble.
    pub async fn disable(&self, id: UserId) -> Result<usize, AdministerError> {
        let before = self.end_excess(id, EndReason::AccountDisabled).await?;
        let transaction = store::begin(&self.db).await?;
        users::disable(&transaction, id, self.clock.now()).await?.ok_or(AdministerError::Unknown)?;
        let event = Event::done("account_disable").account(id);
        Ok(before + self.shut_out(transaction, id, EndReason::AccountDisabled, event).await?)
    }

    /// Lets a disabled account log in again. Its sessions stay ended.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or trouble.
    pub async fn enable(&self, id: UserId) -> Result<(), AdministerError> {
        let transaction = store::begin(&self.db).await?;
        users::enable(&transaction, id).await?.ok_or(AdministerError::Unknown)?;
        self.commit_change(transaction, id, Event::done("account_enable").account(id)).await
    }

    /// Deletes an account and ends its sessions; says how many.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or trouble.
    pub async fn delete(&self, id: UserId) -> Result<usize, AdministerError> {
        let before = self.end_excess(id, EndReason::AccountDeleted).await?;
        let transaction = store::begin(&self.db).await?;
        if !users::remove(&transaction, id).await? {
            return Err(AdministerError::Unknown);
        }
        let ending = delete_account(&self.end_session, &transaction, id, EndReason::AccountDeleted).await?;
        let event = Event::done("account_delete").because("operator").account(id);
        Ok(before + self.end_session.commit(transaction, ending.recording(event)).await?)
    }

    /// Gives an account another password and ends its sessions; says how many. A disabled one stays disabled.
    ///
    /// # Errors
    /// [`AdministerError`].
    pub async fn set_password(&self, user: &User, password: &SecretString) -> Result<usize, AdministerError> {
        let chosen_password = self.choose_password.run(parse(password)?, &user.username, user.email.as_ref()).await;
        let hash = chosen_password.map_err(chosen)?;
        let before = self.end_excess(user.id, EndReason::PasswordChange).await?;
        let transaction = store::begin(&self.db).await?;
        let user = users::set_password(&transaction, user.id, &hash).await?.ok_or(AdministerError::Unknown)?;
        // Links that were mailed before would undo it.
        one_use_secrets::void(&transaction, one_use_secrets::SecretSelector::AllOf(user.id), self.clock.now()).await?;
        if let Some(email) = user.email.filter(|_| user.email_verified) {
            self.outbox.within(&transaction, &OutboxEvent::PasswordChanged(user.id, email)).await?;
        }
        let event = Event::done("password_change").because("operator").account(user.id);
        Ok(before + self.shut_out(transaction, user.id, EndReason::PasswordChange, event).await?)
    }

    /// Ends an account's sessions; says how many.
    ///
    /// # Errors
    /// [`AdministerError::Unavailable`].
    pub async fn revoke_sessions(&self, id: UserId) -> Result<usize, AdministerError> {
        let before = self.end_excess(id, EndReason::Operator).await?;
        let transaction = store::begin(&self.db).await?;
        let event = Event::done("sessions_revoke").because("operator").account(id);
        Ok(before + self.shut_out(transaction, id, EndReason::Operator, event).await?)
    }

    /// Gives an account a role, which its next tokens carry, those of its live sessions too. Says whether it is new.
    ///
    /// # Errors
    /// [`AdministerError`].
    pub async fn grant_role(&self, id: UserId, role: &Role) -> Result<bool, AdministerError> {
        self.change_roles(id, Event::done("role_grant").account(id), |roles| roles.insert(role.clone())).await
    }

    /// Takes a role from an account: no token that is issued from now on carries it. Says whether the account had it.
    ///
    /// # Errors
    /// [`AdministerError`].
    pub async fn revoke_role(&self, id: UserId, role: &Role) -> Result<bool, AdministerError> {
        self.change_roles(id, Event::done("role_revoke").account(id), |roles| roles.remove(role)).await
    }

    async fn change_roles(
        &self,
        id: UserId,
        event: Event,
        change: impl FnOnce(&mut BTreeSet<Role>) -> bool,
    ) -> Result<bool, AdministerError> {
        let transaction = store::begin(&self.db).await?;
        let user = users::find_to_change(&transaction, id).await?.ok_or(AdministerError::Unknown)?;
        let mut roles: BTreeSet<Role> = user.roles.into_iter().collect();
        if !change(&mut roles) {
            return Ok(false);
        }
        if roles.len() > Role::MOST {
            return Err(AdministerError::TooManyRoles);
        }
        let roles: Vec<Role> = roles.into_iter().collect();
        users::set_roles(&transaction, id, &roles).await?.ok_or(AdministerError::Unknown)?;
        sessions::set_roles(&transaction, id, &roles).await?;
        self.commit_change(transaction, id, event).await?;
        Ok(true)
    }

    /// Commits a change of an account that ends nothing.
    async fn commit_change(&self, transaction: Transaction, id: UserId, event: Event) -> Result<(), AdministerError> {
        let changes = &self.end_session.changes;
        let written = changes.write(&transaction, vec![changes.account_changed(id)]).await?.recording(event);
        Ok(changes.commit(transaction, written).await?)
    }

    /// Ends every session of an account in the transaction that has changed its row, and commits. Says how many.
    async fn shut_out(
        &self,
        transaction: Transaction,
        id: UserId,
        reason: EndReason,
        event: Event,
    ) -> Result<usize, AdministerError> {
        let also = vec![self.end_session.changes.account_changed(id)];
        let ending = self.end_session.within(&transaction, &SessionSelector::AllOf(id), reason, also).await?;
        Ok(self.end_session.commit(transaction, ending.recording(event)).await?)
    }

    /// Ends sessions of which there are too many for one transaction. All of them are to end anyway, so that nothing is
    /// lost if what follows fails. Says how many.
    async fn end_excess(&self, id: UserId, reason: EndReason) -> Result<usize, AdministerError> {
        let mut left = sessions::count_unended(&self.db, id).await?;
        let mut all = 0;
        while left > MOST_TOGETHER {
            let ended = self.end_session.run(&SessionSelector::SomeOf(id, BATCH), reason).await?;
            if ended == 0 {
                break;
            }
            all += ended;
            left = left.saturating_sub(u64::try_from(ended).unwrap_or(u64::MAX));
        }
        Ok(all)
    }
}

fn parse(password: &SecretString) -> Result<Password, AdministerError> {
    Password::parse(password).map_err(|why| AdministerError::Password(why.to_string()))
}

fn chosen(error: ChoosePasswordError) -> AdministerError {
    match error {
        ChoosePasswordError::Weak(why) => AdministerError::Password(why.to_string()),
        ChoosePasswordError::Unavailable(trouble) => trouble.into(),
    }
}
