//! Clients that are described by a document at the URL that is their id
//! (draft-ietf-oauth-client-id-metadata-document); [`crate::domain::client_document`] has the rules.
//!
//! A client is stored when the first person consents to it, so that sessions, consents and replicas find it as they find
//! every other client. Before that, it lives in memory alone: an anonymous request writes nothing. A stored client is
//! fetched again by the first authorization request after its document is no longer fresh. The token endpoint takes the
//! stored one as it is.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;
use tokio::sync::Mutex;

use crate::{
    crypto::jose::client_keys::{ClientKeys, NotClientKeys},
    domain::{
        client::Client,
        client_document::{self, NotAClientDocument},
        client_registration::{self, NotRegistrable},
        clock::Clock,
        document_url::{self, NotADocumentUrl},
        ids::ClientId,
    },
    outbound::client_document::{DocumentFetcher, FetchError},
    services::{Unavailable, audit::Event, change_feed::ChangeFeed, clients::names},
    store::{self, Database, StoreError, clients, consents},
};

/// Finds such clients.
#[derive(Debug, Clone)]
pub struct ClientDocuments {
    pub fetcher: DocumentFetcher,
    /// What was fetched lately.
    pub cache: DocumentCache,
    pub db: Database,
    /// Publishes a change of a stored client.
    pub changes: ChangeFeed,
    /// The name of the service on its pages.
    pub service_name: String,
    pub clock: Arc<dyn Clock>,
}

/// What is known of such clients when a request names one.
#[derive(Debug, Clone)]
pub enum DocumentSource {
    /// There are none here.
    Off,
    /// Those that are stored.
    Stored,
    /// All: a document is fetched where none is stored.
    Fetched(Box<ClientDocuments>),
}

/// Documents in memory, and the failures of fetches.
#[derive(Debug, Clone)]
pub struct DocumentCache(Cache<ClientId, Arc<Mutex<Option<Outcome>>>>);

/// The most documents in memory, of 64 kB each. Those that people use are stored.
const MOST: u64 = 256;

/// How long a failure is remembered: within that time requests for the URL cause no other fetch. The draft says that
/// errors are not cached (§4.4); this only spaces the fetches.
const FAILURE: TimeDelta = TimeDelta::seconds(30);
/// When a request may come again that was refused because of others.
const BUSY: Duration = Duration::from_secs(5);

impl Default for DocumentCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).build())
    }
}

impl DocumentCache {
    /// The slot of a client. The request that holds its lock fetches, and the others wait for the result.
    fn slot(&self, id: &ClientId) -> Arc<Mutex<Option<Outcome>>> {
        self.0.get_with(id.clone(), Arc::default)
    }
}

/// The result of the latest fetch.
#[derive(Debug)]
enum Outcome {
    Client(Box<Client>),
    Failed(DocumentRefusal, DateTime<Utc>),
}

/// Why a document is not accepted. The texts are for the developer of the app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentRefusal {
    #[error(transparent)]
    Url(#[from] NotADocumentUrl),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Document(#[from] NotAClientDocument),
    #[error("its jwks {0}")]
    Keys(#[from] NotClientKeys),
    #[error("the operator of this service has blocked it")]
    Blocked,
}

impl From<NotRegistrable> for DocumentRefusal {
    fn from(why: NotRegistrable) -> Self {
        Self::Document(why.into())
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error(transparent)]
    Refused(DocumentRefusal),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(DocumentError: StoreError);

impl DocumentError {
    /// A failure that will pass is no fault of the client's.
    fn of(refusal: DocumentRefusal, retry_after: Duration) -> Self {
        match refusal {
            DocumentRefusal::Fetch(why) if why.is_passing() => Unavailable::Document { retry_after }.into(),
            other => Self::Refused(other),
        }
    }
}

/// The audit event of a document.
const EVENT: &str = "client_document";

impl ClientDocuments {
    /// The client whose document is at `id`.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub async fn find(&self, id: &ClientId) -> Result<Client, DocumentError> {
        let stored = clients::find(&self.db, id).await?.map(|(client, _)| client);
        match stored {
            Some(client) if client.blocked => Err(DocumentError::Refused(DocumentRefusal::Blocked)),
            Some(client) if is_fresh(&client, self.clock.now()) => Ok(client),
            Some(old) => {
                let client = self.newest(id, Some(&old)).await?;
                self.store(&client).await?;
                Ok(client)
            }
            None => self.newest(id, None).await,
        }
    }

    /// The client as its document was fetched last: after the `stored` one was, and as long as it is fresh.
    async fn newest(&self, id: &ClientId, stored: Option<&Client>) -> Result<Client, DocumentError> {
        let slot = self.cache.slot(id);
        let mut latest = slot.lock().await;
        let now = self.clock.now();
        let fetched_at = |client: &Client| client.document.map(|dates| dates.fetched_at);
        match &*latest {
            Some(Outcome::Client(client))
                if is_fresh(client, now) && stored.is_none_or(|old| fetched_at(client) > fetched_at(old)) =>
            {
                return Ok((**client).clone());
            }
            Some(Outcome::Failed(refusal, until)) if now < *until => {
                return Err(DocumentError::of(refusal.clone(), (*until - now).to_std().unwrap_or(BUSY)));
            }
            _ => {}
        }
        let names = names::taken(&self.db, &self.service_name).await?;
        match self.fetch(id, &names).await {
            Ok(client) => {
                *latest = Some(Outcome::Client(Box::new(client.clone())));
                Ok(client)
            }
            Err(refusal) => {
                Event::refused(EVENT, reason(&refusal)).client(id).record();
                if refusal == DocumentRefusal::Fetch(FetchError::Busy) {
                    return Err(DocumentError::of(refusal, BUSY));
                }
                *latest = Some(Outcome::Failed(refusal.clone(), self.clock.now() + FAILURE));
                Err(DocumentError::of(refusal, FAILURE.to_std().unwrap_or(BUSY)))
            }
        }
    }

    async fn fetch(&self, id: &ClientId, names: &[String]) -> Result<Client, DocumentRefusal> {
        let fetched = self.fetcher.fetch(&document_url::parse(id.as_str())?).await?;
        let client = client_document::read(id, &fetched.body, self.clock.now(), fetched.lifetime)?;
        client_registration::check(&client)?;
        client.jwks.as_deref().map(ClientKeys::parse).transpose()?;
        names::check(&client, names)?;
        Ok(client)
    }

    /// Stores a client, or what is new of it. If people would not recognize what they consented to, their consents end.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn store(&self, client: &Client) -> Result<(), Unavailable> {
        let transaction = store::begin(&self.db).await?;
        let event = match clients::find_to_change(&transaction, &client.id).await? {
            None => match clients::insert(&transaction, client, None, None).await {
                Ok(()) => "client_register",
                // Another request has just stored it.
                Err(StoreError::Duplicate(_)) => return Ok(()),
                Err(other) => return Err(other.into()),
            },
            Some((old, _)) if old == *client || old.blocked => return Ok(()),
            Some((old, _)) => {
                clients::update(&transaction, client, None).await?;
                if old.is_described_as(client) {
                    return Ok(store::commit(transaction).await?);
                }
                let identity =
                    |client: &Client| (client.name.clone(), client.redirect_uris.clone(), client.authentication);
                if identity(&old) != identity(client) {
                    consents::delete_of_client(&transaction, &client.id).await?;
                }
                "client_update"
            }
        };
        // Replicas may remember the old one, or that there is none.
        let written = self.changes.write(&transaction, vec![self.changes.client_changed(&client.id)]).await?;
        self.changes.commit(transaction, written.recording(Event::done(event).client(&client.id))).await
    }
}

fn is_fresh(client: &Client, now: DateTime<Utc>) -> bool {
    client.document.is_none_or(|dates| now < dates.fresh_until)
}

/// The reason in one word, for the log.
fn reason(refusal: &DocumentRefusal) -> &'static str {
    match refusal {
        DocumentRefusal::Url(_) => "url",
        DocumentRefusal::Fetch(FetchError::Busy) => "busy",
        DocumentRefusal::Fetch(FetchError::Unreachable) => "unreachable",
        DocumentRefusal::Fetch(FetchError::NotPublic) => "not_public",
        DocumentRefusal::Fetch(FetchError::Redirect) => "redirect",
        DocumentRefusal::Fetch(FetchError::Status(_)) => "status",
        DocumentRefusal::Fetch(FetchError::ContentType | FetchError::Encoding) => "content_type",
        DocumentRefusal::Fetch(FetchError::TooLong) => "too_long",
        DocumentRefusal::Document(_) => "metadata",
        DocumentRefusal::Keys(_) => "keys",
        DocumentRefusal::Blocked => "blocked",
    }
}
