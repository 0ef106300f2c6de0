//! Log-ins with other providers: out to one and back, and what comes of it (OIDC Core §3.1, RFC 6749 §4.1).
//!
//! An attempt travels with its browser, sealed, so that any replica takes it up again; that it was used is written down
//! under a unique index. No transaction is open while a provider is asked.

pub mod identities;
mod link_or_register;
mod providers;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::providers::{ConfiguredProvider, Credential, Providers};
use crate::{
    crypto::{
        digest,
        jose::provider_token::{self, ProviderTokenError, SKEW, VerifiedIdentity},
        random::Random,
    },
    domain::{
        clock::Clock,
        identity::{Profile, ProviderKind, ProviderName},
        ids::{SessionId, UserId},
        session::{Lifetimes, Session},
    },
    outbound::provider::{ProviderError, exchange::Asking},
    services::{
        Unavailable,
        audit::Event,
        change_feed::ChangeFeed,
        csrf::BrowserId,
        outbox::Outbox,
        sealed::Sealer,
        sessions::{begin::BeginSession, login::ClientInfo},
    },
    store::{
        Database, StoreError,
        federation_attempts::{self, AttemptDigest},
    },
};

/// Logs people in with other providers, and links those to accounts.
#[derive(Debug, Clone)]
pub struct Federate {
    /// Whom.
    pub providers: Arc<Providers>,
    /// Seals what travels with the browser.
    pub sealer: Sealer,
    /// Begins the session.
    pub begin_session: BeginSession,
    /// Tells the others of what has changed.
    pub changes: ChangeFeed,
    /// Has addresses verified.
    pub outbox: Outbox,
    /// Draws what nobody must guess.
    pub random: Random,
    /// Where accounts and their identities are.
    pub db: Database,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long a log-in lasts.
    pub lifetimes: Lifetimes,
    /// Whether somebody new gets an account.
    pub open: bool,
}

/// What a log-in with a provider is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// To log in.
    LogIn {
        /// Whether the provider is asked to have the person prove anew who they are, though it may know them still.
        fresh: bool,
    },
    /// To link the identity to the account that is logged in with this session.
    Link(UserId, SessionId),
}

impl Intent {
    /// Whether the provider is to ask for a proof. For a link it is always: the browser may be another's, whom the
    /// provider knows still.
    fn wants_fresh(self) -> bool {
        matches!(self, Self::LogIn { fresh: true } | Self::Link(..))
    }
}

/// What travels with the browser until it comes back.
#[derive(Debug, Serialize, Deserialize)]
struct AuthState {
    provider: ProviderName,
    browser: String,
    state: String,
    nonce: String,
    verifier: String,
    begun_at: DateTime<Utc>,
    errand: Intent,
}

impl AuthState {
    /// When the person proved who they are, where the provider has `said` so; else `now`. Whether that is lately enough
    /// is judged by whoever asked.
    fn authenticated_at(&self, said: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
        match said {
            // It was asked for anew and done anew, by whatever clock. Such times are whole seconds.
            Some(said) if self.errand.wants_fresh() && said.timestamp() + SKEW >= self.begun_at.timestamp() => {
                Ord::max(said, self.begun_at)
            }
            Some(said) => said,
            None => now,
        }
    }
}

/// What travels with the browser while somebody new is asked for a name.
#[derive(Debug, Serialize, Deserialize)]
struct PendingSignup {
    /// Used once.
    id: Uuid,
    provider: ProviderName,
    browser: String,
    vouched: VerifiedIdentity,
    /// When they proved who they are.
    authenticated_at: DateTime<Utc>,
    begun_at: DateTime<Utc>,
}

/// An attempt that is on its way.
#[derive(Debug)]
pub struct Started {
    /// Where the browser goes now.
    pub address: String,
    /// Tells this attempt from others of the same browser; the beginning of `state`.
    pub key: String,
    /// What the browser keeps meanwhile.
    pub sealed: String,
}

/// With what a browser comes back (RFC 6749 §4.1.2, RFC 9207).
#[derive(Debug, Default)]
pub struct CallbackParams<'a> {
    /// What it was sent with.
    pub state: &'a str,
    /// What the provider gives.
    pub code: Option<&'a str>,
    /// Why it gives nothing.
    pub error: Option<&'a str>,
    /// Who says so.
    pub iss: Option<&'a str>,
}

/// What comes of it.
#[derive(Debug)]
pub enum CallbackOutcome {
    /// Somebody is logged in.
    LoggedIn(Box<Session>),
    /// The identity is linked to who is logged in.
    Linked,
    /// Somebody new is to say how they want to be called.
    PendingSignup(UsernamePrompt),
}

/// A question for a name.
#[derive(Debug)]
pub struct UsernamePrompt {
    /// What travels with the answer.
    pub sealed: String,
    /// What they might want.
    pub suggestion: String,
    /// What was wrong with the name before; empty where none was given.
    pub why: String,
}

/// Why nobody is logged in, and nothing linked.
#[derive(Debug, thiserror::Error)]
pub enum FederateError {
    /// There is no such provider.
    #[error("there is no such provider")]
    UnknownProvider,
    /// The attempt is not this browser's, not for this provider, too old, or was used.
    #[error("the attempt is stale")]
    Stale,
    /// The person, or the provider, said no.
    #[error("the provider says no")]
    Denied,
    /// The provider cannot be reached, or takes too long.
    #[error("the provider does not answer")]
    ProviderUnavailable,
    /// The provider answered what is of no use.
    #[error("the provider's answer is of no use: {0}")]
    InvalidProviderResponse(ProviderError),
    /// The answer is another provider's (RFC 9207).
    #[error("the answer is from somebody else")]
    WrongIssuer,
    /// What the provider signed is not good.
    #[error("the token of the provider is not good: {0}")]
    Token(#[from] ProviderTokenError),
    /// Somebody new came, and registration is closed.
    #[error("registration is closed")]
    Closed,
    /// The account may not be used.
    #[error("the account is disabled")]
    Disabled,
    /// The identity opens another account.
    #[error("the identity is linked to another account")]
    Taken,
    /// Whoever wanted to link it is not logged in any more.
    #[error("nobody is logged in")]
    NotLoggedIn,
    /// Trouble on our side.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<StoreError> for FederateError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<ProviderError> for FederateError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Down | ProviderError::Slow => Self::ProviderUnavailable,
            ProviderError::Refused | ProviderError::Garbage(_) => Self::InvalidProviderResponse(error),
        }
    }
}

impl FederateError {
    /// Why, in one word for the log.
    fn word(&self) -> &'static str {
        match self {
            Self::UnknownProvider => "unknown_provider",
            Self::Stale => "stale",
            Self::Denied => "denied",
            Self::ProviderUnavailable => "provider_silent",
            Self::InvalidProviderResponse(_) => "provider_untold",
            Self::WrongIssuer => "wrong_issuer",
            Self::Token(_) => "provider_token",
            Self::Closed => "closed",
            Self::Disabled => "disabled",
            Self::Taken => "taken",
            Self::NotLoggedIn => "not_logged_in",
            Self::Unavailable(_) => "trouble",
        }
    }
}

/// What attempts are sealed for.
const ATTEMPT: &str = "federation attempt";
/// What answers without a name are sealed for.
const UNNAMED: &str = "federation without a name";
/// How long somebody may take, from the start to their name.
pub const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// How long a provider may take to tell who somebody is, all its answers together.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(10);
/// The longest code that is passed on, in bytes.
const LONGEST_CODE: usize = 4096;
/// How much of `state` tells attempts apart.
const KEY: usize = 8;

impl Federate {
    /// Starts an attempt in `browser`.
    ///
    /// # Errors
    /// [`FederateError`] where there is no such provider, or it cannot be asked.
    pub async fn start(&self, provider: &str, browser: &BrowserId, errand: Intent) -> Result<Started, FederateError> {
        let configured = self.providers.find(provider).ok_or(FederateError::UnknownProvider)?;
        let [state, nonce, verifier] = [(); 3].map(|()| self.random.secret());
        let asking = Asking {
            state: state.expose_secret(),
            nonce: nonce.expose_secret(),
            verifier: &verifier,
            fresh: errand.wants_fresh(),
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
            errand,
        };
        let key = key(&attempt.state).unwrap_or_default().to_owned();
        Ok(Started { address: address.into(), key, sealed: self.sealer.seal(ATTEMPT, &attempt) })
    }

    /// Takes up an attempt that `browser` kept `sealed`, with what it comes back with; `session` is who is logged in
    /// there.
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
        // Whatever comes of it, it was this attempt's one use.
        self.use_up(attempt.state.as_bytes(), attempt.begun_at).await?;
        let vouched = within(self.vouched(configured, &attempt, returned)).await?;
        match attempt.errand {
            Intent::LogIn { .. } => {
                let now = self.clock.now();
                let unnamed = PendingSignup {
                    id: self.random.uuid_v7(now),
                    authenticated_at: attempt.authenticated_at(vouched.authenticated_at, now),
                    provider: attempt.provider,
                    browser: attempt.browser,
                    vouched,
                    begun_at: attempt.begun_at,
                };
                self.link_or_register(configured, unnamed, None, origin).await
            }
            Intent::Link(user, began) => {
                let still = session.is_some_and(|session| session.user == user && session.id == began);
                if !still {
                    return Err(FederateError::NotLoggedIn);
                }
                self.link(configured, (user, began), &vouched.identity).await
            }
        }
    }

    /// Goes on with somebody new, who says how they want to be called.
    ///
    /// # Errors
    /// [`FederateError`]; then there is no account.
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
            // Once, for whoever finds the form in a browser's history must not log in with it.
            self.use_up(unnamed.id.as_bytes(), unnamed.begun_at).await?;
            let unnamed = PendingSignup { id: self.random.uuid_v7(self.clock.now()), ..unnamed };
            self.link_or_register(configured, unnamed, Some(name), origin).await
        };
        go.await.map_err(|error| refused(error, configured))
    }

    /// Who the provider says that came back.
    async fn vouched(
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
        let vouched = match provider_token::verify_by(token, &keys.json, &expected) {
            Err(ProviderTokenError::UnknownKey) => match provider.newer_keys(&keys).await? {
                Some(newer) => provider_token::verify_by(token, &newer.json, &expected),
                None => Err(ProviderTokenError::UnknownKey),
            },
            judged => judged,
        }?;
        if vouched.profile.email.is_some() || provider.kind() != ProviderKind::Oidc {
            return Ok(vouched);
        }
        // Many say in the token only who it is.
        match provider.user_info(&grant.access_token).await? {
            // Whose claims these are must be the token's subject (OIDC Core §5.3.2).
            Some(info) if info.subject != vouched.identity.subject => Err(ProviderTokenError::Subject.into()),
            Some(info) => {
                let Profile { handle, name, .. } = vouched.profile;
                let profile = Profile {
                    handle: handle.or(info.profile.handle),
                    name: name.or(info.profile.name),
                    ..info.profile
                };
                Ok(VerifiedIdentity { profile, ..vouched })
            }
            None => Ok(vouched),
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

/// What tells the attempt of a `state` from others; `None` where no attempt has such a state.
#[must_use]
pub fn key(state: &str) -> Option<&str> {
    state.get(..KEY).filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))
}

/// What a provider tells, unless it takes too long.
async fn within<T, E: From<ProviderError>>(asked: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(PROVIDER_PATIENCE, asked).await.unwrap_or_else(|_| Err(ProviderError::Slow.into()))
}

/// Logs why nothing came of an attempt: by fixed words alone, and not what the provider said.
fn refused(error: FederateError, configured: &ConfiguredProvider) -> FederateError {
    let provider = configured.provider.name();
    match &error {
        // Told by whoever answers the request.
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
