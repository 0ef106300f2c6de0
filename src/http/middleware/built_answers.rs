//! Answers that every verifier and orchestrator asks for all the time: built once, and given before the middleware that
//! they do not need. They are made by their routes' own code and sealed by the same layer, so that they differ from what
//! the routes would answer in nothing.

use std::sync::{Arc, PoisonError, RwLock};

use hyper::body::Bytes;
use poem::{
    Body, IntoResponse, Request, Response,
    http::{HeaderMap, Method, StatusCode, header},
};

use crate::{
    http::{
        health,
        oauth::{jwks, metadata},
        openapi::document::{Document, JsonDocument, is_known},
        routes::RouteMatch,
    },
    services::keys::published::{ETagged, PublishedKeys},
};

/// The answers.
#[derive(Debug)]
pub(in crate::http) struct BuiltAnswers {
    keys: PublishedKeys,
    jwks: RwLock<Option<BuiltKeys>>,
    metadata: [Built; 2],
    alive: Built,
}

/// A key set, its `max-age`, and the answer with both.
type BuiltKeys = (Arc<ETagged>, i64, Arc<Built>);

/// An answer without what differs from request to request.
#[derive(Debug)]
struct Built {
    etag: String,
    headers: HeaderMap,
    body: Bytes,
    /// The header of the 304 to a caller whose copy is the present one.
    unchanged: HeaderMap,
}

/// Adds what the response layer adds to an answer of a route.
pub(in crate::http) type Seal<'a> = &'a dyn Fn(&'static str, Response) -> HeaderMap;

impl BuiltAnswers {
    pub(in crate::http) fn new(keys: PublishedKeys, metadata: &ETagged, seal: Seal<'_>) -> Self {
        let alive = health::alive();
        let response = Response::builder().content_type("application/json; charset=utf-8").body(alive.clone());
        Self {
            jwks: RwLock::new(None),
            metadata: metadata::PATHS.map(|path| Built::of(path, metadata, metadata::MAX_AGE, seal)),
            alive: Built {
                etag: String::new(),
                headers: seal(health::LIVE, response),
                body: alive.into(),
                unchanged: HeaderMap::new(),
            },
            keys,
        }
    }

    /// The answer to a plain GET of one of these documents; `None` for any other request.
    pub(in crate::http) fn find(&self, route: &RouteMatch, request: &Request, seal: Seal<'_>) -> Option<Response> {
        let headers = request.headers();
        let has_body = headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING);
        if request.method() != Method::GET || request.uri().query().is_some() || has_body {
            return None;
        }
        let built = match route.name() {
            jwks::PATH => return Some(self.jwks(seal).answer(request)),
            path if path == metadata::PATHS[0] => &self.metadata[0],
            path if path == metadata::PATHS[1] => &self.metadata[1],
            health::LIVE => &self.alive,
            _ => return None,
        };
        Some(built.answer(request))
    }

    /// The key set in force, built again where it has changed.
    fn jwks(&self, seal: Seal<'_>) -> Arc<Built> {
        let (document, max_age) = self.keys.document();
        let built = self.jwks.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, age, built)) = &*built
            && Arc::ptr_eq(of, &document)
            && *age == max_age
        {
            return Arc::clone(built);
        }
        drop(built);
        let new = Arc::new(Built::of(jwks::PATH, &document, max_age, seal));
        *self.jwks.write().unwrap_or_else(PoisonError::into_inner) = Some((document, max_age, Arc::clone(&new)));
        new
    }
}

impl Built {
    fn of(path: &'static str, document: &ETagged, max_age: i64, seal: Seal<'_>) -> Self {
        let answer = |known: Option<&str>| {
            seal(path, Document::<(), JsonDocument>::new(document, max_age, known).into_response())
        };
        Self {
            headers: answer(None),
            unchanged: answer(Some(&document.etag)),
            body: document.body.clone().into(),
            etag: document.etag.clone(),
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|field| field.to_str().ok());
        let mut response = Response::default();
        if !self.etag.is_empty() && known.is_some_and(|known| is_known(&self.etag, known)) {
            response.set_status(StatusCode::NOT_MODIFIED);
            response.headers_mut().clone_from(&self.unchanged);
        } else {
            response.headers_mut().clone_from(&self.headers);
            response.set_body(Body::from(self.body.clone()));
        }
        response
    }
}
