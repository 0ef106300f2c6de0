//! Authorization server metadata (RFC 8414), under its own name and OpenID Connect Discovery's.

use poem_openapi::{Object, OpenApi, param::Header, types::Example, types::ToJSON};

use crate::{
    domain::{client::AuthenticationMethod, oauth::GrantType, signing_key::SigningAlgorithm},
    flow::published_keys::Tagged,
    http::document::Document,
};

/// Authorization server metadata.
pub(in crate::http) struct MetadataApi {
    document: Tagged,
}

/// Authorization server metadata (RFC 8414 §2). It lists only what works.
#[derive(Debug, Object)]
#[oai(rename = "Metadata", example)]
struct Metadata {
    /// The `iss` of every token.
    issuer: String,
    /// Where grants turn into tokens.
    token_endpoint: String,
    /// Where the public keys are.
    jwks_uri: String,
    /// Where tokens are revoked (RFC 7009).
    revocation_endpoint: String,
    /// How clients may authenticate there.
    revocation_endpoint_auth_methods_supported: Vec<String>,
    /// Where tokens are described (RFC 7662).
    introspection_endpoint: String,
    /// How clients may authenticate there.
    introspection_endpoint_auth_methods_supported: Vec<String>,
    /// Where a token's user is described (OIDC Discovery §3).
    userinfo_endpoint: String,
    /// The values of `scope` that the built-in client may ask for.
    scopes_supported: Vec<String>,
    /// The values of `response_type`; none, since there is no authorization endpoint.
    response_types_supported: Vec<String>,
    /// The values of `grant_type`.
    grant_types_supported: Vec<String>,
    /// How clients may authenticate at the token endpoint.
    token_endpoint_auth_methods_supported: Vec<String>,
    /// How access tokens are signed (a member of ours: RFC 8414 has none for it).
    access_token_signing_alg_values_supported: Vec<String>,
    /// Where people read how to use the service.
    service_documentation: String,
}

impl Metadata {
    fn of(issuer: &str, algorithm: SigningAlgorithm) -> Self {
        let public = [
            AuthenticationMethod::None.as_str(),
            AuthenticationMethod::ClientSecretBasic.as_str(),
            AuthenticationMethod::ClientSecretPost.as_str(),
        ];
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: format!("{issuer}/oauth/token"),
            jwks_uri: format!("{issuer}/.well-known/jwks.json"),
            revocation_endpoint: format!("{issuer}/oauth/revoke"),
            revocation_endpoint_auth_methods_supported: words(&public),
            introspection_endpoint: format!("{issuer}/oauth/introspect"),
            introspection_endpoint_auth_methods_supported: words(&public[1..]),
            userinfo_endpoint: format!("{issuer}/oauth/userinfo"),
            scopes_supported: words(&["openid", "profile", "email", "offline_access"]),
            response_types_supported: Vec::new(),
            grant_types_supported: words(&[
                GrantType::Password.as_str(),
                GrantType::RefreshToken.as_str(),
                GrantType::ClientCredentials.as_str(),
            ]),
            token_endpoint_auth_methods_supported: words(&public),
            access_token_signing_alg_values_supported: words(&[algorithm.as_str()]),
            service_documentation: format!("{issuer}/docs"),
        }
    }
}

impl Example for Metadata {
    fn example() -> Self {
        Self::of("https://id.example.com", SigningAlgorithm::ES256)
    }
}

/// How long caches may keep the metadata, in seconds: it changes with the configuration alone.
const MAX_AGE: i64 = 3600;

impl MetadataApi {
    /// The metadata of this issuer.
    pub(in crate::http) fn new(issuer: &str, algorithm: SigningAlgorithm) -> Self {
        Self { document: Tagged::of(Metadata::of(issuer, algorithm).to_json_string()) }
    }

    fn answer(&self, if_none_match: Option<&str>) -> Document<Metadata> {
        Document::new(self.document.clone(), MAX_AGE, if_none_match)
    }
}

/// What this authorization server can do.
#[OpenApi(tag = "crate::http::docs::Tag::OAuth")]
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
