//! How a client says who it is (RFC 6749 §2.3.1, RFC 7521 §4.2): in the `Authorization` field or in the form, never in
//! both.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions, Object,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, MetaSecurityScheme, Registry},
    types::{Example, Type},
};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    domain::{
        client::{AuthenticationMethod, Client},
        client_assertion::JWT_BEARER,
        ids::ClientId,
        oauth::OAuthErrorCode,
    },
    http::{
        errors::oauth::OAuthError,
        extract::body::{self, BodyError, decode},
        middleware::client_info::ClientAddress,
    },
    services::clients::{ClientCredential, Clients},
};

/// The parameters of a client at every endpoint that takes them in a form.
#[derive(Debug, Default, Deserialize, Object)]
#[expect(clippy::struct_field_names, reason = "the RFCs name them")]
#[oai(rename = "ClientAuthentication", example)]
pub(in crate::http) struct ClientParameters {
    /// The client. A `password` request that names none is the built-in `first-party`'s; a refresh or revocation that
    /// names none is the client's that the token was issued to, where that is public.
    pub(in crate::http) client_id: Option<String>,
    /// The client's secret (`client_secret_post`).
    pub(in crate::http) client_secret: Option<String>,
    /// How the client proves who it is by a JWT (`private_key_jwt`):
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    pub(in crate::http) client_assertion_type: Option<String>,
    /// The JWT, signed with the client's key (RFC 7523).
    pub(in crate::http) client_assertion: Option<String>,
}

impl Example for ClientParameters {
    fn example() -> Self {
        Self {
            client_id: Some("app".to_owned()),
            client_secret: Some("43 characters, shown at registration".to_owned()),
            client_assertion_type: Some(JWT_BEARER.to_owned()),
            client_assertion: Some("eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOi...".to_owned()),
        }
    }
}

/// A form of an OAuth endpoint. The endpoint reaches its parameters, `T`, only by authenticating the client.
#[derive(Debug)]
pub(in crate::http) struct ClientForm<T> {
    credential: Option<ClientCredential>,
    request: T,
    /// The address that the request comes from.
    from: Option<IpAddr>,
}

impl<T> ClientForm<T> {
    /// The client, authenticated, and its request. Where the request names no client, `unnamed` names one, which
    /// must be public.
    pub(in crate::http) async fn authenticated(
        self,
        clients: &Clients,
        unnamed: impl FnOnce(&T) -> Result<Option<ClientId>, OAuthError>,
    ) -> Result<(Client, T), OAuthError> {
        let Self { credential, request, from } = self;
        if let Some(credential) = credential {
            return Ok((clients.authenticate(&credential, from).await?, request));
        }
        let client = match unnamed(&request)? {
            Some(id) => clients.public(&id).await?,
            None => None,
        };
        let missing = || OAuthError::new(OAuthErrorCode::InvalidRequest, "client_id is required");
        Ok((client.ok_or_else(missing)?, request))
    }
}

const BASIC: &str = "client_secret_basic";

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for ClientForm<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject, ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
        ClientParameters::register(registry);
        let scheme = MetaSecurityScheme {
            ty: "http",
            description: Some(
                "The client's id and secret, each encoded as a form value (RFC 6749 §2.3.1). A secret or an assertion \
                 may stand in the form instead, and a public client only names itself there.",
            ),
            name: None,
            key_in: None,
            scheme: Some("basic"),
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(BASIC, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BASIC]
    }

    fn has_security_fallback() -> bool {
        true
    }

    fn request_meta() -> Option<MetaRequest> {
        let parts = vec![T::schema_ref(), ClientParameters::schema_ref()];
        let schema = MetaSchemaRef::Inline(Box::new(MetaSchema { all_of: parts, ..MetaSchema::ANY }));
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType { content_type: "application/x-www-form-urlencoded", schema }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let basic = BasicCredentials::of(request)?;
        let form = body::form(request, body).await?.into();
        // Every field of both types is an optional string, so this fails for none of them.
        let parameters = ClientParameters::deserialize(&form).map_err(|_| BodyError::Form)?;
        let credential = basic.or_form(parameters, request.uri().path())?;
        let from = request.extensions().get::<ClientAddress>().map(|address| address.0);
        Ok(Self { credential, request: serde_json::from_value(form).map_err(|_| BodyError::Form)?, from })
    }
}

/// The `Authorization` field of a request to an OAuth endpoint: the client, and its secret unless that is empty.
#[derive(Debug)]
pub(in crate::http) struct BasicCredentials(Option<(ClientId, Option<SecretString>)>);

/// Reads `Basic BASE64`, whose halves are encoded as form values (RFC 6749 §2.3.1). A client without a secret may send
/// an empty one.
fn basic(field: &str) -> Option<(ClientId, Option<SecretString>)> {
    let (scheme, encoded) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(encoded.trim_matches(' ')).ok()?;
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (id, secret) = (decode(&bytes[..colon]).ok()?, decode(&bytes[colon + 1..]).ok()?);
    Some((ClientId::parse(&id).ok()?, (!secret.is_empty()).then(|| secret.into())))
}

impl BasicCredentials {
    /// Reads the field. A second field, another scheme and anything malformed are one failure: the client did not
    /// authenticate.
    pub(in crate::http) fn of(request: &Request) -> Result<Self, OAuthError> {
        let mut fields = request.headers().get_all(header::AUTHORIZATION).iter();
        let Some(field) = fields.next() else { return Ok(Self(None)) };
        let credentials = field.to_str().ok().filter(|_| fields.next().is_none()).and_then(basic);
        credentials.map(|credentials| Self(Some(credentials))).ok_or_else(OAuthError::invalid_client)
    }

    /// Joins the field with the form's parameters: a client proves who it is in one way at the most (RFC 6749 §2.3).
    /// `None` if the request names no client.
    pub(in crate::http) fn or_form(
        self,
        form: ClientParameters,
        endpoint: &str,
    ) -> Result<Option<ClientCredential>, OAuthError> {
        let invalid = |why: &str| Err(OAuthError::new(OAuthErrorCode::InvalidRequest, why));
        let (field_id, field_secret) = self.0.unzip();
        let field_secret = field_secret.flatten();
        let ways = [field_secret.is_some(), form.client_secret.is_some(), form.client_assertion.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return invalid("the client authenticates in two ways at once");
        }
        match (&form.client_assertion_type, &form.client_assertion) {
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return invalid("client_assertion and client_assertion_type come together");
            }
            (Some(kind), Some(_)) if kind == JWT_BEARER => {}
            // A way that we do not know is no proof (RFC 6749 §5.2).
            (Some(_), Some(_)) => return Err(OAuthError::invalid_client()),
        }
        let form_id =
            form.client_id.map(|id| ClientId::parse(&id)).transpose().map_err(|_| OAuthError::invalid_client())?;
        let named = match (field_id, form_id) {
            (Some(field), Some(form)) if field != form => return invalid("two clients are named"),
            (field, form) => field.or(form),
        };
        let secret = |id, secret, method| Ok(Some(ClientCredential::Secret(id, secret, method)));
        match (named, field_secret, form.client_secret, form.client_assertion) {
            (named, _, _, Some(jwt)) => {
                Ok(Some(ClientCredential::Assertion { named, jwt: jwt.into(), endpoint: endpoint.to_owned() }))
            }
            (Some(id), Some(given), _, _) => secret(id, given, AuthenticationMethod::ClientSecretBasic),
            (Some(id), None, Some(given), _) => secret(id, given.into(), AuthenticationMethod::ClientSecretPost),
            (None, _, Some(_), _) => invalid("client_secret without client_id"),
            (named, _, _, None) => Ok(named.map(ClientCredential::Id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::http::properties;

    #[test]
    fn both_halves_are_decoded_as_form_values() {
        let field = format!("basic {}", STANDARD.encode("orders%2Dapi:a%2Bb+c%3A"));
        let (id, secret) = basic(&field).expect("good");
        let secret = secret.expect("a secret");
        assert_eq!((id.as_str(), secret.expose_secret()), ("orders-api", "a+b c:"));
    }

    #[test]
    fn an_empty_secret_is_none() {
        let (id, secret) = basic(&format!("Basic {}", STANDARD.encode("app:"))).expect("good");
        assert_eq!(id.as_str(), "app");
        assert!(secret.is_none());
    }

    #[test]
    fn what_is_malformed_is_nobody() {
        for field in ["Basic", "Basic !", "Bearer YTpi", &format!("Basic {}", STANDARD.encode("nocolon"))] {
            assert!(basic(field).is_none(), "{field}");
        }
        assert!(basic(&format!("Basic {}", STANDARD.encode(b"a:\xff"))).is_none());
        assert!(basic(&format!("Basic {}", STANDARD.encode("a:%zz"))).is_none());
    }
    proptest! {
        #[test]
        fn any_secret_is_read_as_it_was_written(id in "[a-zA-Z0-9._~-]{1,64}", secret in any::<String>()) {
            properties::client_authentication(format!("{id}\n{secret}").as_bytes());
        }

        #[test]
        fn any_field_names_nobody_or_one_client(field in "[Bb]asic [A-Za-z0-9+/]{0,24}={0,2}|[!-~]{0,5} [ -~]{0,20}") {
            properties::client_authentication(field.as_bytes());
        }
    }
}
