//! Which scripts of other sites may read our answers: the CORS protocol (Fetch §3.3).
//!
//! Never with credentials: what a script sends along is a bearer token that it holds, no cookie of ours. Pages, the
//! authorization endpoint and what takes a client's secret are open to no script at all (RFC 9700 §2.6).
//!
//! poem's own middleware is not used: to an origin that is not listed it answers 403, where our own pages' forms send
//! an `Origin` too; it promises the same methods on every route; and it says `Vary` only of origins that it allows, so
//! that a cache would give the answer for one site to another.

use poem::{
    Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use crate::http::routes::{CorsClass, RouteMatch};

/// What scripts may send beyond what every form can: their token, JSON, and the entity tag of a copy that they have.
const REQUEST_FIELDS: &str = "authorization, content-type, if-none-match";
/// What scripts may read beyond the fields that are always open to them.
const ANSWER_FIELDS: &str = "etag, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
/// How long a browser may remember a preflight, in seconds: the most that any of them does.
const MAX_AGE: &str = "7200";

/// The origins whose scripts may call what is for apps, as browsers write them.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Cors(pub(in crate::http) Vec<String>);

/// What a browser is told about an answer, whatever the answer is: it would hide an error without these fields from the
/// app that has to deal with it.
#[derive(Debug)]
pub(in crate::http) struct CorsDecision {
    /// Who may read it.
    origin: Option<HeaderValue>,
    /// Whether that follows from who asked.
    varies: bool,
    /// Whether the request only asks for leave to send another one.
    preflight: bool,
}

impl Cors {
    /// Judges a request to a route of `class`.
    pub(in crate::http) fn judge(&self, class: CorsClass, request: &Request) -> CorsDecision {
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        // Two of them are none: no browser sends that.
        let asking = origins.next().filter(|_| origins.next().is_none());
        let listed = |origin: &&HeaderValue| self.0.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
        let origin = match class {
            CorsClass::Everyone => Some(HeaderValue::from_static("*")),
            CorsClass::Listed => asking.filter(listed).cloned(),
            CorsClass::Ours => None,
        };
        let preflight = request.method() == Method::OPTIONS
            && asking.is_some()
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        CorsDecision { origin, varies: class == CorsClass::Listed && !self.0.is_empty(), preflight }
    }
}

impl CorsDecision {
    /// The answer to a preflight for `route`. `None` where the request is no
    /// preflight, may not be followed, or there is no such route: then it is a request as any other.
    pub(in crate::http) fn preflight(&self, route: &RouteMatch) -> Option<Response> {
        if !self.preflight || self.origin.is_none() || !route.exists() {
            return None;
        }
        let answer = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, route.allow())
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_FIELDS)
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(answer.finish())
    }

    /// Tells the browser who may read the answer.
    pub(in crate::http) fn tell(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if !self.preflight {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_FIELDS));
        }
    }
}
