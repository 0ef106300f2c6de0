//! Bearer tokens (RFC 6750 §2.1): in the `Authorization` field; only userinfo takes a form's, and none takes a query's. A
//! request brings its token in one place (§2).

use poem::{
    Request, RequestBody,
    http::{Method, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    http::{errors::failure::BearerRefusal, extract::body},
    services::sessions::{
        bearer::{Bearer, BearerError, Caller},
        userinfo::{UserClaims, Userinfo},
    },
};

/// The token that a request carries, unchecked.
#[derive(Debug)]
pub(in crate::http) struct BearerToken(pub(in crate::http) SecretString);

const SCHEME: &str = "access_token";
/// A token in a form or a query (RFC 6750 §2.2, §2.3).
const PARAMETER: [&str; 1] = ["access_token"];

impl BearerToken {
    /// The user whose account the token manages.
    pub(in crate::http) async fn account(&self, bearer: &Bearer) -> Result<Caller, BearerRefusal> {
        bearer.account(self.0.expose_secret()).await.map_err(tell)
    }

    /// The claims that its holder may read.
    pub(in crate::http) async fn userinfo(&self, userinfo: &Userinfo) -> Result<UserClaims, BearerRefusal> {
        userinfo.run(self.0.expose_secret()).await.map_err(tell)
    }
}

/// Logs why a token was refused; the client learns less.
fn tell(error: BearerError) -> BearerRefusal {
    tracing::debug!(reason = %error, "bearer token refused");
    error.into()
}

/// The bearer token of a request, of any kind.
pub(in crate::http) fn token(request: &Request) -> Result<SecretString, BearerRefusal> {
    let mut fields = request.headers().get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Err(BearerRefusal::Missing) };
    let text = field.to_str().map_err(|_| BearerRefusal::Malformed)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // Another scheme is no token of ours, well or badly formed.
        return Err(BearerRefusal::Missing);
    }
    let token = token.trim_matches(' ');
    if token.is_empty() || token.contains(' ') || fields.next().is_some() {
        return Err(BearerRefusal::Malformed);
    }
    let (in_query, malformed) = body::parameters_of(request.uri().query().unwrap_or_default().as_bytes(), &PARAMETER);
    if malformed || !in_query.is_empty() {
        return Err(BearerRefusal::Twice);
    }
    Ok(token.into())
}

impl<'a> ApiExtractor<'a> for BearerToken {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "http",
            description: Some("An access token of a first-party client, with the issuer in its audience."),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("JWT"),
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(request: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        Ok(Self(token(request)?))
    }
}

/// The token of a request to the userinfo endpoint, which may also stand in a posted form (RFC 6750 §2.2).
#[derive(Debug)]
pub(in crate::http) struct UserinfoToken(pub(in crate::http) BearerToken);

impl<'a> ApiExtractor<'a> for UserinfoToken {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        BearerToken::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        BearerToken::security_schemes()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let in_form = if request.method() == Method::POST && body::is_form(request) {
            let mut form = body::form(request, body, &PARAMETER).await?;
            form.remove("access_token").and_then(|token| token.as_str().map(SecretString::from))
        } else {
            None
        };
        let token = match (token(request), in_form) {
            (Err(BearerRefusal::Missing), Some(token)) => token,
            (Ok(_), Some(_)) => return Err(BearerRefusal::Twice.into()),
            (token, _) => token?,
        };
        Ok(Self(BearerToken(token)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::http::properties;

    proptest! {
        #[test]
        fn any_field_carries_no_token_or_the_one_that_stands_in_it(
            field in "[Bb][Ee]arer {0,3}[ -~]{0,20} {0,2}|[ -~\\t\\xe9]{0,30}|Bearer [A-Za-z0-9_.-]{1,40}",
        ) {
            properties::bearer(field.as_bytes());
        }
    }
}
