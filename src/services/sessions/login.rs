//! The resource owner password credentials grant (RFC 6749 §4.3), for first-party clients: it exchanges a name and a
//! password for a session and its tokens.

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
            Asked, GrantError, counted, narrow, permit, target,
            token_issuer::{TokenIssuer, TokenSet},
        },
        sessions::begin::{BeginSession, Beginning},
    },
    store::sessions::SessionBasis,
};

#[derive(Debug, Clone)]
pub struct LogIn {
    pub authenticate: Authenticate,
    pub issue: TokenIssuer,
    pub begin_session: BeginSession,
    pub clock: Arc<dyn Clock>,
}

/// The result of a login.
#[derive(Debug)]
pub struct LoggedIn {
    /// The tokens of the new session.
    pub tokens: TokenSet,
    /// The token that identifies the device at the next login; `None` without throttling.
    pub device: Option<SecretString>,
}

/// How often a login starts over because the account's password was replaced while it was hashed.
const ATTEMPTS: usize = 3;

impl From<AuthenticateError> for GrantError {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Malformed { field, why } => Self::Malformed { field, why },
            AuthenticateError::Invalid => Self::InvalidGrant,
            AuthenticateError::TooMany { retry_after } => Self::TooMany { retry_after },
            AuthenticateError::Unavailable(unavailable) => Self::Unavailable(unavailable),
        }
    }
}

impl LogIn {
    /// Exchanges credentials for a session of `client` and its tokens.
    pub async fn run(
        &self,
        credentials: &Credentials<'_>,
        client: &Client,
        asked: Asked<'_>,
        origin: &ClientInfo,
    ) -> Result<LoggedIn, GrantError> {
        permit(client, GrantType::Password)?;
        let scope = narrow(counted(client, asked.scope), &client.scope)?;
        let resource = target(&self.issue, client, asked.resource)?;
        let lifetimes = &self.issue.lifetimes;
        let (authenticated, session) =
            self.session(credentials, &client.id, &scope, resource.as_deref(), origin, lifetimes).await?;
        let tokens =
            self.issue.session_tokens(&session, client, &scope, self.clock.now()).map_err(Unavailable::from)?;
        let Authenticated { user, proof } = authenticated;
        let device = self.authenticate.throttle.remember(user.id, &proof, origin)?;
        Ok(LoggedIn { tokens, device })
    }

    /// Exchanges credentials for a single access token without refresh; the session ends with it. This is the original
    /// service's login.
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

    /// The same for an account that was just registered; its password is not hashed again.
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

    /// Exchanges credentials for a login at our own pages, without tokens. Also returns the token that identifies the
    /// device at the next login.
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

    /// The same for an account that was just registered.
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
            // The password was replaced, or the account disabled or deleted, during the hash: start over.
        }
        Event::refused("log_in", "changing").client(client).record();
        Err(GrantError::InvalidGrant)
    }

    /// Begins a session for checked credentials; `None` if they are no longer valid.
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
