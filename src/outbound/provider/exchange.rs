//! The requests of one login to a provider: the authorization request, the exchange of its code, and user info.

use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    domain::identity::ProviderKind,
    outbound::provider::{
        Metadata, Provider,
        fetch::{Fetcher, ProviderError},
        token_answer,
        user_info::{self, UserInfo},
    },
};

/// The values of one authorization request.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The `state`, which comes back with the response.
    pub state: &'a str,
    /// The `nonce`, which comes back in the ID token.
    pub nonce: &'a str,
    /// The PKCE code verifier, sent when the code is exchanged (RFC 7636).
    pub verifier: &'a SecretString,
    /// Whether the provider must authenticate the person again, even if they are still logged in there.
    pub fresh: bool,
}

/// The result of exchanging a code.
#[derive(Debug)]
pub struct Grant {
    /// For the user-info endpoint.
    pub access_token: SecretString,
    /// The ID token, if the provider signs any.
    pub id_token: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct IdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

type Client<HasAuthUrl, HasTokenUrl> = oauth2::Client<
    BasicErrorResponse,
    StandardTokenResponse<IdToken, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    HasAuthUrl,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    HasTokenUrl,
>;

impl Provider {
    /// The URL that sends a person to log in at the provider.
    ///
    /// # Errors
    /// [`ProviderError`] if the metadata cannot be read.
    pub async fn authorization_url(&self, asking: &Asking<'_>) -> Result<Url, ProviderError> {
        let metadata = self.metadata().await?;
        let verifier = PkceCodeVerifier::new(asking.verifier.expose_secret().to_owned());
        let client = self.client(&metadata)?;
        let mut request = client
            .authorize_url(|| CsrfToken::new(asking.state.to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.scopes().into_iter().map(Scope::new));
        if self.signs() {
            request = request.add_extra_param("nonce", asking.nonce);
        }
        for (name, value) in self.preset.fresh.iter().filter(|_| asking.fresh) {
            request = request.add_extra_param(*name, *value);
        }
        if self.preset.form_post {
            request = request.add_extra_param("response_mode", "form_post");
        }
        Ok(request.url().0)
    }

    /// Exchanges a code, authenticated by our client `secret`.
    pub async fn exchange(
        &self,
        code: &str,
        verifier: &SecretString,
        secret: &SecretString,
    ) -> Result<Grant, ProviderError> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata)?.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        let answer = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
            .request_async(&Transport(&self.fetcher))
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(_) => ProviderError::Refused,
                RequestTokenError::Request(error) => error,
                // Both errors may quote the answer, so they are dropped.
                RequestTokenError::Parse(..) | RequestTokenError::Other(_) => ProviderError::Garbage("a token answer"),
            })?;
        Ok(Grant {
            access_token: answer.access_token().secret().clone().into(),
            id_token: answer.extra_fields().id_token.clone(),
        })
    }

    /// The person's identity by the user-info endpoint; `None` if the provider has no such endpoint.
    pub async fn user_info(&self, access_token: &SecretString) -> Result<Option<UserInfo>, ProviderError> {
        let metadata = self.metadata().await?;
        let Some(url) = &metadata.userinfo else { return Ok(None) };
        let token = Some(access_token.expose_secret());
        let mut info = user_info::read(self.kind(), &self.fetcher.get(url, token).await?)?;
        if self.kind() == ProviderKind::Github {
            let mut emails = url.clone();
            emails.path_segments_mut().map_err(|()| ProviderError::Garbage("an address"))?.push("emails");
            // A person who did not grant `user:email` logs in without an email address.
            match self.fetcher.get(&emails, token).await {
                Ok(json) => {
                    if let Some((email, verified)) = user_info::primary_email(&json)? {
                        info.profile.email = Some(email);
                        info.profile.email_verified = verified;
                    }
                }
                Err(ProviderError::Refused) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(Some(info))
    }

    fn scopes(&self) -> Vec<String> {
        let given = &self.settings.scopes;
        let own = || self.preset.scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let mut scopes: Vec<String> = if given.is_empty() { own() } else { given.clone() };
        if self.signs() && !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        scopes
    }

    fn client(&self, metadata: &Metadata) -> Result<Client<EndpointSet, EndpointSet>, ProviderError> {
        let redirect = RedirectUrl::new(self.settings.redirect_uri.clone());
        let redirect = redirect.map_err(|_| ProviderError::Garbage("our redirect URI"))?;
        let way = if metadata.in_form { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(oauth2::Client::new(ClientId::new(self.settings.client_id.clone()))
            .set_auth_type(way)
            .set_auth_uri(AuthUrl::from_url(metadata.authorize.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token.clone()))
            .set_redirect_uri(redirect))
    }
}

/// Sends the `oauth2` crate's requests through our [`Fetcher`].
struct Transport<'f>(&'f Fetcher);

impl<'c> AsyncHttpClient<'c> for Transport<'_> {
    type Error = ProviderError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, ProviderError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { self.0.fetch(request).await.map(token_answer::canonical) })
    }
}
