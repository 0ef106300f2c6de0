//! How a client says who it is (RFC 6749 §2.3.1): in the `Authorization` field or in the form, never in both.

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{FromRequest, Request, RequestBody, http::header};
use secrecy::SecretString;

use super::{body::decode, oauth::error::OAuthError};
use crate::{
    domain::{client::AuthenticationMethod, ids::ClientId, oauth::OAuthErrorCode},
    flow::clients::Presented,
};

/// The `Authorization` field of a request to an OAuth endpoint.
#[derive(Debug)]
pub(super) struct BasicCredentials(Option<(ClientId, SecretString)>);

impl<'a> FromRequest<'a> for BasicCredentials {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let mut fields = request.headers().get_all(header::AUTHORIZATION).iter();
        let Some(field) = fields.next() else { return Ok(Self(None)) };
        // A second field, another scheme and anything malformed are one failure: the client did not authenticate.
        let credentials = field.to_str().ok().filter(|_| fields.next().is_none()).and_then(basic);
        credentials.map(|credentials| Self(Some(credentials))).ok_or_else(|| OAuthError::invalid_client().into())
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
    /// Joins the field with what the form says.
    pub(super) fn or_form(self, id: Option<String>, secret: Option<String>) -> Result<Presented, OAuthError> {
        match (self.0, id, secret) {
            (Some(_), _, Some(_)) => {
                Err(OAuthError::new(OAuthErrorCode::InvalidRequest, "the client authenticates in two ways at once"))
            }
            (Some((basic_id, _)), Some(form_id), None) if basic_id.as_str() != form_id => {
                Err(OAuthError::new(OAuthErrorCode::InvalidRequest, "two clients are named"))
            }
            (Some((id, secret)), _, None) => Ok(Presented::Secret(id, secret, AuthenticationMethod::ClientSecretBasic)),
            (None, Some(id), Some(secret)) => {
                let id = ClientId::parse(&id).map_err(|_| OAuthError::invalid_client())?;
                Ok(Presented::Secret(id, secret.into(), AuthenticationMethod::ClientSecretPost))
            }
            (None, Some(id), None) => ClientId::parse(&id).map(Presented::Id).map_err(|_| OAuthError::invalid_client()),
            (None, None, Some(_)) => {
                Err(OAuthError::new(OAuthErrorCode::InvalidRequest, "client_secret without client_id"))
            }
            (None, None, None) => Ok(Presented::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::http::laws;

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
            laws::client_authentication(format!("{id}\n{secret}").as_bytes());
        }

        #[test]
        fn any_field_names_nobody_or_one_client(field in "[Bb]asic [A-Za-z0-9+/]{0,24}={0,2}|[!-~]{0,5} [ -~]{0,20}") {
            laws::client_authentication(field.as_bytes());
        }
    }
}
