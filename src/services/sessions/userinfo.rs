//! The userinfo claims (OIDC Core §5.3, §5.4).

use crate::{
    domain::{ids::UserId, role::Role},
    services::{
        Unavailable,
        sessions::bearer::{Bearer, BearerError},
    },
    store::{Database, entity_cache::EntityCache},
};

/// Returns the user's claims.
#[derive(Debug, Clone)]
pub struct Userinfo {
    pub bearer: Bearer,
    /// The cache of accounts.
    pub entities: EntityCache,
    /// Read where the cache has no entry.
    pub db: Database,
}

/// The claims that the token's scope allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    pub sub: UserId,
    /// With scope `profile`.
    pub preferred_username: Option<String>,
    /// With scope `email`, where there is an address.
    pub email: Option<String>,
    /// Beside `email`.
    pub email_verified: Option<bool>,
    /// With scope `roles`, where there are any.
    pub roles: Option<Vec<Role>>,
}

impl Userinfo {
    /// The claims of the token's user.
    pub async fn run(&self, token: &str) -> Result<UserClaims, BearerError> {
        let caller = self.bearer.userinfo(token).await?;
        let found = self.entities.user(&self.db, caller.user).await.map_err(Unavailable::from)?;
        // A deleted account's sessions end with it; this request came in between.
        let Some(user) = found else { return Err(BearerError::Ended) };
        let email = user.email.filter(|_| caller.scope.contains("email"));
        Ok(UserClaims {
            sub: user.id,
            preferred_username: caller.scope.contains("profile").then(|| user.username.as_written().to_owned()),
            roles: Some(user.roles).filter(|roles| caller.scope.contains("roles") && !roles.is_empty()),
            email_verified: email.as_ref().map(|_| user.email_verified),
            email: email.map(|email| email.as_str().to_owned()),
        })
    }
}
