//! Forward authentication: the check that a proxy asks for before it passes a request on. It takes no SQL.

use std::sync::Arc;

use crate::{
    crypto::jose::jwt::TokenError,
    domain::{claims::AccessClaims, resource},
    services::sessions::bearer::{Bearer, BearerError},
};

/// Checks the tokens of requests that pass a proxy.
#[derive(Debug, Clone)]
pub struct Check {
    pub bearer: Bearer,
    /// The audience that a token must have where the proxy names none.
    pub audience: String,
}

/// The conditions for a token. All of them count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The audience; by default the configured one.
    pub audience: Option<String>,
    pub scopes: Vec<String>,
    pub roles: Vec<String>,
}

/// Why a request does not pass.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The token is not valid, or for another audience.
    #[error(transparent)]
    Token(#[from] BearerError),
    #[error("the token lacks a scope")]
    Scope,
    #[error("the account lacked a role when the token was issued")]
    Role,
}

impl Check {
    /// The claims of a token that is valid now and meets the conditions. Audiences are compared as resources are.
    pub fn run(&self, token: &str, conditions: &Conditions) -> Result<Arc<AccessClaims>, CheckError> {
        let claims = self.bearer.live(token)?;
        let audience = conditions.audience.as_deref().unwrap_or(&self.audience);
        if !claims.aud.names().any(|name| resource::is_same(name, audience)) {
            return Err(BearerError::from(TokenError::WrongAudience).into());
        }
        if !conditions.scopes.iter().all(|scope| claims.scope.contains(scope)) {
            return Err(CheckError::Scope);
        }
        let roles = claims.user.as_ref().map_or(&[][..], |user| &user.roles);
        let has_role = |wanted: &String| roles.iter().any(|role| role.as_str() == wanted);
        if conditions.roles.iter().all(has_role) { Ok(claims) } else { Err(CheckError::Role) }
    }
}
