//! Dynamic client registration (RFC 7591) and its management (RFC 7592): clients that register themselves, where the
//! operator lets them. They are third parties' for ever; [`crate::domain::client_registration`] says what they may have.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::digest,
    domain::{client::Client, client_metadata::ClientMetadata, client_registration::NotRegistrable, ids::ClientId},
    services::{
        Unavailable,
        clients::registry::{Clients, Registered, RegistrationError},
    },
    store::{
        StoreError,
        clients::{self, RegistrationTokenDigest},
    },
};

/// Lets clients register themselves.
#[derive(Debug, Clone)]
pub struct RegisterClient {
    /// Where they are registered.
    pub clients: Clients,
    /// Who may.
    pub admission: RegistrationPolicy,
}

/// Who may register a client.
#[derive(Debug, Clone)]
pub enum RegistrationPolicy {
    /// The operator alone.
    Off,
    /// Whoever has the initial access token (RFC 7591 §3).
    Holders(SecretString),
    /// Anybody.
    Anybody,
}

/// A client that is registered, and what its owner manages it with.
#[derive(Debug)]
pub struct RegisteredClient {
    /// The client, and its secret where it just got one.
    pub registered: Registered,
    /// Its registration access token: 256 random bits.
    pub token: SecretString,
}

/// Why a client was not registered, shown, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum RegisterClientError {
    /// Clients do not register themselves here.
    #[error("clients are registered by the operator here")]
    Off,
    /// No token was sent, and one is needed.
    #[error("a token is needed")]
    TokenMissing,
    /// The token is not good for this: unknown, another client's, or the client is gone.
    #[error("the token is not good")]
    Token,
    /// The metadata cannot be had.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A client named itself otherwise than the registration does (RFC 7592 §2.2).
    #[error("client_id and client_secret are this client's, if they are sent")]
    AnotherClient,
}

impl From<StoreError> for RegisterClientError {
    fn from(error: StoreError) -> Self {
        Self::Registration(error.into())
    }
}

impl From<Unavailable> for RegisterClientError {
    fn from(trouble: Unavailable) -> Self {
        Self::Registration(trouble.into())
    }
}

impl From<NotRegistrable> for RegisterClientError {
    fn from(why: NotRegistrable) -> Self {
        Self::Registration(why.into())
    }
}

/// What a request says of the client that it changes, beside its metadata: it must be true.
#[derive(Debug, Default)]
pub struct Named {
    /// `client_id`.
    pub id: Option<String>,
    /// `client_secret`.
    pub secret: Option<SecretString>,
}

impl RegisterClient {
    /// Whether any client may register itself here.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.admission, RegistrationPolicy::Off)
    }

    /// Registers a client (RFC 7591 §3.1). `token` is the initial access token that came with the request.
    ///
    /// # Errors
    /// [`RegisterClientError`].
    pub async fn run(
        &self,
        token: Option<&SecretString>,
        metadata: ClientMetadata,
    ) -> Result<RegisteredClient, RegisterClientError> {
        match (&self.admission, token) {
            (RegistrationPolicy::Off, _) => return Err(RegisterClientError::Off),
            (RegistrationPolicy::Anybody, _) => {}
            (RegistrationPolicy::Holders(_), None) => return Err(RegisterClientError::TokenMissing),
            (RegistrationPolicy::Holders(expected), Some(given)) => {
                if !digest::equal(&token_digest(expected).0, &token_digest(given).0) {
                    return Err(RegisterClientError::Token);
                }
            }
        }
        let client = metadata.client(self.clients.draw_id(), self.clients.clock.now())?;
        let token = self.clients.random.secret();
        let registered = self.clients.insert(client, Some(token_digest(&token)), "client_register").await?;
        Ok(RegisteredClient { registered, token })
    }

    /// Shows a client to whoever registered it (RFC 7592 §2.1).
    ///
    /// # Errors
    /// [`RegisterClientError`].
    pub async fn find(&self, id: &str, token: Option<SecretString>) -> Result<RegisteredClient, RegisterClientError> {
        let (id, token) = self.admit(id, token).await?;
        let client = self.clients.find(&id).await?.ok_or(RegisterClientError::Token)?;
        Ok(RegisteredClient { registered: Registered { client, secret: None }, token })
    }

    /// Replaces a client's metadata, what is left out by its default (RFC 7592 §2.2).
    ///
    /// # Errors
    /// [`RegisterClientError`]; then it stays as it was.
    pub async fn replace(
        &self,
        id: &str,
        token: Option<SecretString>,
        named: Named,
        metadata: ClientMetadata,
    ) -> Result<RegisteredClient, RegisterClientError> {
        let (id, token) = self.admit(id, token).await?;
        self.recognize(&id, named).await?;
        let new = metadata.client(id.clone(), self.clients.clock.now())?;
        let revise = |old: Client| Client { created_at: old.created_at, ..new };
        let registered = self.clients.change(&id, revise).await?.ok_or(RegisterClientError::Token)?;
        Ok(RegisteredClient { registered, token })
    }

    /// Deletes a client, its sessions and its token (RFC 7592 §2.3).
    ///
    /// # Errors
    /// [`RegisterClientError`].
    pub async fn delete(&self, id: &str, token: Option<SecretString>) -> Result<(), RegisterClientError> {
        let (id, _) = self.admit(id, token).await?;
        self.clients.delete(&id).await?;
        Ok(())
    }

    /// Lets whoever registered a client at it. A client that is not there is answered as a wrong token is.
    async fn admit(
        &self,
        id: &str,
        token: Option<SecretString>,
    ) -> Result<(ClientId, SecretString), RegisterClientError> {
        if !self.is_on() {
            return Err(RegisterClientError::Off);
        }
        let token = token.ok_or(RegisterClientError::TokenMissing)?;
        let id = ClientId::parse(id).map_err(|_| RegisterClientError::Token)?;
        let expected = clients::registration_token(&self.clients.db, &id).await?;
        match expected {
            Some(expected) if digest::equal(&expected.0, &token_digest(&token).0) => Ok((id, token)),
            _ => Err(RegisterClientError::Token),
        }
    }

    /// Refuses another client's id or secret: whoever sends them confuses two registrations.
    async fn recognize(&self, id: &ClientId, named: Named) -> Result<(), RegisterClientError> {
        if named.id.is_some_and(|named| named != id.as_str()) {
            return Err(RegisterClientError::AnotherClient);
        }
        let Some(given) = named.secret else { return Ok(()) };
        let stored = clients::find(&self.clients.db, id).await?.and_then(|(_, secret)| secret);
        match stored {
            Some(stored) if digest::equal(&stored.0, &digest::sha256(given.expose_secret().as_bytes())) => Ok(()),
            _ => Err(RegisterClientError::AnotherClient),
        }
    }
}

/// The only form in which tokens are compared and kept.
fn token_digest(token: &SecretString) -> RegistrationTokenDigest {
    RegistrationTokenDigest(digest::sha256(token.expose_secret().as_bytes()))
}
