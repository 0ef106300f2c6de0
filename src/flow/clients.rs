//! Registers OAuth clients, and checks who a client is (RFC 6749 §2.3).

mod authenticate;

use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

pub use self::authenticate::Presented;

use super::{Trouble, audit::Event, end_session::EndSession};
use crate::{
    crypto::{digest, random::Random},
    domain::{
        client::{AuthenticationMethod, Client},
        clock::Clock,
        ids::ClientId,
        oauth::GrantType,
        redirect_uri,
        session::EndReason,
    },
    store::{
        self, Database, StoreError,
        changes::{Change, Entry},
        clients::{self, SecretDigest},
        consents,
        remembered::Remembered,
        sessions::Which,
    },
};

/// Registered clients.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Where they are.
    pub db: Database,
    /// Ends the sessions of a deleted one.
    pub end_session: EndSession,
    /// Clients as they were last read.
    pub remembered: Remembered,
    /// Whom client assertions must be made for.
    pub issuer: String,
    /// Draws secrets and ids.
    pub random: Random,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// The longest life that any configuration may give an access token: the one that deletes a client need not be the one
/// that issued its tokens.
const LONGEST_TOKEN: TimeDelta = TimeDelta::days(1);

/// Sessions that end in one transaction.
const BATCH: u64 = 500;

/// Why a client was not believed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Unknown, or not with that secret or in that way.
    #[error("the client is unknown, or did not authenticate as it is registered to")]
    Invalid,
    /// Trouble on our side.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// Why a client was not registered.
#[derive(Debug, thiserror::Error)]
pub enum CreateClientError {
    /// What was asked does not go together.
    #[error("{0}")]
    Invalid(String),
    /// Another client has that id.
    #[error("another client has the id {0}; choose another one")]
    Taken(ClientId),
    /// Trouble on our side.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl Clients {
    /// Sees that a client can be registered as it is.
    ///
    /// # Errors
    /// [`CreateClientError::Invalid`].
    pub fn check(&self, client: &Client) -> Result<(), CreateClientError> {
        check(client).map_err(CreateClientError::Invalid)
    }

    /// Registers `client`, and draws its secret where it has one: 256 random bits, which are shown this once.
    ///
    /// # Errors
    /// [`CreateClientError`].
    pub async fn create(&self, client: &Client) -> Result<Option<SecretString>, CreateClientError> {
        self.check(client)?;
        let with_secret = matches!(
            client.authentication,
            AuthenticationMethod::ClientSecretBasic | AuthenticationMethod::ClientSecretPost
        );
        let secret = with_secret.then(|| self.random.secret());
        let digest = secret.as_ref().map(|secret| SecretDigest(digest::sha256(secret.expose_secret().as_bytes())));
        match clients::insert(&self.db, client, digest).await {
            Ok(()) => {
                Event::done("client_create").client(&client.id).record();
                Ok(secret)
            }
            Err(StoreError::Duplicate(_)) => Err(CreateClientError::Taken(client.id.clone())),
            Err(other) => Err(Trouble::from(other).into()),
        }
    }

    /// An id for a client that was given none.
    #[must_use]
    pub fn draw_id(&self) -> String {
        format!("c-{}", self.random.token_id())
    }

    /// Every registered client, oldest first.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn list(&self) -> Result<Vec<Client>, Trouble> {
        Ok(clients::all(&self.db).await?)
    }

    /// A registered client.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn find(&self, id: &ClientId) -> Result<Option<Client>, Trouble> {
        Ok(clients::find(&self.db, id).await?.map(|(client, _)| client))
    }

    /// Deletes a client, and ends its sessions. Says whether there was one.
    ///
    /// The client and all its tokens are refused from the first transaction on; its sessions, which may be many, end a
    /// batch at a time after that.
    ///
    /// # Errors
    /// [`Trouble`]; deleted again, a client that is gone has the rest of its sessions ended.
    pub async fn delete(&self, id: &ClientId) -> Result<bool, Trouble> {
        // The built-in client was never registered, and its sessions are everybody's.
        if id.is_built_in() {
            return Ok(false);
        }
        let transaction = store::begin(&self.db).await?;
        let existed = clients::delete(&transaction, id).await?;
        consents::delete_of_client(&transaction, id).await?;
        let at = self.clock.now();
        let change = Change::ClientDeleted { client: id.clone(), at };
        let deleted = Entry { change, matters_until: at + LONGEST_TOKEN };
        let changes = &self.end_session.changes;
        let written = changes.write(&transaction, if existed { vec![deleted] } else { Vec::new() }).await?;
        let written = if existed { written.recording(Event::done("client_delete").client(id)) } else { written };
        changes.commit(transaction, written).await?;
        let some = Which::SomeOfClient(id.clone(), BATCH);
        let mut ended = 0;
        loop {
            match self.end_session.run(&some, EndReason::ClientDeleted).await? {
                0 => break,
                more => ended += more,
            }
        }
        Ok(existed || ended > 0)
    }
}

/// What must hold of any client, whoever registers it.
fn check(client: &Client) -> Result<(), String> {
    let refuse = |why: &str| Err(why.to_owned());
    if client.id.is_built_in() {
        return refuse("the ids first-party and pages are built in; choose another one");
    }
    if client.name.is_empty() || client.name.len() > 100 || client.name.chars().any(char::is_control) {
        return refuse("a name is 1 to 100 bytes without control characters");
    }
    if client.grants.is_empty() {
        return refuse("a client needs a grant: name one with --grant");
    }
    if client.grants.contains(&GrantType::Password) && !client.first_party {
        return refuse("the password grant is for first-party clients: add --first-party, or use another grant");
    }
    if client.grants.contains(&GrantType::ClientCredentials) && !client.is_confidential() {
        return refuse("a public client has no credentials: leave out --public, or the client_credentials grant");
    }
    if client.grants.contains(&GrantType::AuthorizationCode) && client.redirect_uris.is_empty() {
        return refuse("the authorization_code grant needs a --redirect-uri");
    }
    let names = client.audiences.iter().chain(&client.resources);
    if names.clone().any(|name| !is_audience(name)) {
        return refuse("an audience or resource is 1 to 200 characters of printable ASCII without spaces");
    }
    let uris = client.redirect_uris.iter().chain(&client.post_logout_redirect_uris);
    for uri in uris {
        redirect_uri::check(uri, !client.is_confidential()).map_err(|why| format!("{uri}: {why}"))?;
    }
    if let Some(uri) = &client.backchannel_logout_uri {
        // It is called by us, so an app's own scheme is no use.
        redirect_uri::check(uri, false).map_err(|why| format!("{uri}: {why}"))?;
    }
    if client.authentication == AuthenticationMethod::PrivateKeyJwt && client.jwks.is_none() {
        return refuse("private_key_jwt needs the client's public keys: name a file with --jwks");
    }
    Ok(())
}

fn is_audience(name: &str) -> bool {
    (1..=200).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}
