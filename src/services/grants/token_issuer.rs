//! Issues the tokens of a valid grant.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    crypto::{
        jose::jwt::{Jwt, SignError},
        keys::ring::KeyKind,
        random::Random,
    },
    domain::{
        claims::{AccessClaims, Audience, IdClaims, RefreshClaims, UserClaims, numeric_date},
        client::Client,
        ids::{SessionId, UserId},
        oauth::GrantType,
        resource,
        scope::Scope,
        session::{Lifetimes, Session},
        status_list::StatusClaim,
        user::User,
    },
    services::Unavailable,
};

/// Signs tokens for sessions and clients.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    pub jwt: Arc<Jwt>,
    /// Draws the `jti`.
    pub random: Random,
    /// `iss`.
    pub issuer: String,
    /// The default audience.
    pub audience: String,
    /// The resources that every client may ask for which registered itself.
    pub open_resources: Vec<String>,
    /// How long tokens live.
    pub lifetimes: Lifetimes,
}

/// The tokens of a session (RFC 6749 §5.1).
#[derive(Debug)]
pub struct TokenSet {
    /// For resource servers.
    pub access_token: SecretString,
    /// In seconds.
    pub expires_in: i64,
    /// `None` if the client has no refresh grant.
    pub refresh_token: Option<SecretString>,
    /// Only in the code flow, with scope `openid` (OIDC Core §2).
    pub id_token: Option<SecretString>,
    /// The access token's scope.
    pub scope: Scope,
    pub user: UserId,
    /// The session of the tokens.
    pub session: SessionId,
}

/// A client's own token.
#[derive(Debug)]
pub struct ClientToken {
    /// For resource servers.
    pub access_token: SecretString,
    /// In seconds.
    pub expires_in: i64,
    pub scope: Scope,
}

impl TokenIssuer {
    /// The tokens of `session` in its present generation; `scope` must be within the session's. Every replica issues
    /// the same refresh token, `jti`, `iat` and `exp` for a generation.
    ///
    /// # Errors
    /// [`SignError`] where there is no key to sign with.
    pub fn session_tokens(
        &self,
        session: &Session,
        client: &Client,
        scope: &Scope,
        now: DateTime<Utc>,
    ) -> Result<TokenSet, SignError> {
        self.session_tokens_for(self.audience(session.resource.as_deref(), client), session, client, scope, now)
    }

    /// As [`Self::session_tokens`], with an access token for `audience`.
    ///
    /// # Errors
    /// [`SignError`] where there is no key to sign with.
    pub fn session_tokens_for(
        &self,
        audience: Audience,
        session: &Session,
        client: &Client,
        scope: &Scope,
        now: DateTime<Utc>,
    ) -> Result<TokenSet, SignError> {
        let expires = Ord::min(now + self.lifetimes.access_token, session.ends_at);
        // An operator's own services may take a name or a role for a right: another's client gets them by scope alone.
        let carries = |scope_of_claim| client.first_party || scope.contains(scope_of_claim);
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            sub: session.user.to_string(),
            aud: audience,
            exp: numeric_date(expires),
            iat: numeric_date(now),
            jti: self.random.token_id(),
            client_id: session.client.clone(),
            scope: scope.clone(),
            user: Some(UserClaims {
                sid: session.id,
                auth_time: session.auth_time(),
                amr: session.amr.clone(),
                acr: Some(session.acr().to_owned()),
                preferred_username: carries("profile").then(|| session.username.clone()),
                roles: if carries("roles") { session.roles.clone() } else { Vec::new() },
                status: Some(StatusClaim::of(&self.issuer, session.status)),
            }),
        };
        // A client without the refresh grant could not use it. First-party clients always have the grant.
        let with_refresh = client.may_use(GrantType::RefreshToken);
        let refresh = RefreshClaims {
            iss: self.issuer.clone(),
            sub: session.user,
            aud: Audience::One(format!("{}/oauth/token", self.issuer)),
            exp: numeric_date(session.idle_ends_at),
            iat: numeric_date(session.rotated_at),
            jti: format!("{}.{}", session.id, session.generation.0),
            client_id: session.client.clone(),
            sid: session.id,
            generation: session.generation.0,
        };
        let refresh_token = if with_refresh { Some(self.jwt.sign_refresh(&refresh, now)?.into()) } else { None };
        Ok(TokenSet {
            access_token: self.jwt.sign_access(&claims, now)?.into(),
            expires_in: claims.exp - claims.iat,
            refresh_token,
            id_token: None,
            scope: scope.clone(),
            user: session.user,
            session: session.id,
        })
    }

    /// Checks that an ID token can be signed for `client`, before a code or refresh token is used up.
    ///
    /// # Errors
    /// [`Unavailable`] where its key is not there.
    pub async fn prepare_id_token(&self, client: &Client, now: DateTime<Utc>) -> Result<(), Unavailable> {
        let algorithm = client.id_token_algorithm();
        if !client.is_relying_party() || self.jwt.has_key(algorithm, now) {
            return Ok(());
        }
        let jwt = Arc::clone(&self.jwt);
        // If the task fails, the key is still missing.
        let _ = tokio::task::spawn_blocking(move || jwt.look_for_keys()).await;
        if self.jwt.has_key(algorithm, now) {
            return Ok(());
        }
        Err(SignError::NoKey(KeyKind::Signing(algorithm)).into())
    }

    /// Adds an ID token to `tokens` if the session came from the code flow and the access token's scope has `openid`
    /// (OIDC Core §3.1.3.3, §12.2). `nonce` is from the authorization request.
    ///
    /// # Errors
    /// [`SignError`] where there is no key to sign with.
    pub fn with_id_token(
        &self,
        tokens: TokenSet,
        session: &Session,
        client: &Client,
        user: &User,
        nonce: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<TokenSet, SignError> {
        if session.parent.is_none() || !tokens.scope.contains("openid") {
            return Ok(tokens);
        }
        let algorithm = client.id_token_algorithm();
        let email = user.email.as_ref().filter(|_| tokens.scope.contains("email"));
        let username = tokens.scope.contains("profile").then(|| user.username.as_written().to_owned());
        let claims = IdClaims {
            iss: self.issuer.clone(),
            sub: user.id,
            aud: Audience::One(client.id.to_string()),
            exp: numeric_date(now + self.lifetimes.access_token),
            iat: numeric_date(now),
            auth_time: session.auth_time(),
            amr: session.amr.clone(),
            acr: Some(session.acr().to_owned()),
            nonce,
            at_hash: Jwt::access_token_hash(algorithm, tokens.access_token.expose_secret()),
            sid: session.id,
            name: username.clone(),
            preferred_username: username,
            email: email.map(|email| email.as_str().to_owned()),
            email_verified: email.map(|_| user.email_verified),
            roles: if tokens.scope.contains("roles") { session.roles.clone() } else { Vec::new() },
        };
        let id_token = self.jwt.sign_id(&claims, algorithm, now)?.into();
        Ok(TokenSet { id_token: Some(id_token), ..tokens })
    }

    /// A token for the client itself (RFC 6749 §4.4): it has no session, and opens no user's account.
    ///
    /// # Errors
    /// [`SignError`] where there is no key to sign with.
    pub fn client_token(
        &self,
        client: &Client,
        scope: Scope,
        resource: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<ClientToken, SignError> {
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            sub: client.id.to_string(),
            aud: match resource {
                Some(resource) => Audience::One(resource.to_owned()),
                None if client.first_party => Audience::of([self.audience.clone(), self.issuer.clone()]),
                None => Audience::One(self.audience.clone()),
            },
            exp: numeric_date(now + self.lifetimes.access_token),
            iat: numeric_date(now),
            jti: self.random.token_id(),
            client_id: client.id.clone(),
            scope,
            user: None,
        };
        Ok(ClientToken {
            access_token: self.jwt.sign_access(&claims, now)?.into(),
            expires_in: claims.exp - claims.iat,
            scope: claims.scope,
        })
    }

    /// The audience of a user's token: the granted resource; by default the configured audience and this service itself,
    /// for first-party clients, and for any other client this service alone (RFC 9700 §2.3).
    fn audience(&self, resource: Option<&str>, client: &Client) -> Audience {
        match resource {
            Some(resource) => Audience::One(resource.to_owned()),
            None if client.first_party => Audience::of([self.audience.clone(), self.issuer.clone()]),
            None => Audience::One(self.issuer.clone()),
        }
    }

    /// The audience of a token under a grant for the resource `granted`, where the token request names `asked` (RFC 8707
    /// §2.2): what was granted, or one of those that the token would have anyway. `None` for any other.
    #[must_use]
    pub fn audience_for(&self, client: &Client, granted: Option<&str>, asked: Option<&str>) -> Option<Audience> {
        let audience = self.audience(granted, client);
        let Some(asked) = asked else { return Some(audience) };
        let asked = resource::only_one(asked)?;
        audience.names().find(|name| resource::is_same(name, asked)).map(|name| Audience::One(name.to_owned()))
    }

    /// The resource that `asked` names, if `client` may ask for it (RFC 8707 §2). It is spelled as the operator spelled it,
    /// since resource servers compare bytes.
    #[must_use]
    pub fn target<'a>(&'a self, client: &'a Client, asked: &str) -> Option<&'a str> {
        self.targets(client).find(|name| resource::is_same(name, asked))
    }

    /// All resources that `client` may ask for: those that are registered for it, the default audiences if it is
    /// first-party, and the open ones if it registered itself.
    pub fn targets<'a>(&'a self, client: &'a Client) -> impl Iterator<Item = &'a str> {
        let defaults = [&self.audience, &self.issuer].into_iter().filter(|_| client.first_party);
        let open = self.open_resources.iter().filter(|_| client.self_registered);
        client.resources.iter().chain(defaults).chain(open).map(String::as_str)
    }
}
