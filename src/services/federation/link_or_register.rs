//! Maps a verified identity to its account, or registers a new one.

use crate::{
    domain::{
        client_info::ClientInfo,
        identity::{Claim, Identity, LinkDecision, UsernameSuggestion, decide},
        ids::{ClientId, SessionId, UserId},
        mail::AccountChange,
        scope::Scope,
        session::Session,
        user::User,
        username::Username,
    },
    services::{
        audit::Event,
        federation::{
            error::FederateError,
            login::{CallbackOutcome, Federate, UsernamePrompt},
            providers::ConfiguredProvider,
            state::{PendingSignup, UNNAMED},
        },
        sessions::begin::Beginning,
    },
    store::{
        self, StoreError, Transaction, identities, one_use_secrets,
        outbox::OutboxEvent,
        sessions::{self, SessionBasis},
        users::{self, Claimant, Identifier, NewUser},
    },
};

/// How often the decision is repeated because of a concurrent change.
const ATTEMPTS: usize = 3;

/// The outcome of creating an account.
enum Made {
    Account,
    NameTaken,
    /// A concurrent request created an account for the identity or email address.
    Overtaken,
}

impl Federate {
    /// Logs in the person of an identity. `name` is the chosen username, if they were asked.
    pub(super) async fn link_or_register(
        &self,
        configured: &ConfiguredProvider,
        unnamed: PendingSignup,
        name: Option<&str>,
        origin: &ClientInfo,
    ) -> Result<CallbackOutcome, FederateError> {
        let identity = unnamed.verified.identity.clone();
        for _ in 0..ATTEMPTS {
            match self.meaning(configured, &unnamed).await? {
                LinkDecision::LogIn(user) => {
                    if let Some(session) = self.log_in(user, &unnamed, origin).await? {
                        return Ok(CallbackOutcome::LoggedIn { session: Box::new(session), pressed: unnamed.pressed });
                    }
                }
                // An account changes by no link from elsewhere.
                LinkDecision::Link(_) if !unnamed.pressed => return Err(FederateError::NotPressed),
                LinkDecision::Link(user) => self.link_owner(configured, user, &unnamed).await?,
                LinkDecision::NewAccount(_) if !self.open => return Err(FederateError::Closed),
                LinkDecision::NewAccount(claim) => {
                    let proposal = unnamed.verified.profile.proposal();
                    let username = match (name.map(|typed| (typed, Username::parse(typed))), proposal) {
                        // An account is made by a press.
                        (None, UsernameSuggestion::Handle(username)) if !unnamed.pressed => {
                            return Ok(self.ask_name(&unnamed, username.as_written(), String::new()));
                        }
                        (Some((_, Ok(username))), _) | (None, UsernameSuggestion::Handle(username)) => username,
                        (Some((typed, Err(why))), _) => {
                            return Ok(self.ask_name(&unnamed, typed, format!("The username {why}.")));
                        }
                        (None, UsernameSuggestion::FromName(name)) => {
                            return Ok(self.ask_name(&unnamed, name.as_written(), String::new()));
                        }
                        (None, UsernameSuggestion::Nothing) => return Ok(self.ask_name(&unnamed, "", String::new())),
                    };
                    match self.make(configured, &identity, &username, claim.as_ref()).await? {
                        Made::Account | Made::Overtaken => {}
                        Made::NameTaken => {
                            let why = "This name is taken. Choose another one.".to_owned();
                            return Ok(self.ask_name(&unnamed, username.as_written(), why));
                        }
                    }
                }
            }
        }
        // The decision failed every time: the account is disabled or deleted.
        Err(FederateError::Disabled)
    }

    async fn meaning(
        &self,
        configured: &ConfiguredProvider,
        unnamed: &PendingSignup,
    ) -> Result<LinkDecision, FederateError> {
        let (profile, trust) = (&unnamed.verified.profile, configured.trust_email);
        let linked = identities::find(&self.db, &unnamed.verified.identity).await?.map(|linked| linked.user);
        let owner = match profile.trusted_address(trust) {
            Some(address) if linked.is_none() => users::find_named(&self.db, &Identifier::Email(address)).await?,
            _ => None,
        };
        Ok(decide(linked, owner.map(|owner| owner.id), profile, trust))
    }

    /// Begins a session by an identity; `None` if it no longer opens the account.
    async fn log_in(
        &self,
        user: UserId,
        unnamed: &PendingSignup,
        origin: &ClientInfo,
    ) -> Result<Option<Session>, FederateError> {
        let found = identities::find(&self.db, &unnamed.verified.identity).await?;
        let Some(linked) = found else { return Ok(None) };
        let beginning = Beginning {
            user,
            client: &ClientId::pages(),
            proof: SessionBasis::Identity { link: linked.id, authenticated_at: unnamed.authenticated_at },
            scope: &Scope::default(),
            resource: None,
            lifetimes: &self.lifetimes,
        };
        let session = self.begin_session.run(&beginning, origin).await?;
        if session.is_some() {
            identities::touch(&self.db, linked.id, self.clock.now()).await?;
        }
        Ok(session)
    }

    /// Links an identity to the account that has verified the same email address.
    async fn link_owner(
        &self,
        configured: &ConfiguredProvider,
        owner: UserId,
        unnamed: &PendingSignup,
    ) -> Result<(), FederateError> {
        let Some(address) = unnamed.verified.profile.trusted_address(configured.trust_email) else { return Ok(()) };
        let transaction = store::begin(&self.db).await?;
        // Held, so that the address is still that account's when the link is made.
        let held = users::hold(&transaction, &Identifier::Email(address)).await?;
        let Some(owner) = held.filter(|held| held.id == owner && held.disabled_at.is_none()) else { return Ok(()) };
        match self.insert(&transaction, configured, owner.id, &unnamed.verified.identity).await {
            Ok(true) => self.commit_link(transaction, configured, &owner).await,
            // Linked in the same moment, or gone: it is judged again.
            Ok(false) | Err(StoreError::Duplicate(_)) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// Links an identity to who is logged in with this session, if they still are.
    pub(in crate::services) async fn link(
        &self,
        configured: &ConfiguredProvider,
        (user, session): (UserId, SessionId),
        identity: &Identity,
    ) -> Result<CallbackOutcome, FederateError> {
        let transaction = store::begin(&self.db).await?;
        // The session may have been ended while the provider answered. Lock it, so that a concurrent end waits; lock the
        // account first, in the order of every other transaction.
        let owner = users::hold(&transaction, &Identifier::Id(user)).await?.ok_or(FederateError::NotLoggedIn)?;
        let found = sessions::hold(&transaction, session).await?;
        if !found.is_some_and(|found| found.user == user && found.is_live(self.clock.now())) {
            return Err(FederateError::NotLoggedIn);
        }
        match self.insert(&transaction, configured, user, identity).await {
            Ok(true) => {
                self.commit_link(transaction, configured, &owner).await?;
                Ok(CallbackOutcome::Linked)
            }
            Ok(false) => Err(FederateError::Disabled),
            Err(StoreError::Duplicate(_)) => {
                drop(transaction);
                let linked = identities::find(&self.db, identity).await?;
                if linked.is_some_and(|linked| linked.user == user) {
                    Ok(CallbackOutcome::Linked)
                } else {
                    Err(FederateError::Taken)
                }
            }
            Err(other) => Err(other.into()),
        }
    }

    async fn insert(
        &self,
        transaction: &Transaction,
        configured: &ConfiguredProvider,
        user: UserId,
        identity: &Identity,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let id = self.random.uuid_v7(now);
        identities::insert(transaction, id, user, identity, configured.provider.name(), now).await
    }

    /// Tells the owner, who may not be the one that linked it, and commits.
    async fn commit_link(
        &self,
        transaction: Transaction,
        configured: &ConfiguredProvider,
        owner: &User,
    ) -> Result<(), FederateError> {
        let provider = configured.provider.name().as_str().to_owned();
        self.outbox.tell_owner(&transaction, owner, AccountChange::ProviderLinked(provider)).await?;
        let written = self.changes.write(&transaction, Vec::new()).await?;
        self.changes.commit(transaction, written.recording(Event::done("identity_link").account(owner.id))).await?;
        self.outbox.wake();
        Ok(())
    }

    /// Creates an account for this identity.
    ///
    /// An email address that the provider has verified is removed from accounts that only claim it, with the secrets that
    /// were sent for it: nobody keeps a hold on another person's address.
    async fn make(
        &self,
        configured: &ConfiguredProvider,
        identity: &Identity,
        username: &Username,
        claim: Option<&Claim>,
    ) -> Result<Made, FederateError> {
        if self.reserved.contain(username) {
            return Ok(Made::NameTaken);
        }
        let now = self.clock.now();
        let id = UserId(self.random.uuid_v7(now));
        let email = claim.map(|(Claim::Proved(email) | Claim::Unproved(email))| email);
        let new = NewUser { id, username, email, password_hash: None, created_at: now };
        let transaction = store::begin(&self.db).await?;
        match users::insert(&transaction, &new).await {
            Ok(_) => {}
            Err(StoreError::Duplicate(_)) => return Ok(Made::NameTaken),
            Err(other) => return Err(other.into()),
        }
        match self.insert(&transaction, configured, id, identity).await {
            Ok(true) => {}
            Ok(false) | Err(StoreError::Duplicate(_)) => return Ok(Made::Overtaken),
            Err(other) => return Err(other.into()),
        }
        let mut losers = Vec::new();
        match claim {
            Some(Claim::Proved(email)) => {
                users::hold_claimants(&transaction, id, email).await?;
                match users::verify_email(&transaction, id, email).await {
                    Ok(true) => {}
                    Ok(false) | Err(StoreError::Duplicate(_)) => return Ok(Made::Overtaken),
                    Err(other) => return Err(other.into()),
                }
                losers = users::drop_claims(&transaction, email, Claimant::AllBut(id)).await?;
                one_use_secrets::void(&transaction, one_use_secrets::SecretSelector::MailedTo(email, id), now).await?;
            }
            // Whether it is another account's already is not asked here: the mail finds out.
            Some(Claim::Unproved(email)) => {
                self.outbox.within(&transaction, &OutboxEvent::EmailClaimed(id, Some(email.clone()))).await?;
            }
            None => {}
        }
        let entries = losers.iter().map(|loser| self.changes.account_changed(*loser)).collect();
        let mut written = self.changes.write(&transaction, entries).await?;
        written = written.recording(Event::done("register").because("provider").account(id));
        for loser in losers {
            written = written.recording(Event::done("account_change").because("email_proved").account(loser));
        }
        self.changes.commit(transaction, written).await?;
        self.outbox.wake();
        Ok(Made::Account)
    }

    fn ask_name(&self, unnamed: &PendingSignup, suggestion: &str, why: String) -> CallbackOutcome {
        let sealed = self.sealer.seal(UNNAMED, unnamed);
        CallbackOutcome::PendingSignup(UsernamePrompt { sealed, suggestion: suggestion.to_owned(), why })
    }
}
