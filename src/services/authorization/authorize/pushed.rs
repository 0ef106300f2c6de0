//! Pushed authorization requests (RFC 9126): a client hands its parameters over itself, and the browser carries a
//! reference. Ours is the parameters themselves, sealed, so that nothing is kept and any replica reads it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        authorization_request::{
            AuthorizationErrorCode, AuthorizationRefusal, AuthorizationRequest, Parameters, ResponseMode,
        },
        client::Client,
        redirect_uri,
    },
    services::authorization::authorize::{Authorize, AuthorizeError},
};

/// A request that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the browser carries (§2.2).
    pub request_uri: String,
    /// How many seconds it is good.
    pub expires_in: i64,
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The redirect URI is missing, or not the client's.
    #[error("redirect_uri is not one of this client's")]
    RedirectUri,
    /// Another client is named than the one that pushes.
    #[error("client_id names another client")]
    Client,
    /// All of it together is too long for an address line.
    #[error("the request is too long")]
    TooLong,
    /// A parameter cannot be taken.
    #[error("{}", .0.description)]
    Refused(AuthorizationRefusal),
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    client_id: String,
    parameters: Parameters,
    pushed_at: DateTime<Utc>,
}

/// What requests are sealed for.
const CONTEXT: &str = "pushed authorization request";
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// How long the browser may take to come with it.
const LIFETIME: TimeDelta = TimeDelta::seconds(60);
/// The longest reference, in bytes: with the rest of a request it stays within what proxies take.
const MAX_LENGTH: usize = 6 * 1024;

impl Authorize {
    /// Takes the request of `client`, which has proved who it is.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn push(&self, client: &Client, parameters: Parameters) -> Result<Pushed, PushError> {
        if parameters.client_id.as_deref().is_some_and(|id| id != client.id.as_str()) {
            return Err(PushError::Client);
        }
        let uri = parameters.redirect_uri.clone();
        let uri =
            uri.filter(|uri| redirect_uri::is_registered(&client.redirect_uris, uri)).ok_or(PushError::RedirectUri)?;
        let mode = ResponseMode::parse(parameters.response_mode.as_deref()).map_err(PushError::Refused)?;
        let request = AuthorizationRequest::parse(client.id.clone(), uri, mode, parameters.clone());
        let request = request.map_err(PushError::Refused)?;
        self.permit(client, &request).map_err(PushError::Refused)?;
        let kept = Kept { client_id: client.id.to_string(), parameters, pushed_at: self.clock.now() };
        let request_uri = format!("{PREFIX}{}", self.sealer.seal(CONTEXT, &kept));
        if request_uri.len() > MAX_LENGTH {
            return Err(PushError::TooLong);
        }
        Ok(Pushed { request_uri, expires_in: LIFETIME.num_seconds() })
    }

    /// The parameters that a request stands for: its own, or those that it refers to, and none beside them (§4).
    pub(in crate::services) fn unpushed(&self, parameters: Parameters) -> Result<Parameters, AuthorizeError> {
        let Some(sealed) = parameters.request_uri.as_deref().and_then(|uri| uri.strip_prefix(PREFIX)) else {
            return Ok(parameters);
        };
        let kept: Option<Kept> = self.sealer.open(CONTEXT, sealed);
        let kept = kept.filter(|kept| self.clock.now() < kept.pushed_at + LIFETIME).ok_or(AuthorizeError::Expired)?;
        if parameters.client_id.as_deref() != Some(kept.client_id.as_str()) {
            return Err(AuthorizeError::UnknownClient);
        }
        Ok(Parameters { client_id: Some(kept.client_id), ..kept.parameters })
    }
}

impl PushError {
    /// The error code (§2.3).
    #[must_use]
    pub fn code(&self) -> AuthorizationErrorCode {
        match self {
            Self::RedirectUri | Self::Client | Self::TooLong => AuthorizationErrorCode::InvalidRequest,
            Self::Refused(refusal) => refusal.code,
        }
    }
}
