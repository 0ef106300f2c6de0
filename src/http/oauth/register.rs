//! The client registration endpoint (RFC 7591) and the client configuration endpoint (RFC 7592).

use std::borrow::Cow;

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::Path,
    payload::Json,
    registry::{MetaSchemaRef, Registry},
    types::{Example, Type},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    domain::{client::ApplicationType, client_members::Members},
    http::{
        errors::{failure::BearerRefusal, oauth::OAuthError},
        extract::{bearer, body::JsonBody},
    },
    services::clients::{
        Registered,
        register::{RegisterClient, RegisteredClient},
    },
};

/// The endpoints.
pub(in crate::http) struct RegisterApi {
    pub(in crate::http) register_client: RegisterClient,
    pub(in crate::http) issuer: String,
}

/// What a client says of itself (RFC 7591 §2, OIDC Registration §2). Other members are passed over, but for those that
/// would make it believe itself safer than it is, such as `id_token_encrypted_response_alg`. `null`, empty strings and
/// empty lists count as not sent; a string is read as a list of one.
#[derive(Object)]
#[oai(rename = "ClientMetadata", example)]
pub(in crate::http) struct MetadataBody {
    /// Where codes may be sent: https, or for native clients http to a loopback host and schemes of their own.
    redirect_uris: Option<Vec<String>>,
    /// `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`. Without it, a client whose redirect URIs are
    /// on the user's own device is public (`none`), and any other has `client_secret_basic`.
    token_endpoint_auth_method: Option<String>,
    /// The algorithm of its assertions: `ES256`, `EdDSA`, `RS256` or `PS256`. Its keys decide.
    token_endpoint_auth_signing_alg: Option<String>,
    /// `authorization_code` (the default), and `refresh_token`; others are left away.
    grant_types: Option<Vec<String>>,
    /// `code`; others are left away.
    response_types: Option<Vec<String>>,
    /// The name that people read on the consent page, without symbols and of 100 bytes at most.
    client_name: Option<String>,
    /// Of `openid`, `profile`, `email` and `offline_access` one or more; others are left away. All of them where none is
    /// left.
    scope: Option<String>,
    /// Its public keys, a JWK set, for `private_key_jwt`; others have none.
    jwks: Option<Value>,
    /// `web` or `native`; what its redirect URIs tell where it is left out.
    application_type: Option<String>,
    /// `public`.
    subject_type: Option<String>,
    /// The algorithm of its ID tokens: `RS256` (the default, and in place of others), `ES256` or `EdDSA`.
    id_token_signed_response_alg: Option<String>,
    /// Where a logout may return to.
    post_logout_redirect_uris: Option<Vec<String>>,
    /// Its id, in a change: it must be the one in the path.
    client_id: Option<String>,
    /// Its secret, in a change: it must be the one that it has.
    client_secret: Option<String>,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The public key of RFC 8037 appendix A.2, in a set.
fn example_keys() -> Value {
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] })
}

impl Example for MetadataBody {
    fn example() -> Self {
        Self {
            redirect_uris: Some(words(&["https://app.example.com/callback"])),
            token_endpoint_auth_method: Some("client_secret_basic".to_owned()),
            token_endpoint_auth_signing_alg: None,
            grant_types: Some(words(&["authorization_code", "refresh_token"])),
            response_types: Some(words(&["code"])),
            client_name: Some("Example".to_owned()),
            scope: Some("openid profile".to_owned()),
            jwks: Some(example_keys()),
            application_type: Some("web".to_owned()),
            subject_type: Some("public".to_owned()),
            id_token_signed_response_alg: Some("RS256".to_owned()),
            post_logout_redirect_uris: Some(words(&["https://app.example.com/"])),
            client_id: None,
            client_secret: None,
        }
    }
}

/// The body of a request: [`MetadataBody`] describes it. It is read when the sender is known.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(in crate::http) struct MetadataMembers(Members);

// What the OpenAPI document says of it. Parsing goes by serde.
impl Type for MetadataMembers {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        MetadataBody::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetadataBody::schema_ref()
    }

    fn register(registry: &mut Registry) {
        MetadataBody::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

/// A registered client (RFC 7591 §3.2.1): all that is registered of it.
#[derive(Debug, Object)]
#[oai(rename = "ClientInformation", example, skip_serializing_if_is_none)]
struct Information {
    /// Its id.
    client_id: String,
    /// Its secret, in the answer that gives it one; never again.
    client_secret: Option<String>,
    /// When it was registered, in seconds since 1970.
    client_id_issued_at: i64,
    /// 0: the secret does not run out. Where there is one in the answer.
    client_secret_expires_at: Option<i64>,
    /// The bearer token that shows, changes and deletes the client.
    registration_access_token: String,
    /// Where.
    registration_client_uri: String,
    /// Where codes may be sent.
    redirect_uris: Vec<String>,
    /// How it proves who it is.
    token_endpoint_auth_method: String,
    /// The grants that it may use.
    grant_types: Vec<String>,
    /// The response types that it may use.
    response_types: Vec<String>,
    /// The name that people read on the consent page.
    client_name: String,
    /// The scope that it may ask for.
    scope: String,
    /// Its public keys.
    jwks: Option<Value>,
    /// `web` or `native`.
    application_type: Option<String>,
    /// `public`.
    subject_type: String,
    /// The algorithm of its ID tokens.
    id_token_signed_response_alg: String,
    /// Where a logout may return to.
    post_logout_redirect_uris: Vec<String>,
}

impl Example for Information {
    fn example() -> Self {
        Self {
            client_id: "c-QhMqFwIo8m5pXbW2xkNf0g".to_owned(),
            client_secret: Some("43 characters, shown this once".to_owned()),
            client_id_issued_at: 1_800_000_000,
            client_secret_expires_at: Some(0),
            registration_access_token: "43 characters".to_owned(),
            registration_client_uri: "https://id.example.com/oauth/register/c-QhMqFwIo8m5pXbW2xkNf0g".to_owned(),
            redirect_uris: words(&["https://app.example.com/callback"]),
            token_endpoint_auth_method: "client_secret_basic".to_owned(),
            grant_types: words(&["refresh_token", "authorization_code"]),
            response_types: words(&["code"]),
            client_name: "Example".to_owned(),
            scope: "openid profile".to_owned(),
            jwks: Some(example_keys()),
            application_type: Some("web".to_owned()),
            subject_type: "public".to_owned(),
            id_token_signed_response_alg: "RS256".to_owned(),
            post_logout_redirect_uris: words(&["https://app.example.com/"]),
        }
    }
}

impl Information {
    fn of(issuer: &str, registration: RegisteredClient) -> Self {
        let RegisteredClient { registered: Registered { client, secret }, token } = registration;
        Self {
            client_secret_expires_at: secret.as_ref().map(|_| 0),
            client_secret: secret.map(|secret| secret.expose_secret().to_owned()),
            client_id_issued_at: client.created_at.timestamp(),
            registration_access_token: token.expose_secret().to_owned(),
            registration_client_uri: format!("{issuer}/oauth/register/{}", client.id),
            token_endpoint_auth_method: client.authentication.as_str().to_owned(),
            grant_types: client.grants.iter().map(|grant| grant.as_str().to_owned()).collect(),
            response_types: words(&["code"]),
            scope: client.scope.to_string(),
            jwks: client.jwks.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            application_type: client.application_type.map(|kind| ApplicationType::as_str(kind).to_owned()),
            subject_type: "public".to_owned(),
            id_token_signed_response_alg: client.id_token_algorithm().as_str().to_owned(),
            client_id: client.id.into(),
            client_name: client.name,
            redirect_uris: client.redirect_uris,
            post_logout_redirect_uris: client.post_logout_redirect_uris,
        }
    }
}

/// The client is registered.
#[derive(ApiResponse)]
enum Made {
    /// The registered metadata, which may be less than the request.
    #[oai(status = 201)]
    Created(Json<Information>),
}

/// The client is gone.
#[derive(ApiResponse)]
enum Gone {
    /// With its sessions, its secret and its registration access token.
    #[oai(status = 204)]
    Done,
}

/// The bearer token of a request, where it has one: an initial or a registration access token.
struct RegistrationToken(Option<SecretString>);

impl<'a> FromRequest<'a> for RegistrationToken {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        match bearer::token(request) {
            Ok(token) => Ok(Self(Some(token))),
            Err(BearerRefusal::Missing) => Ok(Self(None)),
            Err(_) => Err(OAuthError::invalid_token().into()),
        }
    }
}

/// Client registration.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl RegisterApi {
    /// Client registration endpoint (RFC 7591)
    ///
    /// Registers a third party's client. There only where the operator turned `client_registration` on, 404 else; where
    /// they set an initial access token, it comes as a bearer token.
    #[oai(path = "/oauth/register", method = "post", operation_id = "register_client")]
    async fn register(&self, token: RegistrationToken, body: JsonBody<MetadataMembers>) -> Result<Made, OAuthError> {
        let registration = self.register_client.run(token.0.as_ref(), body.0.0).await?;
        Ok(Made::Created(Json(Information::of(&self.issuer, registration))))
    }

    /// A registered client (RFC 7592 §2.1)
    ///
    /// Takes the registration access token as a bearer token. The secret is not shown again.
    #[oai(path = "/oauth/register/:client_id", method = "get", operation_id = "registered_client")]
    async fn show(
        &self,
        token: RegistrationToken,
        /// The client's id.
        client_id: Path<String>,
    ) -> Result<Json<Information>, OAuthError> {
        let registration = self.register_client.find(&client_id.0, token.0).await?;
        Ok(Json(Information::of(&self.issuer, registration)))
    }

    /// Change a registered client (RFC 7592 §2.2)
    ///
    /// Takes the registration access token as a bearer token, and replaces all that is registered: what is left out
    /// gets its default. A client that comes to have a secret is given one.
    #[oai(path = "/oauth/register/:client_id", method = "put", operation_id = "change_registered_client")]
    async fn change(
        &self,
        token: RegistrationToken,
        /// The client's id.
        client_id: Path<String>,
        body: JsonBody<MetadataMembers>,
    ) -> Result<Json<Information>, OAuthError> {
        let registration = self.register_client.replace(&client_id.0, token.0, body.0.0).await?;
        Ok(Json(Information::of(&self.issuer, registration)))
    }

    /// Delete a registered client (RFC 7592 §2.3)
    ///
    /// Takes the registration access token as a bearer token. The client's sessions end.
    #[oai(path = "/oauth/register/:client_id", method = "delete", operation_id = "delete_registered_client")]
    async fn delete(
        &self,
        token: RegistrationToken,
        /// The client's id.
        client_id: Path<String>,
    ) -> Result<Gone, OAuthError> {
        self.register_client.delete(&client_id.0, token.0).await?;
        Ok(Gone::Done)
    }
}
