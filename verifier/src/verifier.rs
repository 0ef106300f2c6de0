//! The verifier: one token in, its claims out.

use std::sync::Arc;

use crate::{
    builder::Builder,
    claims::Claims,
    clock::{Clock, numeric_date},
    error::VerifyError,
    jws::{Jws, MAX_ACCESS_TOKEN},
    keys::Keys,
    revocation::Revocation,
};

/// The `typ` of an access token (RFC 9068 §2.1).
const TYP: &str = "at+jwt";

/// Verifies the access tokens of one issuer for one service. Clones are cheap, and share the fetched documents.
#[derive(Debug, Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    issuer: String,
    audience: String,
    leeway: i64,
    keys: Keys,
    revocation: Revocation,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// Starts the configuration of a verifier. `issuer` is compared with the `iss` claim: `https://id.example.com`.
    pub fn builder(issuer: impl Into<String>) -> Builder {
        Builder::new(issuer.into())
    }

    pub(crate) fn new(
        issuer: String,
        audience: String,
        leeway: i64,
        keys: Keys,
        revocation: Revocation,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { shared: Arc::new(Shared { issuer, audience, leeway, keys, revocation, clock }) }
    }

    /// Verifies an access token (RFC 9068 §4) and returns its claims. The token must be from the issuer, for this
    /// service, not expired and not revoked. The service itself must check what the token allows: [`Claims::has_scope`], the
    /// roles and the client.
    ///
    /// It seldom waits for the network: keys and status lists are cached, and fetched again before they expire. Unless
    /// the keys were supplied, it must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`VerifyError`] for every other text. Before the signature is verified, only `kid` is used, to choose one of the
    /// issuer's keys.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let Shared { issuer, audience, leeway, keys, revocation, clock } = &*self.shared;
        if token.is_empty() {
            return Err(VerifyError::Missing);
        }
        let jws = Jws::parse(token, MAX_ACCESS_TOKEN)?;
        jws.expect_type(TYP)?;
        let key = keys.find(jws.kid()).await?;
        let payload = jws.verify(&key)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| "a claim is missing or of another form")?;
        if !claims.is_whole() {
            return Err("a claim is empty".into());
        }
        claims.judge(issuer, audience, *leeway, numeric_date(clock.now()))?;
        if let Some(status) = &claims.status {
            revocation.check(&status.status_list).await?;
        }
        Ok(claims)
    }

    /// Fetches the keys unless they are cached. A service can use it as a readiness check.
    ///
    /// # Errors
    /// [`VerifyError::Unavailable`] if the keys cannot be fetched.
    pub async fn ready(&self) -> Result<(), VerifyError> {
        self.shared.keys.ready().await
    }
}
