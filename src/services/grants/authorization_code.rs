//! The authorization code grant (RFC 6749 §4.1.3) with PKCE (RFC 7636).

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::{digest, jose::jwt::SignError},
    domain::{
        client::Client,
        client_info::ClientInfo,
        clock::Clock,
        oauth::GrantType,
        pkce::{CodeChallenge, CodeVerifier, Pkce},
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
    /// The redirect URI that the code was sent to, if it was given.
    pub redirect_uri: Option<String>,
    /// The PKCE verifier, if there is one.
    pub code_verifier: Option<SecretString>,
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
        if !is_same_redirect(&code, presented.redirect_uri.as_deref(), client)? {
            return refuse("redirect_uri");
        }
        if !is_proved(&code, presented.code_verifier, client)? {
            return refuse("code_verifier");
        }
        // The operator may have narrowed the client within the last minute.
        let granted = code.resource.as_deref();
        if granted.is_some_and(|resource| self.issue.target(client, resource).is_none()) {
            return Err(GrantError::InvalidTarget);
        }
        let audience = self.issue.audience_for(client, granted, presented.resource.as_deref());
        let audience = audience.ok_or(GrantError::InvalidTarget)?;
        let scope = code.scope.clone().within(&client.scope);
        if code.session.is_none() && code.expires_at <= self.clock.now() {
            return refuse("expired");
        }
        // Do everything that can fail before the code is used up.
        self.issue.prepare_id_token(client, self.clock.now()).await?;
        let Some(user) = self.entities.user(&self.db, code.user).await? else { return refuse("account") };
        let sign = |session: &Session| {
            let now = self.clock.now();
            let tokens = self.issue.session_tokens_for(audience.clone(), session, client, &scope, now)?;
            self.issue.with_id_token(tokens, session, client, &user, code.nonce.clone(), now)
        };
        match self.redeem(digest, &code, client, origin, sign).await? {
            Some(tokens) => Ok(tokens),
            None => self.used(digest, client).await,
        }
    }

    /// Uses up the code, and begins or continues its session, in one transaction; `None` if the code is used or expired,
    /// or its login is over. The tokens are signed before the commit: if one cannot be, the code stays unused.
    async fn redeem(
        &self,
        digest: CodeDigest,
        code: &AuthorizationCode,
        client: &Client,
        origin: &ClientInfo,
        sign: impl Fn(&Session) -> Result<TokenSet, SignError> + Sync,
    ) -> Result<Option<TokenSet>, GrantError> {
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
                    if session.id != id {
                        authorization_codes::continues(&transaction, digest, session.id).await?;
                    }
                    let tokens = sign(&session)?;
                    store::commit(transaction).await?;
                    BeginSession::record(&session);
                    self.begin_session.end_excess(session.user).await;
                    return Ok(Some(tokens));
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

/// Whether the token request names the redirect URI as the authorization request did (RFC 6749 §4.1.3). Where that left it
/// out, it may be left out again, or be the one that was meant.
///
/// # Errors
/// [`GrantError::Malformed`] where it is missing.
fn is_same_redirect(code: &AuthorizationCode, presented: Option<&str>, client: &Client) -> Result<bool, GrantError> {
    match (code.redirect_uri.as_deref(), presented) {
        (Some(_), None) => Err(GrantError::Malformed { field: "redirect_uri", why: "is required".to_owned() }),
        (Some(given), Some(presented)) => Ok(given == presented),
        (None, Some(presented)) => Ok(client.only_redirect_uri() == Some(presented)),
        (None, None) => Ok(true),
    }
}

/// Whether the verifier answers the challenge of the code (RFC 7636 §4.6). A code without a challenge is for a client that
/// needs none, and a verifier that comes with it is another request's: somebody injected the code (RFC 9700 §4.8.2).
///
/// # Errors
/// [`GrantError::Malformed`] where the verifier is missing or malformed.
fn is_proved(code: &AuthorizationCode, verifier: Option<SecretString>, client: &Client) -> Result<bool, GrantError> {
    let malformed = |why: String| GrantError::Malformed { field: "code_verifier", why };
    match (&code.code_challenge, verifier) {
        (Some(challenge), Some(verifier)) => {
            let verifier = CodeVerifier::parse(verifier).map_err(|why| malformed(why.to_string()))?;
            Ok(CodeChallenge::of_digest(&digest::sha256(verifier.as_bytes())) == *challenge)
        }
        (Some(_), None) => Err(malformed("is required".to_owned())),
        (None, Some(_)) => Ok(false),
        (None, None) => Ok(client.pkce == Pkce::Optional),
    }
}
