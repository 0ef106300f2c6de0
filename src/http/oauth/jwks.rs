//! The published keys (RFC 7517 §5).

use poem_openapi::{Object, OpenApi, param::Header, types::Example};

use crate::{http::openapi::document::Document, services::keys::published::PublishedKeys};

/// Where the keys are.
pub(in crate::http) const PATH: &str = "/.well-known/jwks.json";

/// The published keys.
pub(in crate::http) struct JwksApi {
    pub(in crate::http) published_keys: PublishedKeys,
}

/// A JWK set (RFC 7517 §5).
#[derive(Debug, Object)]
#[oai(rename = "JwkSet", example)]
struct JwkSet {
    /// The public keys of all tokens that may still be valid.
    keys: Vec<Jwk>,
}

/// A public key (RFC 7517 §4): an elliptic curve's, an Ed25519 or an RSA one.
#[derive(Debug, Object)]
#[oai(rename = "Jwk", example)]
struct Jwk {
    /// `EC`, `OKP` or `RSA`.
    kty: String,
    /// Always `sig`.
    r#use: String,
    /// `ES256`, `EdDSA` or `RS256`.
    alg: String,
    /// The key's RFC 7638 thumbprint.
    kid: String,
    /// The curve (`EC`, `OKP`).
    #[oai(skip_serializing_if_is_none)]
    crv: Option<String>,
    /// A coordinate (`EC`), or the key (`OKP`).
    #[oai(skip_serializing_if_is_none)]
    x: Option<String>,
    /// The other coordinate (`EC`).
    #[oai(skip_serializing_if_is_none)]
    y: Option<String>,
    /// The modulus (`RSA`).
    #[oai(skip_serializing_if_is_none)]
    n: Option<String>,
    /// The exponent (`RSA`).
    #[oai(skip_serializing_if_is_none)]
    e: Option<String>,
}

impl Example for Jwk {
    fn example() -> Self {
        Self {
            kty: "EC".to_owned(),
            r#use: "sig".to_owned(),
            alg: "ES256".to_owned(),
            kid: "ZFBRZb4TVaF0n6jvgcIpVrmCx0RCtY2oM0jmqiQqWZU".to_owned(),
            crv: Some("P-256".to_owned()),
            x: Some("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4".to_owned()),
            y: Some("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM".to_owned()),
            n: None,
            e: None,
        }
    }
}

impl Example for JwkSet {
    fn example() -> Self {
        Self { keys: vec![Jwk::example()] }
    }
}

/// The published keys.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl JwksApi {
    /// Public keys (RFC 7517)
    ///
    /// A verifier of tokens needs nothing else. Fetch it again when a token names an unknown `kid`.
    #[expect(clippy::unused_async, reason = "handlers are async, whether they wait or not")]
    #[oai(path = "/.well-known/jwks.json", method = "get", operation_id = "jwks")]
    async fn jwks(
        &self,
        /// The entity tag of the copy that the caller has.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Document<JwkSet> {
        let (document, max_age) = self.published_keys.document();
        Document::new(&document, max_age, if_none_match.0.as_deref())
    }
}
