//! Client authentication (RFC 6749 §2.3, RFC 7523 §3): a confidential client must use the one method that it is
//! registered for.

use std::{net::IpAddr, time::Duration};

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
    services::{
        Unavailable,
        audit::Event,
        clients::{
            documents::{DocumentError, DocumentRefusal, DocumentSource},
            registry::Clients,
        },
        metrics,
    },
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
    /// Too many authentications from the client's network failed before this one.
    #[error("too many client authentications failed")]
    TooMany {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// The client is unknown, or the secret or the method is wrong.
    #[error("the client is unknown, or did not authenticate as it is registered to")]
    Invalid,
    /// The document at the client's id does not describe a client.
    #[error("the client's document is not accepted: {0}")]
    Document(DocumentRefusal),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// An accepted audience of assertions at every endpoint (RFC 7523 §3).
const TOKEN_ENDPOINT: &str = "/oauth/token";

/// The audit event of a refused client.
const EVENT: &str = "client_authentication";

impl Clients {
    /// The client of a request from the address `from`. A confidential client must authenticate with its registered
    /// method.
    ///
    /// Failures count for the network. A network with too many is refused at no cost, but for clients that are cached
    /// and authenticate well: one misconfigured service must not stop its neighbours.
    pub async fn authenticate(
        &self,
        presented: &ClientCredential,
        from: Option<IpAddr>,
    ) -> Result<Client, ClientError> {
        let wait = self.failures.wait(from);
        let found = self.prove(presented, wait.is_some()).await;
        match (found, wait) {
            (Err(Refused::Unavailable(unavailable)), _) => Err(unavailable.into()),
            (Err(Refused::Invalid { .. } | Refused::Document(_)), Some(retry_after)) => {
                // Counted, and not logged: the log must not grow with a flood.
                metrics::event(EVENT, "refused", Some("rate_limit"));
                metrics::limit_refused("client");
                Err(ClientError::TooMany { retry_after })
            }
            (Err(Refused::Invalid { reason, client }), None) => {
                self.failures.count(from);
                let event = Event::refused(EVENT, reason);
                match &client {
                    Some(client) => event.client(client),
                    None => event,
                }
                .record();
                Err(ClientError::Invalid)
            }
            // Its event was recorded when the document was refused.
            (Err(Refused::Document(refusal)), None) => {
                self.failures.count(from);
                Err(ClientError::Document(refusal))
            }
            (Ok(client), _) => Ok(client),
        }
    }

    async fn prove(&self, presented: &ClientCredential, only_cached: bool) -> Result<Client, Refused> {
        let (id, secret, method) = match presented {
            ClientCredential::Id(id) => (id, None, AuthenticationMethod::None),
            ClientCredential::Secret(id, secret, method) => (id, Some(secret), *method),
            ClientCredential::Assertion { named, jwt, endpoint } => {
                return self.prove_by_assertion(named.as_ref(), jwt, endpoint, only_cached).await;
            }
        };
        let found = self.known(id, only_cached).await?;
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
            Some((client, _)) => Err(refused("credentials", Some(&client.id))),
            // What was typed as an id stays out of the log: it may be a secret.
            None => Err(refused("unknown_client", None)),
        }
    }

    /// The client `id`, if it is public: then its id alone is enough.
    pub async fn public(&self, id: &ClientId) -> Result<Option<Client>, Unavailable> {
        let found = match self.known(id, false).await {
            Ok(found) => found.map(|(client, _)| client),
            Err(Refused::Unavailable(unavailable)) => return Err(unavailable),
            Err(Refused::Invalid { .. } | Refused::Document(_)) => None,
        };
        Ok(found.filter(|client| !client.is_confidential()))
    }

    /// The client that signed an assertion. Each assertion is accepted once (RFC 7523 §3, OIDC Core §9).
    async fn prove_by_assertion(
        &self,
        named: Option<&ClientId>,
        jwt: &SecretString,
        endpoint: &str,
        only_cached: bool,
    ) -> Result<Client, Refused> {
        let Some(unverified) = Unverified::parse(jwt.expose_secret()) else {
            return Err(refused("assertion_malformed", None));
        };
        let id = unverified.client().clone();
        if named.is_some_and(|named| *named != id) {
            return Err(refused("assertion_client", None));
        }
        let found = self.known(&id, only_cached).await?.map(|(client, _)| client);
        if found.is_none() {
            return Err(refused("unknown_client", None));
        }
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
            Err(other) => Err(Refused::Unavailable(other.into())),
        }
    }

    /// A client and the digest of its secret. If this process does not know the newest changes, it reads the database
    /// in place of the cache.
    async fn known(&self, id: &ClientId, only_cached: bool) -> Result<Option<(Client, Option<SecretDigest>)>, Refused> {
        match &self.documents {
            DocumentSource::Off if id.is_url() => return Ok(None),
            DocumentSource::Fetched(documents) if id.is_url() && !only_cached => {
                return Ok(Some((documents.find(id).await?, None)));
            }
            DocumentSource::Off | DocumentSource::Stored | DocumentSource::Fetched(_) => {}
        }
        let is_current = self.end_session.changes.revocations.are_current();
        if only_cached {
            let cached = self.entities.cached_client(id).filter(|(client, _)| !client.blocked);
            return Ok(cached.filter(|_| is_current || id.is_built_in()));
        }
        let found =
            if is_current { self.entities.client(&self.db, id).await } else { clients::find(&self.db, id).await };
        Ok(found.map_err(Unavailable::from)?.filter(|(client, _)| !client.blocked))
    }
}

/// Why a client is refused.
#[derive(Debug)]
enum Refused {
    /// One answer for every reason; the log has the reason.
    Invalid {
        reason: &'static str,
        client: Option<ClientId>,
    },
    Document(DocumentRefusal),
    Unavailable(Unavailable),
}

impl From<DocumentError> for Refused {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Refused(refusal) => Self::Document(refusal),
            DocumentError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

impl From<Unavailable> for Refused {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

fn refused(reason: &'static str, client: Option<&ClientId>) -> Refused {
    Refused::Invalid { reason, client: client.cloned() }
}
