//! Forward authentication: the check that a proxy asks for before it passes a request on. It takes no SQL.

use std::sync::Arc;

use crate::{
    crypto::jose::jwt::TokenError,
    domain::claims::AccessClaims,
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

impl Check {
    /// The claims of a token that is valid now and meets the conditions.
    ///
    /// # Errors
    /// [`BearerError`]: [`BearerError::Token`] for another audience, [`BearerError::Insufficient`] for a scope or role
    /// that the token lacks.
    pub fn run(&self, token: &str, conditions: &Conditions) -> Result<Arc<AccessClaims>, BearerError> {
        let claims = self.bearer.live(token)?;
        if !claims.aud.contains(conditions.audience.as_deref().unwrap_or(&self.audience)) {
            return Err(TokenError::WrongAudience.into());
        }
        let roles = claims.user.as_ref().map_or(&[][..], |user| &user.roles);
        let has_role = |wanted: &String| roles.iter().any(|role| role.as_str() == wanted);
        if !conditions.scopes.iter().all(|scope| claims.scope.contains(scope)) || !conditions.roles.iter().all(has_role)
        {
            return Err(BearerError::Insufficient);
        }
        Ok(claims)
    }
}
