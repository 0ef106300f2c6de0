//! The resource owner password credentials grant (RFC 6749 §4.3), for first-party clients: a name and a password turn
//! into a session and its tokens.

use std::sync::Arc;

use secrecy::SecretString;

use crate::{
    domain::{
        client::Client,
        client_info::{ClientInfo, Credentials},
        clock::Clock,
        ids::ClientId,
        oauth::GrantType,
        scope::Scope,
        session::{Lifetimes, Session},
    },
    services::{
        Unavailable,
        accounts::authenticate::{Authenticate, AuthenticateError, Authenticated},
        audit::Event,
        grants::{
            Asked, GrantError, narrow, permit, target,
            token_issuer::{TokenIssuer, TokenSet},
        },
        sessions::begin::{BeginSession, Beginning},
    },
    store::sessions::SessionBasis,
};

/// Logs people in.
#[derive(Debug, Clone)]
pub struct LogIn {
    /// Checks the password.
    pub authenticate: Authenticate,
    /// Signs the tokens.
    pub issue: TokenIssuer,
    /// Begins the session.
    pub begin_session: BeginSession,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// What a log-in gives.
#[derive(Debug)]
pub struct LoggedIn {
    /// The tokens of its session.
    pub tokens: TokenSet,
    /// The token that makes the device known, for the next time; `None` where nothing is counted.
    pub device: Option<SecretString>,
}

/// How often a log-in starts over because the account's password was replaced while it was being hashed.
const ATTEMPTS: usize = 3;

impl From<AuthenticateError> for GrantError {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Malformed { field, why } => Self::Malformed { field, why },
            AuthenticateError::Invalid => Self::InvalidGrant,
            AuthenticateError::TooMany { retry_after } => Self::TooMany { retry_after },
            AuthenticateError::Unavailable(trouble) => Self::Unavailable(trouble),
        }
    }
}

impl LogIn {
    /// Exchanges credentials for a session of `client` and its tokens.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn run(
        &self,
        credentials: &Credentials<'_>,
        client: &Client,
        asked: Asked<'_>,
        origin: &ClientInfo,
    ) -> Result<LoggedIn, GrantError> {
        permit(client, GrantType::Password)?;
        let scope = narrow(asked.scope, &client.scope)?;
        target(&self.issue, client, asked.resource)?;
        let lifetimes = &self.issue.lifetimes;
        let (authenticated, session) =
            self.session(credentials, &client.id, &scope, asked.resource, origin, lifetimes).await?;
        let tokens =
            self.issue.session_tokens(&session, client, &scope, self.clock.now()).map_err(Unavailable::from)?;
        let Authenticated { user, proof } = authenticated;
        let device = self.authenticate.throttle.remember(user.id, &proof, origin)?;
        Ok(LoggedIn { tokens, device })
    }

    /// Exchanges credentials for one access token that is the whole session: it is not refreshed, and the session ends
    /// with it. The original service's log-in.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn for_one_token(
        &self,
        credentials: &Credentials<'_>,
        origin: &ClientInfo,
    ) -> Result<SecretString, GrantError> {
        let (client, lifetimes) = (Client::first_party(), self.one_token());
        let (_, session) = self.session(credentials, &client.id, &client.scope, None, origin, &lifetimes).await?;
        let tokens = self.issue.session_tokens(&session, &client, &client.scope, self.clock.now());
        Ok(tokens.map_err(Unavailable::from)?.access_token)
    }

    /// The same for an account that was registered just now: its password was given, and is not hashed again.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn for_registered(
        &self,
        registered: &Authenticated,
        origin: &ClientInfo,
    ) -> Result<SecretString, GrantError> {
        let (client, lifetimes) = (Client::first_party(), self.one_token());
        let session = self.begin(registered, &client.id, &client.scope, None, origin, &lifetimes).await?;
        let session = session.ok_or(GrantError::InvalidGrant)?;
        let tokens = self.issue.session_tokens(&session, &client, &client.scope, self.clock.now());
        Ok(tokens.map_err(Unavailable::from)?.access_token)
    }

    /// Exchanges credentials for a log-in at our own pages, which has no tokens. Says by what token its device is known
    /// the next time.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn at_pages(
        &self,
        credentials: &Credentials<'_>,
        origin: &ClientInfo,
    ) -> Result<(Session, Option<SecretString>), GrantError> {
        let (scope, lifetimes) = (Scope::default(), &self.issue.lifetimes);
        let (Authenticated { user, proof }, session) =
            self.session(credentials, &ClientId::pages(), &scope, None, origin, lifetimes).await?;
        Ok((session, self.authenticate.throttle.remember(user.id, &proof, origin)?))
    }

    /// The same for an account that was registered just now.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn at_pages_for_registered(
        &self,
        registered: &Authenticated,
        origin: &ClientInfo,
    ) -> Result<(Session, Option<SecretString>), GrantError> {
        let (scope, lifetimes) = (Scope::default(), &self.issue.lifetimes);
        let session = self.begin(registered, &ClientId::pages(), &scope, None, origin, lifetimes).await?;
        let session = session.ok_or(GrantError::InvalidGrant)?;
        Ok((session, self.authenticate.throttle.remember(registered.user.id, &registered.proof, origin)?))
    }

    /// The lifetimes of a session that ends with its first access token.
    fn one_token(&self) -> Lifetimes {
        let life = self.issue.lifetimes.access_token;
        Lifetimes { session: life, refresh_token: life, ..self.issue.lifetimes }
    }

    async fn session(
        &self,
        credentials: &Credentials<'_>,
        client: &ClientId,
        scope: &Scope,
        resource: Option<&str>,
        origin: &ClientInfo,
        lifetimes: &Lifetimes,
    ) -> Result<(Authenticated, Session), GrantError> {
        for _ in 0..ATTEMPTS {
            let authenticated = self.authenticate.check(credentials, origin).await?;
            if let Some(session) = self.begin(&authenticated, client, scope, resource, origin, lifetimes).await? {
                return Ok((authenticated, session));
            }
            // The password was replaced, or the account disabled or deleted, while we hashed: ask again.
        }
        Event::refused("log_in", "changing").client(client).record();
        Err(GrantError::InvalidGrant)
    }

    /// Begins a session of an account whose password was given; `None` where that no longer opens it.
    async fn begin(
        &self,
        authenticated: &Authenticated,
        client: &ClientId,
        scope: &Scope,
        resource: Option<&str>,
        origin: &ClientInfo,
        lifetimes: &Lifetimes,
    ) -> Result<Option<Session>, Unavailable> {
        let beginning = Beginning {
            user: authenticated.user.id,
            client,
            proof: SessionBasis::Password(&authenticated.proof),
            scope,
            resource,
            lifetimes,
        };
        self.begin_session.run(&beginning, origin).await
    }
}
