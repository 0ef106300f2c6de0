//! The login with a provider: redirect, callback, and the resulting session or link (OIDC Core §3.1, RFC 6749 §4.1).
//!
//! The sealed state travels with the browser, so that any replica can take the callback. Its single use is ensured by a
//! unique index. No transaction is open during a request to a provider.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::{
        digest,
        jose::provider_token::{self, ProviderTokenError, VerifiedIdentity},
        random::Random,
    },
    domain::{
        client_info::ClientInfo,
        clock::Clock,
        identity::{Profile, ProviderKind},
        session::{Lifetimes, Session},
        username::ReservedUsernames,
    },
    outbound::provider::{ProviderError, exchange::Asking},
    services::{
        audit::Event,
        change_feed::ChangeFeed,
        csrf::BrowserId,
        federation::{
            error::FederateError,
            providers::{ConfiguredProvider, Providers},
            state::{ATTEMPT, AuthState, Intent, PATIENCE, PendingSignup, UNNAMED, key},
        },
        outbox::Outbox,
        sealed::Sealer,
        sessions::begin::BeginSession,
    },
    store::{
        Database,
        federation_attempts::{self, AttemptDigest},
    },
};

/// Logs people in with other providers, and links identities to accounts.
#[derive(Debug, Clone)]
pub struct Federate {
    /// The configured providers.
    pub providers: Arc<Providers>,
    /// Seals the state.
    pub sealer: Sealer,
    pub begin_session: BeginSession,
    /// Publishes changes.
    pub changes: ChangeFeed,
    /// Sends emails that verify addresses, and tells owners of linked providers.
    pub outbox: Outbox,
    /// Draws `state`, `nonce` and the PKCE verifier.
    pub random: Random,
    /// Holds accounts and identities.
    pub db: Database,
    pub clock: Arc<dyn Clock>,
    /// How long a login lasts.
    pub lifetimes: Lifetimes,
    /// The names that only the operator can give.
    pub reserved: ReservedUsernames,
    /// Whether registration is open.
    pub open: bool,
}

/// A started attempt.
#[derive(Debug)]
pub struct Started {
    /// The provider's authorization URL.
    pub address: String,
    /// Distinguishes attempts of the same browser: the first characters of `state`.
    pub key: String,
    /// The sealed state, for a cookie.
    pub sealed: String,
}

/// The callback parameters (RFC 6749 §4.1.2, RFC 9207).
#[derive(Debug, Default)]
pub struct CallbackParams<'a> {
    /// As sent.
    pub state: &'a str,
    /// The code.
    pub code: Option<&'a str>,
    /// The error code.
    pub error: Option<&'a str>,
    /// The issuer.
    pub iss: Option<&'a str>,
}

/// The outcome.
#[derive(Debug)]
pub enum CallbackOutcome {
    /// The person is logged in.
    LoggedIn {
        /// The new login.
        session: Box<Session>,
        /// Whether they pressed a button of ours for it.
        pressed: bool,
    },
    /// The identity is linked to the account that is logged in.
    Linked,
    /// The person is new and must choose a username.
    PendingSignup(UsernamePrompt),
}

/// A prompt for a username.
#[derive(Debug)]
pub struct UsernamePrompt {
    /// The sealed state, for the form.
    pub sealed: String,
    /// A suggested username.
    pub suggestion: String,
    /// The error of the previous username; empty at first.
    pub why: String,
}

/// How long all requests to a provider may take together.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(10);
/// The longest accepted code, in bytes.
const LONGEST_CODE: usize = 4096;
impl Federate {
    /// Starts an attempt in `browser`.
    ///
    /// # Errors
    /// [`FederateError`] where there is no such provider, or it cannot be asked.
    pub async fn start(&self, provider: &str, browser: &BrowserId, intent: Intent) -> Result<Started, FederateError> {
        let configured = self.providers.find(provider).ok_or(FederateError::UnknownProvider)?;
        let [state, nonce, verifier] = [(); 3].map(|()| self.random.secret());
        let asking = Asking {
            state: state.expose_secret(),
            nonce: nonce.expose_secret(),
            verifier: &verifier,
            fresh: intent.wants_fresh(),
        };
        let asked = within(configured.provider.authorization_url(&asking)).await;
        let address = asked.map_err(|error| refused(error.into(), configured))?;
        let text = |secret: &SecretString| secret.expose_secret().to_owned();
        let attempt = AuthState {
            provider: configured.provider.name().clone(),
            browser: browser.as_str().to_owned(),
            state: text(&state),
            nonce: text(&nonce),
            verifier: text(&verifier),
            begun_at: self.clock.now(),
            intent,
        };
        let key = key(&attempt.state).unwrap_or_default().to_owned();
        Ok(Started { address: address.into(), key, sealed: self.sealer.seal(ATTEMPT, &attempt) })
    }

    /// Handles the callback of an attempt; `sealed` is the state that `browser` kept, and `session` its login.
    ///
    /// # Errors
    /// [`FederateError`]; then no account was touched.
    pub async fn finish(
        &self,
        provider: &str,
        browser: Option<&BrowserId>,
        sealed: Option<&str>,
        returned: &CallbackParams<'_>,
        session: Option<&Session>,
        origin: &ClientInfo,
    ) -> Result<CallbackOutcome, FederateError> {
        let configured = self.providers.find(provider).ok_or(FederateError::UnknownProvider)?;
        self.attempt(configured, browser, sealed, returned, session, origin)
            .await
            .map_err(|error| refused(error, configured))
    }

    async fn attempt(
        &self,
        configured: &ConfiguredProvider,
        browser: Option<&BrowserId>,
        sealed: Option<&str>,
        returned: &CallbackParams<'_>,
        session: Option<&Session>,
        origin: &ClientInfo,
    ) -> Result<CallbackOutcome, FederateError> {
        let attempt: Option<AuthState> = sealed.and_then(|sealed| self.sealer.open(ATTEMPT, sealed));
        let attempt = attempt.ok_or(FederateError::Stale)?;
        let ours = browser.is_some_and(|browser| browser.as_str() == attempt.browser)
            && attempt.provider == *configured.provider.name()
            && digest::equal(attempt.state.as_bytes(), returned.state.as_bytes())
            && self.is_in_time(attempt.begun_at);
        if !ours {
            return Err(FederateError::Stale);
        }
        // This is the single use of the attempt, whatever its outcome.
        self.use_up(attempt.state.as_bytes(), attempt.begun_at).await?;
        let verified = within(self.verified_identity(configured, &attempt, returned)).await?;
        match attempt.intent {
            // A link from elsewhere replaces nobody's login.
            Intent::LogIn { pressed: false, .. } if session.is_some() => Err(FederateError::NotPressed),
            Intent::LogIn { pressed, .. } => {
                let now = self.clock.now();
                let unnamed = PendingSignup {
                    id: self.random.uuid_v7(now),
                    authenticated_at: attempt.authenticated_at(verified.authenticated_at),
                    provider: attempt.provider,
                    browser: attempt.browser,
                    verified,
                    begun_at: attempt.begun_at,
                    pressed,
                };
                self.link_or_register(configured, unnamed, None, origin).await
            }
            Intent::Link(user, began) => {
                let still = session.is_some_and(|session| session.user == user && session.id == began);
                if !still {
                    return Err(FederateError::NotLoggedIn);
                }
                self.link(configured, (user, began), &verified.identity).await
            }
        }
    }

    /// Completes a signup with the chosen username.
    pub async fn name(
        &self,
        provider: &str,
        browser: &BrowserId,
        sealed: &str,
        name: &str,
        origin: &ClientInfo,
    ) -> Result<CallbackOutcome, FederateError> {
        let configured = self.providers.find(provider).ok_or(FederateError::UnknownProvider)?;
        let go = async {
            let unnamed: PendingSignup = self.sealer.open(UNNAMED, sealed).ok_or(FederateError::Stale)?;
            let ours = unnamed.browser == browser.as_str()
                && unnamed.provider == *configured.provider.name()
                && self.is_in_time(unnamed.begun_at);
            if !ours {
                return Err(FederateError::Stale);
            }
            // Single use: the form in a browser's history must not log anyone in.
            self.use_up(unnamed.id.as_bytes(), unnamed.begun_at).await?;
            let unnamed = PendingSignup { id: self.random.uuid_v7(self.clock.now()), pressed: true, ..unnamed };
            self.link_or_register(configured, unnamed, Some(name), origin).await
        };
        go.await.map_err(|error| refused(error, configured))
    }

    /// The identity, as verified with the provider.
    async fn verified_identity(
        &self,
        configured: &ConfiguredProvider,
        attempt: &AuthState,
        returned: &CallbackParams<'_>,
    ) -> Result<VerifiedIdentity, FederateError> {
        let provider = &configured.provider;
        let metadata = provider.metadata().await?;
        if !provider.answers_as(&metadata, returned.iss) {
            return Err(FederateError::WrongIssuer);
        }
        let code = returned.code.filter(|code| returned.error.is_none() && code.len() <= LONGEST_CODE);
        let code = code.ok_or(FederateError::Denied)?;
        let now = self.clock.now();
        let secret = configured.secret(&metadata.issuer, now)?;
        let grant = provider.exchange(code, &SecretString::from(attempt.verifier.as_str()), &secret).await?;
        if !provider.signs() {
            let info = provider.user_info(&grant.access_token).await?.ok_or(ProviderError::Garbage("no user info"))?;
            return Ok(VerifiedIdentity::by_user_info(provider.issuer(), &info.subject, info.profile)?);
        }
        let token = grant.id_token.as_deref().ok_or(ProviderError::Garbage("no ID token"))?;
        let expected = provider_token::Expected {
            kind: provider.kind(),
            issuer: &metadata.issuer,
            client_id: provider.client_id(),
            nonce: &attempt.nonce,
            now,
        };
        let keys = provider.keys().await?;
        let verified = match provider_token::verify_by(token, &keys.json, &expected) {
            Err(ProviderTokenError::UnknownKey) => match provider.newer_keys(&keys).await? {
                Some(newer) => provider_token::verify_by(token, &newer.json, &expected),
                None => Err(ProviderTokenError::UnknownKey),
            },
            judged => judged,
        }?;
        if verified.profile.email.is_some() || provider.kind() != ProviderKind::Oidc {
            return Ok(verified);
        }
        // Many ID tokens have only the subject.
        match provider.user_info(&grant.access_token).await? {
            // The claims' subject must be the token's (OIDC Core §5.3.2).
            Some(info) if info.subject != verified.identity.subject => Err(ProviderTokenError::Subject.into()),
            Some(info) => {
                let Profile { handle, name, .. } = verified.profile;
                let profile = Profile {
                    handle: handle.or(info.profile.handle),
                    name: name.or(info.profile.name),
                    ..info.profile
                };
                Ok(VerifiedIdentity { profile, ..verified })
            }
            None => Ok(verified),
        }
    }

    fn is_in_time(&self, begun_at: DateTime<Utc>) -> bool {
        self.clock.now() < begun_at + PATIENCE
    }

    async fn use_up(&self, name: &[u8], begun_at: DateTime<Utc>) -> Result<(), FederateError> {
        let digest = AttemptDigest(digest::sha256(name));
        let unused = federation_attempts::consume(&self.db, digest, begun_at + PATIENCE).await?;
        if unused { Ok(()) } else { Err(FederateError::Stale) }
    }
}

/// Bounds the time of a provider's answers.
async fn within<T, E: From<ProviderError>>(asked: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(PROVIDER_PATIENCE, asked).await.unwrap_or_else(|_| Err(ProviderError::Slow.into()))
}

/// Logs why an attempt failed, in fixed words: never the provider's text.
fn refused(error: FederateError, configured: &ConfiguredProvider) -> FederateError {
    let provider = configured.provider.name();
    match &error {
        // The HTTP layer logs it.
        FederateError::Unavailable(_) => return error,
        FederateError::ProviderUnavailable => tracing::warn!(%provider, "a provider does not answer"),
        FederateError::InvalidProviderResponse(why) => {
            tracing::warn!(%provider, %why, "a provider's answer is of no use");
        }
        FederateError::Token(why) => tracing::warn!(%provider, %why, "a provider's token was refused"),
        _ => {}
    }
    Event::refused("federation", error.word()).record();
    error
}
