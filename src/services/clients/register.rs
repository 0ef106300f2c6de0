//! Dynamic client registration (RFC 7591) and its management (RFC 7592). Such clients are never first-party;
//! [`crate::domain::client_registration`] has the rules.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::digest,
    domain::{
        client::Client, client_members::Members, client_metadata::ClientMetadata, client_registration::NotRegistrable,
        ids::ClientId,
    },
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
    /// The policy for clients that register themselves.
    pub admission: RegistrationPolicy,
}

/// The policy for clients that register themselves.
#[derive(Debug, Clone)]
pub enum RegistrationPolicy {
    /// The operator alone.
    Off,
    /// Holders of the initial access token (RFC 7591 §3).
    Holders(SecretString),
    /// Anybody.
    Anybody,
}

/// A registered client, and the token that manages it.
#[derive(Debug)]
pub struct RegisteredClient {
    /// The client, and its new secret, if any.
    pub registered: Registered,
    /// Its registration access token: 256 random bits.
    pub token: SecretString,
}

/// Why a client was not registered, shown, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum RegisterClientError {
    /// Dynamic registration is off.
    #[error("clients are registered by the operator here")]
    Off,
    /// The token is missing.
    #[error("a token is needed")]
    TokenMissing,
    /// The token is unknown or another client's, or the client was deleted.
    #[error("the token is not good")]
    Token,
    /// The metadata was refused.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The sent `client_id` or `client_secret` is not this client's (RFC 7592 §2.2).
    #[error("client_id and client_secret are this client's, if they are sent")]
    AnotherClient,
}

impl From<StoreError> for RegisterClientError {
    fn from(error: StoreError) -> Self {
        Self::Registration(error.into())
    }
}

impl From<Unavailable> for RegisterClientError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Registration(unavailable.into())
    }
}

impl From<NotRegistrable> for RegisterClientError {
    fn from(why: NotRegistrable) -> Self {
        Self::Registration(why.into())
    }
}

impl RegisterClient {
    /// Whether dynamic registration is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self.admission, RegistrationPolicy::Off)
    }

    /// Registers a client (RFC 7591 §3.1). `token` is the initial access token that came with the request.
    pub async fn run(
        &self,
        token: Option<&SecretString>,
        members: Members,
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
        // A client does not choose its id: the member is passed over.
        let client = ClientMetadata::read(members)?.client(self.clients.draw_id(), self.clients.clock.now())?;
        let token = self.clients.random.secret();
        let registered = self.clients.insert(client, Some(token_digest(&token)), "client_register").await?;
        Ok(RegisteredClient { registered, token })
    }

    /// Shows a client to the holder of its registration token (RFC 7592 §2.1).
    pub async fn find(&self, id: &str, token: Option<SecretString>) -> Result<RegisteredClient, RegisterClientError> {
        let (id, token) = self.admit(id, token).await?;
        let client = self.clients.find(&id).await?.ok_or(RegisterClientError::Token)?;
        Ok(RegisteredClient { registered: Registered { client, secret: None }, token })
    }

    /// Replaces a client's metadata; omitted members get their defaults (RFC 7592 §2.2).
    pub async fn replace(
        &self,
        id: &str,
        token: Option<SecretString>,
        mut members: Members,
    ) -> Result<RegisteredClient, RegisterClientError> {
        let (id, token) = self.admit(id, token).await?;
        self.recognize(&id, &mut members).await?;
        let new = ClientMetadata::read(members)?.client(id.clone(), self.clients.clock.now())?;
        let revise = |old: Client| Client { created_at: old.created_at, ..new };
        let registered = self.clients.change(&id, revise).await?.ok_or(RegisterClientError::Token)?;
        Ok(RegisteredClient { registered, token })
    }

    /// Deletes a client, its sessions and its token (RFC 7592 §2.3).
    pub async fn delete(&self, id: &str, token: Option<SecretString>) -> Result<(), RegisterClientError> {
        let (id, _) = self.admit(id, token).await?;
        self.clients.delete(&id).await?;
        Ok(())
    }

    /// Checks the registration token. A missing client is answered as a wrong token.
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

    /// Refuses another client's id or secret: the sender has confused two registrations.
    async fn recognize(&self, id: &ClientId, members: &mut Members) -> Result<(), RegisterClientError> {
        if members.text("client_id")?.is_some_and(|named| named != id.as_str()) {
            return Err(RegisterClientError::AnotherClient);
        }
        let Some(given) = members.text("client_secret")?.map(SecretString::from) else { return Ok(()) };
        let stored = clients::find(&self.clients.db, id).await?.and_then(|(_, secret)| secret);
        match stored {
            Some(stored) if digest::equal(&stored.0, &digest::sha256(given.expose_secret().as_bytes())) => Ok(()),
            _ => Err(RegisterClientError::AnotherClient),
        }
    }
}

/// Tokens are stored and compared by digest only.
fn token_digest(token: &SecretString) -> RegistrationTokenDigest {
    RegistrationTokenDigest(digest::sha256(token.expose_secret().as_bytes()))
}
