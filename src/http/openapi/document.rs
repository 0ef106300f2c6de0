//! Public documents that caches keep: JSON with an entity tag (RFC 9110 §8.8.3) and a lifetime.

use poem::{Body, IntoResponse, Response, http::StatusCode};
use poem_openapi::{
    ApiResponse,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
    types::Type,
};

use crate::services::keys::published::ETagged;

/// The media type of a document.
pub(in crate::http) trait MediaType: Send {
    /// Its name.
    const NAME: &'static str;
}

/// `application/json`.
#[derive(Debug)]
pub(in crate::http) enum JsonDocument {}

impl MediaType for JsonDocument {
    const NAME: &'static str = "application/json";
}

/// A document of the media type `M`, or word that the caller's copy is still the present one. `T` is what its
/// documentation says.
#[derive(Debug)]
pub(in crate::http) struct Document<T, M = JsonDocument> {
    body: Option<String>,
    etag: String,
    max_age: i64,
    described_by: std::marker::PhantomData<fn() -> (T, M)>,
}

impl<T, M> Document<T, M> {
    /// A document that caches may keep for `max_age` seconds. `if_none_match` is the
    /// request's field, where it has one.
    pub(in crate::http) fn new(document: &ETagged, max_age: i64, if_none_match: Option<&str>) -> Self {
        let known = if_none_match.is_some_and(|known| is_known(&document.etag, known));
        Self {
            body: (!known).then(|| document.body.clone()),
            etag: document.etag.clone(),
            max_age,
            described_by: std::marker::PhantomData,
        }
    }
}

/// Whether a request's `If-None-Match` names the document with this entity tag (RFC 9110 §13.1.2).
pub(in crate::http) fn is_known(etag: &str, if_none_match: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

impl<T: Send, M: MediaType> IntoResponse for Document<T, M> {
    fn into_response(self) -> Response {
        let response = Response::builder()
            .header("Cache-Control", format!("public, max-age={}", self.max_age))
            .header("ETag", self.etag);
        match self.body {
            Some(body) => response.content_type(M::NAME).body(body),
            None => response.status(StatusCode::NOT_MODIFIED).body(Body::empty()),
        }
    }
}

impl<T: Type, M: MediaType> ApiResponse for Document<T, M> {
    fn meta() -> MetaResponses {
        let header = |name: &str, schema: MetaSchemaRef| MetaHeader {
            name: name.to_owned(),
            description: None,
            required: true,
            deprecated: false,
            schema,
        };
        let headers = || vec![header("Cache-Control", String::schema_ref()), header("ETag", String::schema_ref())];
        MetaResponses {
            responses: vec![
                MetaResponse {
                    description: "The document.",
                    status: Some(200),
                    status_range: None,
                    content: vec![MetaMediaType { content_type: M::NAME, schema: T::schema_ref() }],
                    headers: headers(),
                },
                MetaResponse {
                    description: "The copy that `If-None-Match` names is the present one.",
                    status: Some(304),
                    status_range: None,
                    content: vec![],
                    headers: headers(),
                },
            ],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}
