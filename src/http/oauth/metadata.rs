//! Authorization server metadata (RFC 8414), under its own name and OpenID Connect Discovery's.

use poem_openapi::{Object, OpenApi, param::Header, types::Example, types::ToJSON};

use crate::{
    domain::{
        client::AuthenticationMethod, client_assertion, client_registration::SCOPES, oauth::GrantType,
        session::CONTEXT_CLASSES, signing_key::SigningAlgorithm,
    },
    http::openapi::document::Document,
    services::{authorization::authorize::Authorize, clients::register::RegisterClient, keys::published::ETagged},
};

/// Authorization server metadata.
pub(in crate::http) struct MetadataApi {
    pub(in crate::http) document: ETagged,
}

/// Authorization server metadata (RFC 8414 §2, OIDC Discovery §3). It lists only what works.
#[derive(Debug, Object)]
#[oai(rename = "Metadata", example)]
#[expect(clippy::struct_excessive_bools, reason = "the standards have a member for each")]
struct Metadata {
    /// The `iss` of every token.
    issuer: String,
    /// Where people are sent to log in.
    authorization_endpoint: String,
    /// Where a client may send its request before (RFC 9126).
    pushed_authorization_request_endpoint: String,
    /// Where grants turn into tokens.
    token_endpoint: String,
    /// Where the public keys are.
    jwks_uri: String,
    /// Where a client sends people to log out (OIDC RP-Initiated Logout 1.0).
    end_session_endpoint: String,
    /// Whether clients are notified of logouts (OIDC Back-Channel Logout 1.0).
    backchannel_logout_supported: bool,
    /// Whether the notification names the session that has ended.
    backchannel_logout_session_supported: bool,
    /// Where clients register themselves (RFC 7591), if they may.
    #[oai(skip_serializing_if_is_none)]
    registration_endpoint: Option<String>,
    /// Whether the https URL of a client's metadata is a client id (draft-ietf-oauth-client-id-metadata-document).
    #[oai(skip_serializing_if_is_none)]
    client_id_metadata_document_supported: Option<bool>,
    /// Where tokens are revoked (RFC 7009).
    revocation_endpoint: String,
    /// How clients may authenticate there.
    revocation_endpoint_auth_methods_supported: Vec<String>,
    /// The algorithms that may sign their assertions there.
    revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where tokens are described (RFC 7662).
    introspection_endpoint: String,
    /// How clients may authenticate there.
    introspection_endpoint_auth_methods_supported: Vec<String>,
    /// The algorithms that may sign their assertions there.
    introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where a token's user is described (OIDC Discovery §3).
    userinfo_endpoint: String,
    /// The values of `scope` that say who somebody is; operators register others.
    scopes_supported: Vec<String>,
    /// The values of `response_type`.
    response_types_supported: Vec<String>,
    /// The values of `response_mode`.
    response_modes_supported: Vec<String>,
    /// The values of `grant_type`; `password` for the operator's own clients alone.
    grant_types_supported: Vec<String>,
    /// The values of `prompt` (Initiating User Registration via OpenID Connect 1.0).
    prompt_values_supported: Vec<String>,
    /// The values of `code_challenge_method` (RFC 7636); PKCE is required.
    code_challenge_methods_supported: Vec<String>,
    /// Whether a `sub` is the same for every client.
    subject_types_supported: Vec<String>,
    /// How much a login can prove (`acr`): `1` is one factor.
    acr_values_supported: Vec<String>,
    /// The claims that ID tokens and userinfo may have.
    claims_supported: Vec<String>,
    /// How ID tokens may be signed: RS256, unless the client registered another. Access tokens are signed with one of
    /// them, too.
    id_token_signing_alg_values_supported: Vec<String>,
    /// How clients may authenticate at the token endpoint, and where they push requests.
    token_endpoint_auth_methods_supported: Vec<String>,
    /// The algorithms that may sign their assertions (`private_key_jwt`).
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Whether answers of the authorization endpoint say whose they are (RFC 9207).
    authorization_response_iss_parameter_supported: bool,
    /// Whether `claims` is taken (OIDC Core §5.5).
    claims_parameter_supported: bool,
    /// Whether `request` is taken (OIDC Core §6.1).
    request_parameter_supported: bool,
    /// Whether a `request_uri` is taken that was not pushed here (OIDC Core §6.2).
    request_uri_parameter_supported: bool,
    /// Where people read how to use the service.
    service_documentation: String,
}

/// The claims of ID tokens and userinfo.
const CLAIMS: [&str; 16] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "amr",
    "acr",
    "nonce",
    "at_hash",
    "sid",
    "name",
    "preferred_username",
    "email",
    "email_verified",
    "roles",
];

impl Metadata {
    fn of(issuer: &str, registration: Option<&str>, documents: Option<bool>) -> Self {
        let methods = [
            AuthenticationMethod::None.as_str(),
            AuthenticationMethod::ClientSecretBasic.as_str(),
            AuthenticationMethod::ClientSecretPost.as_str(),
            AuthenticationMethod::PrivateKeyJwt.as_str(),
        ];
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let at = |path: &str| format!("{issuer}{path}");
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: at("/oauth/authorize"),
            pushed_authorization_request_endpoint: at("/oauth/par"),
            token_endpoint: at("/oauth/token"),
            jwks_uri: at("/.well-known/jwks.json"),
            registration_endpoint: registration.map(at),
            client_id_metadata_document_supported: documents,
            revocation_endpoint: at("/oauth/revoke"),
            revocation_endpoint_auth_methods_supported: words(&methods),
            revocation_endpoint_auth_signing_alg_values_supported: words(&client_assertion::ALGORITHMS),
            introspection_endpoint: at("/oauth/introspect"),
            // All but `none`: a client must authenticate.
            introspection_endpoint_auth_methods_supported: words(&methods[1..]),
            introspection_endpoint_auth_signing_alg_values_supported: words(&client_assertion::ALGORITHMS),
            userinfo_endpoint: at("/oauth/userinfo"),
            end_session_endpoint: at("/oauth/logout"),
            backchannel_logout_supported: true,
            backchannel_logout_session_supported: true,
            scopes_supported: words(&SCOPES),
            response_types_supported: words(&["code"]),
            response_modes_supported: words(&["query", "form_post"]),
            grant_types_supported: words(&GrantType::ALL.map(GrantType::as_str)),
            prompt_values_supported: words(&["none", "login", "consent", "select_account"]),
            code_challenge_methods_supported: words(&["S256"]),
            subject_types_supported: words(&["public"]),
            acr_values_supported: words(&CONTEXT_CLASSES),
            claims_supported: words(&CLAIMS),
            id_token_signing_alg_values_supported: words(&[
                SigningAlgorithm::RS256.as_str(),
                SigningAlgorithm::ES256.as_str(),
                SigningAlgorithm::EdDSA.as_str(),
            ]),
            token_endpoint_auth_methods_supported: words(&methods),
            token_endpoint_auth_signing_alg_values_supported: words(&client_assertion::ALGORITHMS),
            authorization_response_iss_parameter_supported: true,
            claims_parameter_supported: false,
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
            service_documentation: at("/docs"),
        }
    }
}

impl Example for Metadata {
    fn example() -> Self {
        Self::of("https://id.example.com", Some(REGISTRATION), Some(true))
    }
}

/// Where clients register themselves.
const REGISTRATION: &str = "/oauth/register";

/// How long caches may keep the metadata, in seconds: it changes with the configuration alone.
pub(in crate::http) const MAX_AGE: i64 = 3600;
/// Where the metadata is.
pub(in crate::http) const PATHS: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

impl MetadataApi {
    /// The metadata of this issuer.
    pub(in crate::http) fn new(issuer: &str, register_client: &RegisterClient, authorize: &Authorize) -> Self {
        let registration = register_client.is_on().then_some(REGISTRATION);
        let documents = authorize.documents.is_some().then_some(true);
        Self { document: ETagged::of(Metadata::of(issuer, registration, documents).to_json_string()) }
    }

    fn answer(&self, if_none_match: Option<&str>) -> Document<Metadata> {
        Document::new(&self.document, MAX_AGE, if_none_match)
    }
}

/// The capabilities of this authorization server.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl MetadataApi {
    /// Authorization server metadata (RFC 8414)
    #[expect(clippy::unused_async, reason = "handlers are async, whether they wait or not")]
    #[oai(path = "/.well-known/oauth-authorization-server", method = "get", operation_id = "metadata")]
    async fn oauth(
        &self,
        /// The entity tag of the copy that the caller has.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Document<Metadata> {
        self.answer(if_none_match.0.as_deref())
    }

    /// The same under OpenID Connect Discovery's name
    #[expect(clippy::unused_async, reason = "handlers are async, whether they wait or not")]
    #[oai(path = "/.well-known/openid-configuration", method = "get", operation_id = "openid_configuration")]
    async fn openid(
        &self,
        /// The entity tag of the copy that the caller has.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Document<Metadata> {
        self.answer(if_none_match.0.as_deref())
    }
}
