//! How a client says who it is (RFC 6749 §2.3.1, RFC 7521 §4.2): in the `Authorization` field or in the form, never in
//! both.

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{FromRequest, Request, RequestBody, http::header};
use secrecy::SecretString;

use crate::{
    domain::{client::AuthenticationMethod, client_assertion::JWT_BEARER, ids::ClientId, oauth::OAuthErrorCode},
    http::{errors::oauth::OAuthError, extract::body::decode},
    services::clients::ClientCredential,
};

/// The `Authorization` field of a request to an OAuth endpoint, and which endpoint that is.
#[derive(Debug)]
pub(in crate::http) struct BasicCredentials {
    credentials: Option<(ClientId, SecretString)>,
    endpoint: String,
}

/// The client authentication parameters in the form of an OAuth endpoint.
#[derive(Debug, Default)]
pub(in crate::http) struct InForm {
    /// `client_id`.
    pub(in crate::http) id: Option<String>,
    /// `client_secret` (RFC 6749 §2.3.1).
    pub(in crate::http) secret: Option<String>,
    /// `client_assertion_type` (RFC 7521 §4.2).
    pub(in crate::http) assertion_type: Option<String>,
    /// `client_assertion`.
    pub(in crate::http) assertion: Option<String>,
}

impl<'a> FromRequest<'a> for BasicCredentials {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let endpoint = request.uri().path().to_owned();
        let mut fields = request.headers().get_all(header::AUTHORIZATION).iter();
        let Some(field) = fields.next() else { return Ok(Self { credentials: None, endpoint }) };
        // A second field, another scheme and anything malformed are one failure: the client did not authenticate.
        let credentials = field.to_str().ok().filter(|_| fields.next().is_none()).and_then(basic);
        match credentials {
            Some(credentials) => Ok(Self { credentials: Some(credentials), endpoint }),
            None => Err(OAuthError::invalid_client().into()),
        }
    }
}

/// Reads `Basic BASE64`, whose halves are encoded as form values (RFC 6749 §2.3.1).
fn basic(field: &str) -> Option<(ClientId, SecretString)> {
    let (scheme, encoded) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(encoded.trim_matches(' ')).ok()?;
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (id, secret) = (decode(&bytes[..colon]).ok()?, decode(&bytes[colon + 1..]).ok()?);
    Some((ClientId::parse(&id).ok()?, secret.into()))
}

impl BasicCredentials {
    /// Joins the field with what the form says: one way at the most to prove who one is (RFC 6749 §2.3).
    pub(in crate::http) fn or_form(self, form: InForm) -> Result<ClientCredential, OAuthError> {
        let Self { credentials, endpoint } = self;
        let invalid = |why: &str| Err(OAuthError::new(OAuthErrorCode::InvalidRequest, why));
        let ways = [credentials.is_some(), form.secret.is_some(), form.assertion.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return invalid("the client authenticates in two ways at once");
        }
        match (&form.assertion_type, &form.assertion) {
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return invalid("client_assertion and client_assertion_type come together");
            }
            (Some(kind), Some(_)) if kind == JWT_BEARER => {}
            // A way that we do not know is no proof (RFC 6749 §5.2).
            (Some(_), Some(_)) => return Err(OAuthError::invalid_client()),
        }
        let named = form.id.map(|id| ClientId::parse(&id)).transpose().map_err(|_| OAuthError::invalid_client())?;
        match (credentials, form.secret, form.assertion) {
            (Some((id, _)), _, _) if named.as_ref().is_some_and(|named| *named != id) => {
                invalid("two clients are named")
            }
            (Some((id, secret)), _, _) => {
                Ok(ClientCredential::Secret(id, secret, AuthenticationMethod::ClientSecretBasic))
            }
            (None, Some(secret), _) => match named {
                Some(id) => Ok(ClientCredential::Secret(id, secret.into(), AuthenticationMethod::ClientSecretPost)),
                None => invalid("client_secret without client_id"),
            },
            (None, None, Some(jwt)) => Ok(ClientCredential::Assertion { named, jwt: jwt.into(), endpoint }),
            (None, None, None) => Ok(named.map_or(ClientCredential::Nothing, ClientCredential::Id)),
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
        assert_eq!((id.as_str(), secret.expose_secret()), ("orders-api", "a+b c:"));
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
