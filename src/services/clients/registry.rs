//! The registered OAuth clients: registration by the operator, changes, secrets and deletion.

use std::{collections::BTreeSet, sync::Arc};

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::{
        digest,
        jose::client_keys::{ClientKeys, NotClientKeys},
        random::Random,
    },
    domain::{
        client::{Client, DocumentDates},
        client_registration::{self, NotRegistrable},
        clock::Clock,
        ids::ClientId,
        session::EndReason,
    },
    services::{
        Unavailable,
        audit::Event,
        clients::{documents::DocumentSource, names},
        rate_limit::FailureLimit,
        sessions::end::EndSession,
    },
    store::{
        self, Database, StoreError, Transaction,
        changes::{Change, Entry},
        clients::{self, RegistrationTokenDigest, SecretDigest},
        consents,
        entity_cache::EntityCache,
        sessions::SessionSelector,
    },
};

#[derive(Debug, Clone)]
pub struct Clients {
    pub db: Database,
    /// Ends the sessions of a deleted client.
    pub end_session: EndSession,
    /// The cache of clients.
    pub entities: EntityCache,
    /// Which clients with a document there are.
    pub documents: DocumentSource,
    /// Counts failed authentications for each network.
    pub failures: FailureLimit,
    /// The audience of client assertions.
    pub issuer: String,
    /// The name of the service on its pages.
    pub service_name: String,
    pub random: Random,
    pub clock: Arc<dyn Clock>,
}

/// The longest lifetime that any configuration may give an access token: another replica, with another configuration,
/// may have issued the tokens.
const LONGEST_TOKEN: TimeDelta = TimeDelta::days(1);

/// Why a client was not registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The metadata is contradictory.
    #[error("{0}")]
    Invalid(#[from] NotRegistrable),
    /// Its JWKS is not valid.
    #[error("jwks {0}")]
    Keys(#[from] NotClientKeys),
    /// Another client has that id.
    #[error("another client has the id {0}; choose another one")]
    Taken(ClientId),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(RegistrationError: StoreError);

/// Why a secret was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateSecretError {
    /// The client does not authenticate with a secret.
    #[error("the client has no secret: it is public, or authenticates with its own key")]
    NoSecret,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A client, and its new secret, if any: 256 random bits, shown this once.
#[derive(Debug)]
pub struct Registered {
    pub client: Client,
    pub secret: Option<SecretString>,
}

impl Clients {
    /// Checks that a client can be registered.
    ///
    /// # Errors
    /// [`RegistrationError`] where it cannot.
    pub fn check(client: &Client) -> Result<(), RegistrationError> {
        client_registration::check(client)?;
        client.jwks.as_deref().map(ClientKeys::parse).transpose()?;
        Ok(())
    }

    /// Registers `client` for the operator, and draws its secret if it needs one.
    pub async fn create(&self, client: Client) -> Result<Registered, RegistrationError> {
        self.insert(client, None, "client_create").await
    }

    /// Registers a client; with `registration` if it registers itself.
    pub(in crate::services) async fn insert(
        &self,
        client: Client,
        registration: Option<RegistrationTokenDigest>,
        event: &'static str,
    ) -> Result<Registered, RegistrationError> {
        Self::check(&client)?;
        names::check(&client, &names::taken(&self.db, &self.service_name).await?)?;
        let secret = client.has_secret().then(|| self.random.secret());
        let transaction = store::begin(&self.db).await?;
        match clients::insert(&transaction, &client, secret.as_ref().map(secret_digest), registration).await {
            Ok(()) => {}
            Err(StoreError::Duplicate(_)) => return Err(RegistrationError::Taken(client.id)),
            Err(other) => return Err(other.into()),
        }
        // Replicas may remember that there is no such client.
        let changes = &self.end_session.changes;
        let written = changes.write(&transaction, vec![changes.client_changed(&client.id)]).await?;
        changes.commit(transaction, written.recording(Event::done(event).client(&client.id))).await?;
        Ok(Registered { client, secret })
    }

    /// Changes a client; `None` if it does not exist. It gets or loses its secret as its method requires. Replicas
    /// apply the change as fast as revocations; its sessions continue.
    pub async fn change(
        &self,
        id: &ClientId,
        revise: impl FnOnce(Client) -> Client,
    ) -> Result<Option<Registered>, RegistrationError> {
        let taken = names::taken(&self.db, &self.service_name).await?;
        let transaction = store::begin(&self.db).await?;
        let Some((client, digest)) = clients::find_to_change(&transaction, id).await? else { return Ok(None) };
        if client.document.is_some() {
            return Err(NotRegistrable::Document.into());
        }
        let (name, redirect_uris) = (client.name.clone(), client.redirect_uris.clone());
        let client = revise(client);
        Self::check(&client)?;
        if client.name != name {
            names::check(&client, &taken)?;
        }
        // Nobody vouches for it: it is no longer what people consented to.
        if client.self_registered && (client.name != name || client.redirect_uris != redirect_uris) {
            consents::delete_of_client(&transaction, id).await?;
        }
        let secret = (client.has_secret() && digest.is_none()).then(|| self.random.secret());
        let digest = secret.as_ref().map(secret_digest).or(digest.filter(|_| client.has_secret()));
        self.write(transaction, &client, digest, "client_update").await?;
        Ok(Some(Registered { client, secret }))
    }

    /// Gives a client a new secret; `None` if it does not exist. The old secret is refused here at once, and at every
    /// replica as fast as revocations.
    ///
    /// # Errors
    /// [`RotateSecretError`]; then the old one stays good.
    pub async fn rotate_secret(&self, id: &ClientId) -> Result<Option<SecretString>, RotateSecretError> {
        let transaction = store::begin(&self.db).await.map_err(Unavailable::from)?;
        let found = clients::find_to_change(&transaction, id).await.map_err(Unavailable::from)?;
        let Some((client, _)) = found else { return Ok(None) };
        if !client.has_secret() {
            return Err(RotateSecretError::NoSecret);
        }
        let secret = self.random.secret();
        self.write(transaction, &client, Some(secret_digest(&secret)), "client_rotate_secret").await?;
        Ok(Some(secret))
    }

    /// Writes a changed client, and publishes the change.
    async fn write(
        &self,
        transaction: Transaction,
        client: &Client,
        secret: Option<SecretDigest>,
        event: &'static str,
    ) -> Result<(), Unavailable> {
        clients::update(&transaction, client, secret).await?;
        let changes = &self.end_session.changes;
        let written = changes.write(&transaction, vec![changes.client_changed(&client.id)]).await?;
        changes.commit(transaction, written.recording(Event::done(event).client(&client.id))).await
    }

    /// An id for a new client.
    ///
    /// # Panics
    /// Never: an id may be 24 characters of base64url, and no UUID has a `c-` before it.
    #[must_use]
    pub fn draw_id(&self) -> ClientId {
        ClientId::parse(&format!("c-{}", self.random.token_id())).expect("base64url stands in ids")
    }

    /// Every registered client, oldest first.
    pub async fn list(&self) -> Result<Vec<Client>, Unavailable> {
        Ok(clients::all(&self.db).await?)
    }

    /// A registered client.
    pub async fn find(&self, id: &ClientId) -> Result<Option<Client>, Unavailable> {
        Ok(clients::find(&self.db, id).await?.map(|(client, _)| client))
    }

    /// Deletes a client, and ends its sessions. Returns whether it existed.
    ///
    /// The client and its tokens are refused from the first transaction on; its sessions, which may be many, end in
    /// steps, of which that has the first. A job ends those that are left if this is not called to its end.
    ///
    /// # Errors
    /// [`Unavailable`]; a repeated call ends the sessions that are left.
    pub async fn delete(&self, id: &ClientId) -> Result<bool, Unavailable> {
        // The built-in client was never registered, and all users' sessions are its own.
        if id.is_built_in() {
            return Ok(false);
        }
        let transaction = store::begin(&self.end_session.db).await?;
        let existed = clients::delete(&transaction, id).await?;
        consents::delete_of_client(&transaction, id).await?;
        let at = self.clock.now();
        let change = Change::ClientDeleted { client: id.clone(), at };
        let deleted = existed.then_some(Entry { change, matters_until: at + LONGEST_TOKEN });
        let event = existed.then(|| Event::done("client_delete").client(id));
        let ended = self.shut_out(transaction, id, deleted, event).await?;
        Ok(existed || ended > 0)
    }

    /// Refuses a client whose id is the URL of a document, whether somebody uses it or not: its tokens are denied, its
    /// consents and sessions end. [`Self::delete`] makes it a client like any other again.
    ///
    /// # Errors
    /// [`NotRegistrable::NoDocument`] for other ids, and [`Unavailable`]; a repeated call ends the sessions that are left.
    pub async fn block(&self, id: &ClientId) -> Result<(), RegistrationError> {
        let host = id.host().ok_or(NotRegistrable::NoDocument)?;
        let at = self.clock.now();
        let transaction = store::begin(&self.db).await?;
        if let Some((client, digest)) = clients::find_to_change(&transaction, id).await? {
            clients::update(&transaction, &Client { blocked: true, ..client }, digest).await?;
        } else {
            let blocked = Client {
                id: id.clone(),
                name: host,
                grants: BTreeSet::new(),
                first_party: false,
                document: Some(DocumentDates { fetched_at: at, fresh_until: at }),
                blocked: true,
                created_at: at,
                ..Client::first_party()
            };
            clients::insert(&transaction, &blocked, None, None).await?;
        }
        consents::delete_of_client(&transaction, id).await?;
        let deleted =
            Entry { change: Change::ClientDeleted { client: id.clone(), at }, matters_until: at + LONGEST_TOKEN };
        self.shut_out(transaction, id, Some(deleted), Some(Event::done("client_block").client(id))).await?;
        Ok(())
    }

    /// Ends the sessions of a client that `transaction` refuses from now on: a first step in it, and the others after its
    /// commit. Returns how many.
    async fn shut_out(
        &self,
        transaction: Transaction,
        id: &ClientId,
        denied: Option<Entry>,
        event: Option<Event>,
    ) -> Result<usize, Unavailable> {
        let (all, denied) = (SessionSelector::AllOfClient(id.clone()), denied.into_iter().collect());
        let ending = self.end_session.within(&transaction, &all, EndReason::ClientDeleted, denied).await?;
        let ending = match event {
            Some(event) => ending.recording(event),
            None => ending,
        };
        let rest = ending.rest.clone();
        Ok(self.end_session.commit(transaction, ending).await? + self.end_session.finish(rest).await?)
    }
}

/// Secrets are stored as digests only.
fn secret_digest(secret: &SecretString) -> SecretDigest {
    SecretDigest(digest::sha256(secret.expose_secret().as_bytes()))
}
