//! The operator's account management. The caller has been authorized already; no password is asked for.
//!
//! A change that locks a user out ends all their sessions in the same transaction, after the account's row: a
//! concurrent login waits for it, then finds the changed account.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    crypto::random::Random,
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        mail::AccountChange,
        password_policy::Password,
        role::Role,
        session::EndReason,
        throttle::ThrottleRules,
        user::{AccountRecord, User},
        username::Username,
    },
    services::{
        Unavailable,
        accounts::{
            choose_password::{ChoosePassword, ChoosePasswordError},
            delete::delete_account,
            password_costs::PasswordCosts,
        },
        audit::Event,
        outbox::Outbox,
        sessions::end::{EndSession, EndedSessions},
    },
    store::{
        self, Database, StoreError, Transaction, one_use_secrets,
        outbox::OutboxEvent,
        sessions::{self, SessionSelector},
        throttles,
        users::{self, Claimant, Identifier, NewUser},
    },
};

/// Accounts a page.
const PAGE: u64 = 500;

/// The operator's account management.
#[derive(Debug, Clone)]
pub struct Administer {
    pub db: Database,
    /// Checks passwords against the policy, and hashes them.
    pub choose_password: ChoosePassword,
    /// Learns what the hashes cost that are made here.
    pub password_costs: PasswordCosts,
    pub end_session: EndSession,
    /// Emails that the running service sends.
    pub outbox: Outbox,
    /// The rules of failed passwords; `None` if they are off.
    pub throttle_rules: Option<ThrottleRules>,
    pub random: Random,
    pub clock: Arc<dyn Clock>,
}

/// A new account.
#[derive(Debug)]
pub struct NewAccount {
    pub username: Username,
    /// Optional.
    pub email: Option<NewEmail>,
    pub roles: BTreeSet<Role>,
}

/// The email address of a new account.
#[derive(Debug)]
pub enum NewEmail {
    /// An unverified claim.
    Unverified(EmailAddress),
    /// The operator knows that it is the owner's.
    Verified(EmailAddress),
}

impl NewEmail {
    fn address(&self) -> &EmailAddress {
        match self {
            Self::Unverified(email) | Self::Verified(email) => email,
        }
    }
}

/// An account as the operator sees it.
#[derive(Debug)]
pub struct AccountOverview {
    pub record: AccountRecord,
    pub sessions: u64,
    /// After failed passwords, how long further ones are refused.
    pub lock: Option<AccountLock>,
}

/// Passwords of an account are refused for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLock {
    /// Until when, from some network at least.
    pub until: DateTime<Utc>,
    /// Whether every network that the account does not know is refused, or those alone that failed.
    pub everywhere: bool,
}

/// Why an account stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum AdministerError {
    #[error("there is no such account")]
    Unknown,
    /// The text is the id of one account and the username of another.
    #[error("this is the id of one account and the username of another")]
    Ambiguous,
    #[error("the username is taken")]
    UsernameTaken,
    /// Another account has verified the email address.
    #[error("another account has verified this email address")]
    EmailTaken,
    /// It would have more than [`Role::MOST`] roles.
    #[error("an account has at most {} roles", Role::MOST)]
    TooManyRoles,
    /// The password policy refuses it. The message is a predicate of the password.
    #[error("the password {0}")]
    Password(String),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(AdministerError: StoreError);

impl Administer {
    /// The account with this username in any spelling, id, or verified email address.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`], or [`AdministerError::Ambiguous`]: an old username may be another account's id.
    pub async fn find(&self, name: &str) -> Result<User, AdministerError> {
        if let Ok(email) = EmailAddress::parse(name) {
            return self.read(&Identifier::Email(email)).await?.ok_or(AdministerError::Unknown);
        }
        let by_id = match Uuid::parse_str(name) {
            Ok(id) => users::find(&self.db, UserId(id)).await?,
            Err(_) => None,
        };
        let by_name = match Username::parse_existing(name) {
            Ok(username) => self.read(&Identifier::Username(username)).await?,
            Err(_) => None,
        };
        match (by_id, by_name) {
            (Some(one), Some(other)) if one.id != other.id => Err(AdministerError::Ambiguous),
            (by_id, by_name) => by_id.or(by_name).ok_or(AdministerError::Unknown),
        }
    }

    /// The account with this id, and no other.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or [`Unavailable`].
    pub async fn find_by_id(&self, id: UserId) -> Result<User, AdministerError> {
        users::find(&self.db, id).await?.ok_or(AdministerError::Unknown)
    }

    async fn read(&self, identifier: &Identifier) -> Result<Option<User>, StoreError> {
        Ok(users::find_with_password(&self.db, identifier).await?.map(|(user, _)| user))
    }

    /// An account in detail.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or [`Unavailable`].
    pub async fn show(&self, id: UserId) -> Result<AccountOverview, AdministerError> {
        let found = users::find_with_password(&self.db, &Identifier::Id(id)).await?;
        let (user, password_hash) = found.ok_or(AdministerError::Unknown)?;
        let now = self.clock.now();
        let sessions = sessions::count_live(&self.db, id, now).await?;
        let locked = match &self.throttle_rules {
            Some(rules) => throttles::locked(&self.db, id, rules, now).await?,
            None => Vec::new(),
        };
        let everywhere = locked.iter().any(|counter| counter.everywhere);
        let refusing = locked.iter().filter(|counter| counter.everywhere == everywhere);
        let lock = refusing.map(|counter| counter.until).max().map(|until| AccountLock { until, everywhere });
        let record = AccountRecord { user, has_password: password_hash.is_some() };
        Ok(AccountOverview { record, sessions, lock })
    }

    /// A page of accounts after `after` (`None`: the first page), oldest first, and the cursor of the next page
    /// (`None`: the end).
    pub async fn page(&self, after: Option<UserId>) -> Result<(Vec<AccountRecord>, Option<UserId>), AdministerError> {
        let page = users::page(&self.db, after, PAGE).await?;
        let whole = u64::try_from(page.len()).is_ok_and(|rows| rows == PAGE);
        let next = page.last().filter(|_| whole).map(|record| record.user.id);
        Ok((page, next))
    }

    /// Creates an account, even if registration is closed.
    ///
    /// A verified email address is removed from accounts that claim it unverified.
    pub async fn create(&self, new: &NewAccount, password: &SecretString) -> Result<User, AdministerError> {
        if new.roles.len() > Role::MOST {
            return Err(AdministerError::TooManyRoles);
        }
        let password = parse(password)?;
        let email = new.email.as_ref().map(NewEmail::address);
        self.password_costs.load().await?;
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

    /// Disables an account and ends its sessions; returns how many.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or [`Unavailable`].
    pub async fn disable(&self, id: UserId) -> Result<usize, AdministerError> {
        let transaction = store::begin(&self.db).await?;
        users::disable(&transaction, id, self.clock.now()).await?.ok_or(AdministerError::Unknown)?;
        let event = Event::done("account_disable").account(id);
        self.shut_out(transaction, id, EndReason::AccountDisabled, event).await
    }

    /// Lets a disabled account log in again, and forgives its failed passwords. Its sessions stay ended.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or [`Unavailable`].
    pub async fn enable(&self, id: UserId) -> Result<(), AdministerError> {
        let transaction = store::begin(&self.db).await?;
        users::enable(&transaction, id).await?.ok_or(AdministerError::Unknown)?;
        throttles::forgive(&transaction, id).await?;
        self.commit_change(transaction, id, Event::done("account_enable").account(id)).await
    }

    /// Forgives an account's failed passwords, from every network and device.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or [`Unavailable`].
    pub async fn unlock(&self, id: UserId) -> Result<(), AdministerError> {
        let transaction = store::begin(&self.db).await?;
        users::find_to_change(&transaction, id).await?.ok_or(AdministerError::Unknown)?;
        throttles::forgive(&transaction, id).await?;
        self.commit_change(transaction, id, Event::done("account_unlock").account(id)).await
    }

    /// Deletes an account and ends its sessions; returns how many.
    ///
    /// # Errors
    /// [`AdministerError::Unknown`] or [`Unavailable`].
    pub async fn delete(&self, id: UserId) -> Result<usize, AdministerError> {
        let transaction = store::begin(&self.db).await?;
        let owner = users::hold(&transaction, &Identifier::Id(id)).await?.ok_or(AdministerError::Unknown)?;
        if !users::remove(&transaction, id).await? {
            return Err(AdministerError::Unknown);
        }
        let ending = delete_account(&self.end_session, &self.outbox, &transaction, &owner).await?;
        let event = Event::done("account_delete").because("operator").account(id);
        self.end(transaction, ending.recording(event)).await
    }

    /// Sets a new password, forgives the failed ones and ends the sessions; returns how many. A disabled account stays
    /// disabled.
    pub async fn set_password(&self, user: &User, password: &SecretString) -> Result<usize, AdministerError> {
        self.password_costs.load().await?;
        let chosen_password = self.choose_password.run(parse(password)?, &user.username, user.email.as_ref()).await;
        let hash = chosen_password.map_err(chosen)?;
        let transaction = store::begin(&self.db).await?;
        let user = users::set_password(&transaction, user.id, &hash).await?.ok_or(AdministerError::Unknown)?;
        throttles::forgive(&transaction, user.id).await?;
        // Reset links that were sent before would undo the change.
        one_use_secrets::void(&transaction, one_use_secrets::SecretSelector::AllOf(user.id), self.clock.now()).await?;
        self.outbox.tell_owner(&transaction, &user, AccountChange::Password).await?;
        let event = Event::done("password_change").because("operator").account(user.id);
        self.shut_out(transaction, user.id, EndReason::PasswordChange, event).await
    }

    /// Ends an account's sessions; returns how many.
    pub async fn revoke_sessions(&self, id: UserId) -> Result<usize, AdministerError> {
        let transaction = store::begin(&self.db).await?;
        let event = Event::done("sessions_revoke").because("operator").account(id);
        self.shut_out(transaction, id, EndReason::Operator, event).await
    }

    /// Grants a role, which the next tokens carry, also those of live sessions. Returns whether the role is new.
    pub async fn grant_role(&self, id: UserId, role: &Role) -> Result<bool, AdministerError> {
        self.change_roles(id, Event::done("role_grant").account(id), |roles| roles.insert(role.clone())).await
    }

    /// Revokes a role: no token that is issued from now on carries it. Returns whether the account had it.
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

    /// Ends every session of an account in the transaction that changed its row, and commits. Returns how many.
    async fn shut_out(
        &self,
        transaction: Transaction,
        id: UserId,
        reason: EndReason,
        event: Event,
    ) -> Result<usize, AdministerError> {
        let also = vec![self.end_session.changes.account_changed(id)];
        let ending = self.end_session.within(&transaction, &SessionSelector::AllOf(id), reason, also).await?;
        self.end(transaction, ending.recording(event)).await
    }

    /// Commits, then ends the rest of very many sessions, which are refused already. Returns how many ended.
    async fn end(&self, transaction: Transaction, ending: EndedSessions) -> Result<usize, AdministerError> {
        let rest = ending.rest.clone();
        let ended = self.end_session.commit(transaction, ending).await?;
        Ok(ended + self.end_session.finish(rest).await?)
    }
}

fn parse(password: &SecretString) -> Result<Password, AdministerError> {
    Password::parse(password).map_err(|why| AdministerError::Password(why.to_string()))
}

fn chosen(error: ChoosePasswordError) -> AdministerError {
    match error {
        ChoosePasswordError::Weak(why) => AdministerError::Password(why.to_string()),
        ChoosePasswordError::Unavailable(unavailable) => unavailable.into(),
    }
}
