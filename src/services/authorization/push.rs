//! Pushed authorization requests (RFC 9126): a client sends its parameters directly, and the browser carries a
//! reference. The reference is the sealed parameters, so that nothing is stored and any replica can read it.

use crate::{
    domain::{
        authorization_request::{
            AuthorizationErrorCode, AuthorizationRefusal, AuthorizationRequest, Parameters, ResponseMode,
        },
        client::Client,
    },
    services::authorization::{
        authorize::Authorize, pending_request::PendingAuthorization, pushed_request::PushedRequest,
    },
};

/// A request that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The reference that the browser carries (§2.2).
    pub request_uri: String,
    /// In seconds.
    pub expires_in: i64,
}

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    #[error("redirect_uri is missing, or not one of this client's")]
    RedirectUri,
    /// A reference within the request (RFC 9126 §2.1).
    #[error("request_uri is not pushed: push the parameters themselves")]
    RequestUri,
    #[error("the request is too long")]
    TooLong,
    #[error("{}", .0.description)]
    Refused(AuthorizationRefusal),
}

/// The longest reference, in bytes: with the rest of a request it stays within the limits of proxies.
const MAX_LENGTH: usize = 6 * 1024;

impl Authorize {
    /// Accepts the request of `client`, which has authenticated.
    pub fn push(&self, client: &Client, parameters: Parameters) -> Result<Pushed, PushError> {
        if parameters.request_uri.is_some() {
            return Err(PushError::RequestUri);
        }
        let target = parameters.redirect_target(client).ok_or(PushError::RedirectUri)?;
        let mode = ResponseMode::parse(parameters.response_mode.as_deref()).map_err(PushError::Refused)?;
        let request = AuthorizationRequest::parse(client, target, mode, parameters.clone());
        let request = request.map_err(PushError::Refused)?;
        self.permit(client, &request).map_err(PushError::Refused)?;
        // A request too long to be sealed later is refused here, where the developer of the client sees it.
        let name = PushedRequest::name("");
        let pending = PendingAuthorization {
            request: AuthorizationRequest { id_token_hint: None, ..request },
            browser: name.clone(),
            asked_at: self.clock.now(),
            reference: Some(name),
            meant: None,
            account_chosen: false,
            pressed: false,
        };
        if !pending.request.prompt.none && !pending.can_travel(&self.sealer) {
            return Err(PushError::TooLong);
        }
        let pushed = PushedRequest { client_id: client.id.to_string(), parameters, pushed_at: self.clock.now() };
        let request_uri = pushed.request_uri(&self.sealer);
        if request_uri.len() > MAX_LENGTH {
            return Err(PushError::TooLong);
        }
        Ok(Pushed { request_uri, expires_in: PushedRequest::LIFETIME.num_seconds() })
    }
}

impl PushError {
    /// The error code (§2.3).
    #[must_use]
    pub fn code(&self) -> AuthorizationErrorCode {
        match self {
            Self::RedirectUri | Self::RequestUri | Self::TooLong => AuthorizationErrorCode::InvalidRequest,
            Self::Refused(refusal) => refusal.code,
        }
    }
}
