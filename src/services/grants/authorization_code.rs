//! The authorization code grant (RFC 6749 §4.1.3) with PKCE (RFC 7636).

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::digest,
    domain::{
        client::Client,
        client_info::ClientInfo,
        clock::Clock,
        oauth::GrantType,
        pkce::{CodeChallenge, CodeVerifier},
        session::{EndReason, Session},
    },
    services::{
        audit::Event,
        grants::{
            GrantError, permit,
            token_issuer::{TokenIssuer, TokenSet},
        },
        sessions::{
            begin::{BeginSession, Beginning},
            end::EndSession,
            status_indexes::NO_FREE_INDEX,
        },
    },
    store::{
        self, Database, StoreError,
        authorization_codes::{self, AuthorizationCode, CodeDigest},
        entity_cache::EntityCache,
        sessions::{SessionBasis, SessionSelector},
    },
};

#[derive(Debug, Clone)]
pub struct RedeemCode {
    pub issue: TokenIssuer,
    pub begin_session: BeginSession,
    /// Ends the session of a code that is used twice.
    pub end_session: EndSession,
    /// The cache of accounts.
    pub entities: EntityCache,
    pub db: Database,
    pub clock: Arc<dyn Clock>,
}

/// The token request.
#[derive(Debug)]
pub struct CodeRedemption {
    pub code: SecretString,
    /// The redirect URI that the code was sent to.
    pub redirect_uri: String,
    /// The PKCE verifier.
    pub code_verifier: SecretString,
    /// `resource` (RFC 8707 §2.2), which must be the one that was granted.
    pub resource: Option<String>,
}

impl RedeemCode {
    /// Exchanges a code for `client`, which has authenticated. A second use ends the session of the first (RFC 6749
    /// §4.1.2, RFC 9700 §4.5).
    ///
    /// # Errors
    /// [`GrantError`]; if [`GrantError::Unavailable`], the code stays unused.
    pub async fn run(
        &self,
        presented: CodeRedemption,
        client: &Client,
        origin: &ClientInfo,
    ) -> Result<TokenSet, GrantError> {
        permit(client, GrantType::AuthorizationCode)?;
        let verifier = CodeVerifier::parse(presented.code_verifier)
            .map_err(|why| GrantError::Malformed { field: "code_verifier", why: why.to_string() })?;
        let digest = CodeDigest(digest::sha256(presented.code.expose_secret().as_bytes()));
        let refuse = |reason| {
            Event::refused("code", reason).client(&client.id).record();
            Err(GrantError::InvalidGrant)
        };
        let Some(code) = authorization_codes::find(&self.db, digest).await? else { return refuse("unknown") };
        // A refused request does not use up the code: its client can still redeem it.
        if code.client != client.id {
            return refuse("client");
        }
        if presented.redirect_uri != code.redirect_uri {
            return refuse("redirect_uri");
        }
        if CodeChallenge::of_digest(&digest::sha256(verifier.as_bytes())) != code.code_challenge {
            return refuse("code_verifier");
        }
        if presented.resource.is_some() && presented.resource != code.resource {
            return Err(GrantError::InvalidTarget);
        }
        if code.session.is_none() && code.expires_at <= self.clock.now() {
            return refuse("expired");
        }
        // Do everything that can fail before the code is used up.
        self.issue.prepare_id_token(client, self.clock.now()).await?;
        let Some(user) = self.entities.user(&self.db, code.user).await? else { return refuse("account") };
        match self.redeem(digest, &code, client, origin).await? {
            Some(session) => {
                let now = self.clock.now();
                let tokens = self.issue.session_tokens(&session, client, &code.scope, now)?;
                Ok(self.issue.with_id_token(tokens, &session, client, &user, code.nonce, now)?)
            }
            None => self.used(digest, client).await,
        }
    }

    /// Uses up the code and begins its session in one transaction; `None` if the code is used or expired, or its login
    /// is over.
    async fn redeem(
        &self,
        digest: CodeDigest,
        code: &AuthorizationCode,
        client: &Client,
        origin: &ClientInfo,
    ) -> Result<Option<Session>, GrantError> {
        let beginning = Beginning {
            user: code.user,
            client: &client.id,
            proof: SessionBasis::Parent(code.parent),
            scope: &code.scope,
            resource: code.resource.as_deref(),
            lifetimes: &self.issue.lifetimes,
        };
        let id = self.begin_session.draw_id();
        for index in self.begin_session.status_indexes.draws() {
            let transaction = store::begin(&self.db).await?;
            if !authorization_codes::redeem(&transaction, digest, id, self.clock.now()).await? {
                return Ok(None);
            }
            match self.begin_session.within(&transaction, id, index, &beginning, origin).await {
                // The transaction is over, and the code is unused.
                Err(StoreError::Duplicate(_)) => {}
                Ok(Some(session)) => {
                    store::commit(transaction).await?;
                    BeginSession::record(&session);
                    return Ok(Some(session));
                }
                Ok(None) => return Ok(None),
                Err(other) => return Err(other.into()),
            }
        }
        Err(NO_FREE_INDEX.into())
    }

    /// Refuses a code that could not be redeemed. If it was used before, a thief may have been first, so its session
    /// ends.
    async fn used(&self, digest: CodeDigest, client: &Client) -> Result<TokenSet, GrantError> {
        let code = authorization_codes::find(&self.db, digest).await?;
        let session = code.and_then(|code| code.session);
        Event::refused("code", if session.is_some() { "reuse" } else { "over" }).client(&client.id).record();
        if let Some(session) = session {
            self.end_session.run(&SessionSelector::One(session), EndReason::Reuse).await?;
        }
        Err(GrantError::InvalidGrant)
    }
}
