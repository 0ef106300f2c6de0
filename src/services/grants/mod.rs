//! The grants of the token endpoint, and what they have in common.

pub mod authorization_code;
pub mod client_credentials;
pub mod refresh;
pub mod token_issuer;

use std::time::Duration;

use self::token_issuer::TokenIssuer;
use crate::{
    crypto::jose::jwt::SignError,
    domain::{client::Client, oauth::GrantType, resource, scope::Scope},
    services::Unavailable,
    store::StoreError,
};

/// Why a grant was not exchanged for tokens. Each variant is one error code of RFC 6749 §5.2.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// A field is malformed.
    #[error("{field} {why}")]
    Malformed { field: &'static str, why: String },
    /// The credentials, code or refresh token are not valid. The reason is for the log alone.
    #[error("the credentials are not good")]
    InvalidGrant,
    #[error("the client may not use this grant")]
    UnauthorizedClient,
    #[error("the scope is malformed or wider than allowed")]
    InvalidScope,
    /// The client may not ask for this resource.
    #[error("the resource is not this client's to ask for")]
    InvalidTarget,
    /// Too many wrong passwords came before this one, which was not evaluated.
    #[error("too many passwords were wrong")]
    TooMany {
        /// When the next attempt is allowed.
        retry_after: Duration,
    },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

unavailable_from!(GrantError: StoreError, SignError);

/// Optional parameters of every grant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// `scope` (RFC 6749 §3.3).
    pub scope: Option<&'a str>,
    /// `resource` (RFC 8707 §2).
    pub resource: Option<&'a str>,
}

/// Refuses a grant that the client may not use.
pub(in crate::services) fn permit(client: &Client, grant: GrantType) -> Result<(), GrantError> {
    if client.may_use(grant) { Ok(()) } else { Err(GrantError::UnauthorizedClient) }
}

/// The requested scope as it counts. White space alone asks for nothing. A client that nobody vouches for, and that asks for
/// scopes of other issuers alone, cannot know ours: it gets the scope that it registered (RFC 6749 §3.3).
pub(in crate::services) fn counted<'a>(client: &Client, asked: Option<&'a str>) -> Option<&'a str> {
    let asked = asked.filter(|asked| !asked.trim_ascii().is_empty())?;
    let is_foreign = Scope::parse(asked).is_ok_and(|scope| scope.within(&client.scope).is_empty());
    (!(is_foreign && client.is_unvouched())).then_some(asked)
}

/// The part of the requested scope that is `registered`; by default all of it. Others are left out where one is left
/// (OIDC Core §3.1.2.1, RFC 6749 §3.3): clients ask for what other issuers have.
pub(in crate::services) fn narrow(asked: Option<&str>, registered: &Scope) -> Result<Scope, GrantError> {
    let Some(asked) = asked else { return Ok(registered.clone()) };
    let scope = Scope::parse_within(asked, registered).map_err(|_| GrantError::InvalidScope)?;
    if scope.is_empty() { Err(GrantError::InvalidScope) } else { Ok(scope) }
}

/// The resource that is asked for, as it was registered.
///
/// # Errors
/// [`GrantError::InvalidTarget`] if the client may not ask for it, or asks for two.
pub(in crate::services) fn target(
    issue: &TokenIssuer,
    client: &Client,
    asked: Option<&str>,
) -> Result<Option<String>, GrantError> {
    let Some(asked) = asked else { return Ok(None) };
    let resource = resource::only_one(asked).and_then(|resource| issue.target(client, resource));
    resource.map(|resource| Some(resource.to_owned())).ok_or(GrantError::InvalidTarget)
}
