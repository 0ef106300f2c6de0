//! The client and the redirect URI of an authorization request. Until both are known, the browser is not sent on.

use crate::{
    domain::{
        authorization_request::{AuthorizationRequest, Parameters, RedirectTarget},
        client::Client,
        document_url,
        ids::ClientId,
    },
    services::{
        authorization::authorize::{Authorize, AuthorizeError},
        clients::documents::DocumentRefusal,
    },
    store::clients,
};

impl Authorize {
    /// Finds the client and the redirect URI. Until both are valid, the browser is not redirected.
    pub(super) async fn parties(&self, parameters: &Parameters) -> Result<(Client, RedirectTarget), AuthorizeError> {
        let text = parameters.client_id.as_deref().ok_or(AuthorizeError::UnknownClient)?;
        if self.documents.is_some() && document_url::is_url(text) {
            document_url::parse(text).map_err(|why| AuthorizeError::Document(DocumentRefusal::Url(why)))?;
        }
        let id = ClientId::parse(text).map_err(|_| AuthorizeError::UnknownClient)?;
        let client = self.find(&id).await?;
        let target = parameters.redirect_target(&client).ok_or(AuthorizeError::RedirectUri)?;
        Ok((client, target))
    }

    /// The client of a request that was valid before; it may have been deleted or changed since.
    pub(super) async fn client(&self, request: &AuthorizationRequest) -> Result<Client, AuthorizeError> {
        let client = self.find(&request.client).await?;
        if client.may_redirect_to(&request.redirect_uri) { Ok(client) } else { Err(AuthorizeError::RedirectUri) }
    }

    async fn find(&self, id: &ClientId) -> Result<Client, AuthorizeError> {
        match &self.documents {
            Some(documents) if id.is_url() => Ok(documents.find(id).await?),
            None if id.is_url() => Err(AuthorizeError::UnknownClient),
            Some(_) | None => {
                let found = clients::find(&self.db, id).await?;
                found.map(|(client, _)| client).ok_or(AuthorizeError::UnknownClient)
            }
        }
    }
}
