//! Client authentication (RFC 6749 §2.3, RFC 7523 §3): a confidential client must use the one method that it is
//! registered for.

use chrono::DateTime;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::{
        digest,
        jose::{client_assertion::Unverified, client_keys::ClientKeys},
    },
    domain::{
        claims::numeric_date,
        client::{AuthenticationMethod, Client},
        ids::ClientId,
    },
    services::{Unavailable, audit::Event, clients::registry::Clients},
    store::{
        StoreError,
        client_assertions::{self, AssertionDigest},
        clients::{self, SecretDigest},
    },
};

/// How a request identifies its client.
#[derive(Debug)]
pub enum ClientCredential {
    /// By its id alone.
    Id(ClientId),
    /// By its id and secret, with that method.
    Secret(ClientId, SecretString, AuthenticationMethod),
    /// By a JWT under its own key.
    Assertion {
        /// The `client_id` beside it, if any.
        named: Option<ClientId>,
        jwt: SecretString,
        /// The path of the called endpoint.
        endpoint: String,
    },
}

/// Why client authentication failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client is unknown, or the secret or the method is wrong.
    #[error("the client is unknown, or did not authenticate as it is registered to")]
    Invalid,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// An accepted audience of assertions at every endpoint (RFC 7523 §3).
const TOKEN_ENDPOINT: &str = "/oauth/token";

impl Clients {
    /// The client of a request. A confidential client must authenticate with its registered method.
    pub async fn authenticate(&self, presented: &ClientCredential) -> Result<Client, ClientError> {
        let (id, secret, method) = match presented {
            ClientCredential::Id(id) => (id, None, AuthenticationMethod::None),
            ClientCredential::Secret(id, secret, method) => (id, Some(secret), *method),
            ClientCredential::Assertion { named, jwt, endpoint } => {
                return self.authenticate_by_assertion(named.as_ref(), jwt, endpoint).await;
            }
        };
        let found = self.known(id).await?;
        let given = secret.map(|secret| digest::sha256(secret.expose_secret().as_bytes()));
        let good = match (&found, given) {
            (Some((client, None)), None) => !client.is_confidential(),
            (Some((client, Some(stored))), Some(given)) => {
                client.authentication.takes(method) && digest::equal(&stored.0, &given)
            }
            _ => false,
        };
        match found {
            Some((client, _)) if good => Ok(client),
            _ => Err(refused("credentials", Some(id))),
        }
    }

    /// The client `id`, if it is public: then its id alone is enough.
    pub async fn public(&self, id: &ClientId) -> Result<Option<Client>, Unavailable> {
        let found = self.known(id).await?.map(|(client, _)| client);
        Ok(found.filter(|client| !client.is_confidential()))
    }

    /// The client that signed an assertion. Each assertion is accepted once (RFC 7523 §3, OIDC Core §9).
    async fn authenticate_by_assertion(
        &self,
        named: Option<&ClientId>,
        jwt: &SecretString,
        endpoint: &str,
    ) -> Result<Client, ClientError> {
        let Some(unverified) = Unverified::parse(jwt.expose_secret()) else {
            return Err(refused("assertion_malformed", named));
        };
        let id = unverified.client().clone();
        if named.is_some_and(|named| *named != id) {
            return Err(refused("assertion_client", named));
        }
        let found = self.known(&id).await?.map(|(client, _)| client);
        let Some(client) = found.filter(|client| client.authentication == AuthenticationMethod::PrivateKeyJwt) else {
            return Err(refused("credentials", Some(&id)));
        };
        let keys = client.jwks.as_deref().and_then(|text| ClientKeys::parse(text).ok());
        let Some(claims) = keys.and_then(|keys| unverified.verified_by(&keys)) else {
            return Err(refused("assertion_signature", Some(&id)));
        };
        let (issuer, now) = (&self.issuer, numeric_date(self.clock.now()));
        let ours = [issuer.clone(), format!("{issuer}{TOKEN_ENDPOINT}"), format!("{issuer}{endpoint}")];
        if let Err(why) = claims.judge(&ours.each_ref().map(String::as_str), now) {
            return Err(refused(why.as_str(), Some(&id)));
        }
        // A client id has no NUL, so no two pairs give the same text.
        let digest = digest::sha256(format!("{id}\0{}", claims.jti).as_bytes());
        let expires_at = DateTime::from_timestamp(claims.exp, 0).unwrap_or(DateTime::<chrono::Utc>::MAX_UTC);
        match client_assertions::insert(&self.db, AssertionDigest(digest), expires_at).await {
            Ok(()) => Ok(client),
            Err(StoreError::Duplicate(_)) => Err(refused("assertion_replay", Some(&id))),
            Err(other) => Err(Unavailable::from(other).into()),
        }
    }

    /// A client and the digest of its secret. If this process does not know the newest changes, it reads the database
    /// in place of the cache.
    async fn known(&self, id: &ClientId) -> Result<Option<(Client, Option<SecretDigest>)>, Unavailable> {
        let found = if self.end_session.changes.revocations.are_current() {
            self.entities.client(&self.db, id).await
        } else {
            clients::find(&self.db, id).await
        };
        Ok(found?)
    }
}

/// One answer for every reason; the log has the reason.
fn refused(reason: &'static str, client: Option<&ClientId>) -> ClientError {
    let event = Event::refused("client_authentication", reason);
    match client {
        Some(client) => event.client(client),
        None => event,
    }
    .record();
    ClientError::Invalid
}
