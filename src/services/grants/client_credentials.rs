//! The client credentials grant (RFC 6749 §4.4), for confidential clients.

use std::sync::Arc;

use crate::{
    domain::{client::Client, clock::Clock, oauth::GrantType},
    services::{
        audit::Event,
        grants::{
            Asked, GrantError, counted, narrow, permit, target,
            token_issuer::{ClientToken, TokenIssuer},
        },
    },
};

/// Issues clients' own tokens.
#[derive(Debug, Clone)]
pub struct ClientCredentials {
    pub issue: TokenIssuer,
    pub clock: Arc<dyn Clock>,
}

/// Scopes about a user or a refresh token; a client's own token has neither.
const USER_SCOPES: [&str; 2] = ["openid", "offline_access"];

impl ClientCredentials {
    /// Issues a token to `client`, which has authenticated.
    pub fn run(&self, client: &Client, asked: Asked<'_>) -> Result<ClientToken, GrantError> {
        permit(client, GrantType::ClientCredentials)?;
        // A public client proves nothing, so it has no credentials to exchange (RFC 6749 §4.4.2).
        if !client.is_confidential() {
            return Err(GrantError::UnauthorizedClient);
        }
        let scope = narrow(counted(client, asked.scope), &client.scope.clone().without(&USER_SCOPES))?;
        let resource = target(&self.issue, client, asked.resource)?;
        let token = self.issue.client_token(client, scope, resource.as_deref(), self.clock.now())?;
        Event::done("client_credentials").client(&client.id).record();
        Ok(token)
    }
}
