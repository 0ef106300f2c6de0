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

/// Verifies the access tokens of one issuer for one service. Clones are cheap, and share what has been fetched.
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
    /// Begins a verifier of the tokens of `issuer`, which is written as its `iss` claim is: `https://id.example.com`.
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

    /// The claims of `token`, an access token (RFC 9068 §4) of the issuer, for this service, in its time and not
    /// revoked. Whether it allows what is asked for is the service's to judge: [`Claims::has_scope`].
    ///
    /// Seldom waits for the network: keys and status lists are kept, and fetched again before they grow old. Unless
    /// the keys were given, it must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`VerifyError`] for every other text. Nothing that the token says is believed before its signature is verified,
    /// but for which of the issuer's keys to verify it with.
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

    /// Fetches the keys unless they are at hand: for a service that is not ready before it can verify tokens.
    ///
    /// # Errors
    /// [`VerifyError::Unavailable`] where there are none to be had.
    pub async fn ready(&self) -> Result<(), VerifyError> {
        self.shared.keys.ready().await
    }
}
