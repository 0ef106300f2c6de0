//! CORS (Fetch §3.3): the scripts of other sites that may read our responses.
//!
//! Credentials are never allowed: a script authenticates with its bearer token, not with our cookies. Pages and
//! the authorization endpoint are open to no script (RFC 9700 §2.6).
//!
//! poem's own middleware is not used. It answers 403 to an origin that is not listed, although our own forms send an
//! `Origin` too. It promises the same methods on every route. It sends `Vary` only to allowed origins, so that a cache
//! would serve the response for one site to another.

use poem::{
    Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use crate::http::routes::{CorsClass, RouteMatch};

/// The request fields that a preflight allows where it asks for none: a token, a JSON content type, and the entity tag of
/// a cached copy.
const REQUEST_FIELDS: &str = "authorization, content-type, if-none-match";
/// The response fields that scripts may read beside the CORS-safelisted ones.
const ANSWER_FIELDS: &str = "etag, location, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
/// How long a browser may cache a preflight, in seconds: the longest that any browser allows.
const MAX_AGE: &str = "7200";

/// The origins whose scripts may call what is for apps, as browsers write them.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Cors(pub(in crate::http) Vec<String>);

/// The CORS fields of a response. Errors need them too: without them the browser hides the error from the app.
#[derive(Debug)]
pub(in crate::http) struct CorsDecision {
    /// The value of `Access-Control-Allow-Origin`.
    origin: Option<HeaderValue>,
    /// Whether the value depends on the request's `Origin`.
    varies: bool,
    /// The method and the header fields that a preflight asks for.
    preflight: Option<(HeaderValue, Option<HeaderValue>)>,
}

impl Cors {
    /// Judges a request to a route of `class`.
    pub(in crate::http) fn judge(&self, class: CorsClass, request: &Request) -> CorsDecision {
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        // No browser sends two `Origin` fields: then there is none.
        let asking = origins.next().filter(|_| origins.next().is_none());
        let listed = |origin: &&HeaderValue| self.0.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
        let origin = match class {
            CorsClass::Everyone => Some(HeaderValue::from_static("*")),
            CorsClass::Listed => asking.filter(listed).cloned(),
            CorsClass::Ours => None,
        };
        let method = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD).cloned();
        let preflight = method.filter(|_| request.method() == Method::OPTIONS && asking.is_some());
        let preflight =
            preflight.map(|method| (method, request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned()));
        CorsDecision { origin, varies: class == CorsClass::Listed && !self.0.is_empty(), preflight }
    }
}

impl CorsDecision {
    /// The answer to a preflight for `route`. `None` where the request is no preflight, or may not be followed: then it
    /// is a request as any other. A path without a route passes, so that the app can read the error.
    ///
    /// All header fields that are asked for pass: tracing libraries add their own, and since no credentials are allowed,
    /// a field gives a script nothing that a program without a browser does not have.
    pub(in crate::http) fn preflight(&self, route: &RouteMatch) -> Option<Response> {
        let (method, fields) = self.preflight.as_ref()?;
        self.origin.as_ref()?;
        let methods = HeaderValue::from_str(&route.allow()).ok().filter(|_| route.exists());
        let answer = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, methods.unwrap_or_else(|| method.clone()))
            .header(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                fields.clone().unwrap_or(HeaderValue::from_static(REQUEST_FIELDS)),
            )
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(answer.finish())
    }

    /// Adds the CORS fields to a response.
    pub(in crate::http) fn tell(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.preflight.is_none() {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_FIELDS));
        }
    }
}
