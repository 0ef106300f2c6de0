//! How a client says who it is (RFC 6749 §2.3.1, RFC 7521 §4.2): in the `Authorization` field or in the form, never in
//! both.

use std::net::IpAddr;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions, Object,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, MetaSecurityScheme, Registry},
    types::{Example, Type},
};
use secrecy::{ExposeSecret, SecretString};
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

/// The parameters of an endpoint beside those of the client.
pub(in crate::http) trait FormRequest {
    /// The names of those that are read; all others have no effect (RFC 6749 §3.2).
    const NAMES: &'static [&'static str];
}

impl ClientParameters {
    const NAMES: [&'static str; 4] = ["client_id", "client_secret", "client_assertion_type", "client_assertion"];
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

impl<'a, T: Type + DeserializeOwned + FormRequest> ApiExtractor<'a> for ClientForm<T> {
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
        let form = body::form(request, body, &[T::NAMES, &ClientParameters::NAMES[..]].concat()).await?.into();
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

/// Base64 with or without padding: some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The credentials of the scheme `Basic`, encoded; `None` for a field that is no attempt at client authentication: it is
/// empty, or of another scheme. HTTP libraries add a user's token, or the ticket of a proxy, to every request.
fn attempt(field: &str) -> Option<&str> {
    let (scheme, encoded) = field.split_once([' ', '\t']).unwrap_or((field, ""));
    let encoded = encoded.trim_ascii();
    let names_somebody = ![NOBODY, ""].contains(&encoded.trim_end_matches('='));
    (scheme.eq_ignore_ascii_case("basic") && names_somebody).then_some(encoded)
}

/// The Basic credentials of a client without id and secret, unpadded.
const NOBODY: &str = "Og";

/// Reads the credentials of `Basic`, whose halves are encoded as form values (RFC 6749 §2.3.1). A client without a secret
/// may send an empty one.
fn basic(encoded: &str) -> Option<(ClientId, Option<SecretString>)> {
    let bytes = BASE64.decode(encoded).ok()?;
    // Clients that do not encode their id, which is the URL of their document: no secret of ours has a colon.
    let is_colon = |byte: &u8| *byte == b':';
    let is_url = bytes.starts_with(b"https://");
    let colon = if is_url { bytes.iter().rposition(is_colon) } else { bytes.iter().position(is_colon) }?;
    let (id, secret) = (decode(&bytes[..colon]).ok()?, decode(&bytes[colon + 1..]).ok()?);
    Some((ClientId::parse(&id).ok()?, (!secret.is_empty()).then(|| secret.into())))
}

impl BasicCredentials {
    /// Reads the field. A second field and anything malformed are one failure: the client did not authenticate. A field
    /// that is no attempt to do so is none.
    pub(in crate::http) fn of(request: &Request) -> Result<Self, OAuthError> {
        let mut fields = request.headers().get_all(header::AUTHORIZATION).iter();
        let Some(field) = fields.next() else { return Ok(Self(None)) };
        if fields.next().is_some() {
            return Err(OAuthError::invalid_client());
        }
        let field = field.to_str().map_err(|_| OAuthError::invalid_client())?;
        let Some(encoded) = attempt(field) else { return Ok(Self(None)) };
        basic(encoded).map(|credentials| Self(Some(credentials))).ok_or_else(OAuthError::invalid_client)
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
        // The same secret in both places is one proof; two that differ are two ways.
        let exposed = |secret: &SecretString| secret.expose_secret().to_owned();
        let is_doubled = field_secret.is_some() && field_secret.as_ref().map(exposed) == form.client_secret;
        let form = ClientParameters { client_secret: form.client_secret.filter(|_| !is_doubled), ..form };
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
            (Some(id), Some(given), _, _) if is_doubled => secret(id, given, AuthenticationMethod::ClientSecret),
            (Some(id), Some(given), _, _) => secret(id, given, AuthenticationMethod::ClientSecretBasic),
            (Some(id), None, Some(given), _) => secret(id, given.into(), AuthenticationMethod::ClientSecretPost),
            (None, _, Some(_), _) => invalid("client_secret without client_id"),
            (named, _, _, None) => Ok(named.map(ClientCredential::Id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use poem::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::http::properties;

    #[test]
    fn both_halves_are_decoded_as_form_values() {
        let field = BASE64_STANDARD.encode("orders%2dapi:a%2Bb+c%3A");
        let (id, secret) = basic(&field).expect("good");
        let secret = secret.expect("a secret");
        assert_eq!((id.as_str(), secret.expose_secret()), ("orders-api", "a+b c:"));
    }

    #[test]
    fn an_empty_secret_is_none() {
        let (id, secret) = basic(&BASE64_STANDARD.encode("app:")).expect("good");
        assert_eq!(id.as_str(), "app");
        assert!(secret.is_none());
    }

    #[test]
    fn an_id_that_is_a_url_may_be_written_as_it_is() {
        for text in ["https://app.example/client.json:", "https%3A%2F%2Fapp.example%2Fclient.json:"] {
            let (id, secret) = basic(BASE64_STANDARD.encode(text).trim_end_matches('=')).expect("good");
            assert_eq!((id.as_str(), secret.is_none()), ("https://app.example/client.json", true));
        }
    }

    #[test]
    fn what_is_no_attempt_is_none_and_what_is_malformed_is_refused() {
        let read = |field: &[u8]| {
            let mut request = Request::default();
            request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_bytes(field).expect("a field"));
            BasicCredentials::of(&request).map(|credentials| credentials.0.is_some())
        };
        for field in [
            "",
            " ",
            "Basic",
            "basic ",
            "Basic Og",
            "Basic Og==",
            "BASIC  Og== ",
            "Bearer x",
            "Negotiate YII=",
            "Digest a=b",
        ] {
            assert!(read(field.as_bytes()).is_ok_and(|is_attempt| !is_attempt), "{field:?}");
        }
        for field in ["Basic !", "Basic OnNlY3JldA==", "Basic Og==,Basic Og=="] {
            assert!(read(field.as_bytes()).is_err(), "{field:?}");
        }
    }

    #[test]
    fn what_is_malformed_is_nobody() {
        assert!(basic("!").is_none());
        for bytes in [&b"nocolon"[..], b"a:\xff", b"a:%zz", b":secret"] {
            assert!(basic(&BASE64_STANDARD.encode(bytes)).is_none(), "{bytes:?}");
        }
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
