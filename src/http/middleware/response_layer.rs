//! Wraps every route: request id, client address, limits, CORS, security header fields, error shape, log and metrics.

use std::{sync::Arc, time::Duration};

use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response,
    error::MethodNotAllowedError,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header},
};
use tracing::Instrument;

use crate::{
    http::{
        errors::{failure::Overdue, problem, shape::shape},
        extract::{
            accept::prefers_html,
            body::{BodyError, parameters},
            cookies::Cookies,
        },
        middleware::{
            built_answers::BuiltAnswers,
            client_info::{self, ClientAddress},
            cors::Cors,
            rate_limit::{MailQuota, RateLimitDecision},
            token_answers::TokenAnswers,
            transport::{Transport, one_host},
        },
        pages::{self, branding::Branding},
        routes::{self, CorsClass, ErrorShape, RouteMatch},
    },
    services::{
        audit::RequestIds,
        keys::published::{ETagged, PublishedKeys},
        metrics::Metrics,
        rate_limit::Limit,
    },
};

/// How long a handler may take. It is shorter than the listener's own deadline, which can send no explanation.
const PATIENCE: Duration = Duration::from_secs(25);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The policy of responses that are not pages: should a browser show one, nothing runs, loads or is sent from it.
/// `base-uri`, `form-action` and `frame-ancestors` do not follow from `default-src` (CSP 3 §6.1.3).
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Wraps every route.
#[derive(Debug, Clone)]
pub(in crate::http) struct ResponseLayer {
    /// Names requests.
    pub(in crate::http) request_ids: RequestIds,
    /// Counts answers.
    pub(in crate::http) metrics: Metrics,
    /// The branding of error pages.
    pub(in crate::http) branding: Branding,
    /// Judges how requests came; has the networks whose forwarding fields are trusted.
    pub(in crate::http) transport: Transport,
    /// The origins whose scripts may call the routes for apps.
    pub(in crate::http) cors: Cors,
    /// How often client networks may call which routes.
    pub(in crate::http) limit: Limit,
    /// Whether browsers reach the service by HTTPS; then they must keep to it (HSTS).
    pub(in crate::http) https: bool,
    /// What is answered before everything else.
    pub(in crate::http) built: Option<Arc<BuiltAnswers>>,
    /// What is answered at once if it can be.
    pub(in crate::http) tokens: Option<Arc<TokenAnswers>>,
}

impl<E: Endpoint> Middleware<E> for ResponseLayer {
    type Output = LayeredEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        LayeredEndpoint { inner, layer: self.clone() }
    }
}

/// A route inside the layer.
#[derive(Debug)]
pub(in crate::http) struct LayeredEndpoint<E> {
    inner: E,
    layer: ResponseLayer,
}

impl<E: Endpoint> Endpoint for LayeredEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        // Never the client's own id: a client could forge log lines with it.
        let id = self.layer.request_ids.draw();
        let route = routes::find(request.uri().path());
        if let Some(response) = self.layer.quick_answer(&route, &id, &request) {
            return Ok(response);
        }
        let method = request.method().clone();
        let version = request.version();
        let client = client_info::client_address(&request, &self.layer.transport.trusted_proxies);
        if let Some(address) = client {
            request.set_data(ClientAddress(address));
        }
        let cors = self.layer.cors.judge(route.cors, &request);
        let rate_limit = RateLimitDecision::of(&self.layer.limit, route.class(&method), client);
        request.set_data(MailQuota::of(&self.layer.limit, client));
        if let Some(class) = rate_limit.refusing() {
            self.layer.metrics.limit_refused(class.as_str());
        }
        let body = request.take_body();
        let unread = rate_limit.check().is_err() && !body.is_empty();
        let came = self.layer.transport.check(&request);
        request.set_body(body);
        request.set_data(Cookies { https: self.layer.https });
        let span = tracing::info_span!("request", id, peer = client.map(tracing::field::display));
        let started = std::time::Instant::now();
        let answered = async {
            // Parsers disagree on a parameter that is given twice, so refuse it. Pages and the route that reads each one
            // read theirs by themselves: links come to them with parameters of others; and OAuth endpoints read none.
            let query = match request.uri().query() {
                Some(query) if ![ErrorShape::Page, ErrorShape::OAuth].contains(&route.shape) => {
                    parameters(query.as_bytes()).map(drop)
                }
                _ => Ok(()),
            };
            let mut moved = without_slash(&route, request.uri());
            let wants_page = !route.exists() && prefers_html(request.headers());
            let admitted = || -> Result<(), poem::Error> {
                came?;
                // Refuse before the body is read.
                rate_limit.check()?;
                Ok(one_host(&request)?)
            };
            let answer = match (admitted(), cors.preflight(&route), query) {
                (Err(refusal), ..) => Err(refusal),
                (Ok(()), ..) if moved.is_some() => Ok(moved.take().unwrap_or_default()),
                (Ok(()), Some(cors), _) => Ok(cors),
                (Ok(()), None, Err(_)) => Err(BodyError::Query.into()),
                // `HEAD` changes nothing (RFC 9110 §9.2.1), and here the handler of `GET` does.
                (Ok(()), None, Ok(())) if method == Method::HEAD && route.get_acts() => {
                    Err(MethodNotAllowedError.into())
                }
                (Ok(()), None, Ok(())) => match tokio::time::timeout(PATIENCE, self.inner.call(request)).await {
                    Ok(answer) => answer.map(IntoResponse::into_response),
                    Err(_) => Err(Overdue.into()),
                },
            };
            let mut response = match answer {
                Ok(answer) => answer,
                Err(error) if route.is_page() || (wants_page && error.status() == StatusCode::NOT_FOUND) => {
                    pages::error::page(&self.layer.branding, &route, &id, &error)
                }
                Err(error) => shape(&route, error),
            };
            self.layer.seal(&route, &id, &mut response);
            rate_limit.tell(response.headers_mut());
            cors.tell(response.headers_mut());
            // The rest of an abandoned body stays unread, so the connection must close. Without this field a client
            // could send its next request into the closing connection.
            let given_up =
                [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT].contains(&response.status()) || unread;
            if given_up && version < Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let route = route.name();
            let status = response.status().as_u16();
            let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(%method, route, status, milliseconds, "answered");
            self.layer.metrics.answered(route, method.as_str(), status, started.elapsed());
            Ok(response)
        };
        self.layer.metrics.clone().counting(answered.instrument(span)).await
    }
}

impl ResponseLayer {
    /// The answers that are given before the routes. What a route answers is sealed for it by this layer.
    pub(in crate::http) fn with_built(self, keys: PublishedKeys, metadata: &ETagged, tokens: TokenAnswers) -> Self {
        let built = BuiltAnswers::new(keys, metadata, &|path, response| self.sealed(path, response));
        Self { built: Some(Arc::new(built)), tokens: Some(Arc::new(tokens)), ..self }
    }

    /// The header of a route's answer without its request id.
    fn sealed(&self, path: &'static str, mut response: Response) -> HeaderMap {
        let route = routes::find(path);
        self.seal(&route, "", &mut response);
        response.headers_mut().remove(REQUEST_ID);
        self.cors.judge(route.cors, &Request::default()).tell(response.headers_mut());
        std::mem::take(response.headers_mut())
    }

    /// The answer to a request for one of the documents that are read all the time, or to a token that is known. Its log
    /// line is for debugging: there would be more of them than of all others.
    fn quick_answer(&self, route: &RouteMatch, id: &str, request: &Request) -> Option<Response> {
        let (built, tokens) = (self.built.as_ref()?, self.tokens.as_ref()?);
        // The layer below tells what is wrong.
        if self.transport.check(request).is_err() || one_host(request).is_err() {
            return None;
        }
        let started = std::time::Instant::now();
        let sealed = built.find(route, request, &|path, response| self.sealed(path, response));
        let response = if let Some(mut response) = sealed {
            if let Ok(id) = HeaderValue::from_str(id) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            response
        } else {
            let mut response = tokens.find(route, request)?;
            self.seal(route, id, &mut response);
            self.cors.judge(route.cors, request).tell(response.headers_mut());
            response
        };
        let (route, status) = (route.name(), response.status().as_u16());
        tracing::debug!(id, route, status, "answered");
        self.metrics.answered(route, request.method().as_str(), status, started.elapsed());
        Some(response)
    }

    fn seal(&self, route: &RouteMatch, id: &str, response: &mut Response) {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(REQUEST_ID, id);
        }
        let is_page = response.content_type().is_some_and(|kind| kind.starts_with("text/html"));
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::REFERRER_POLICY, "same-origin");
        set(header::CONTENT_SECURITY_POLICY, POLICY);
        set(header::CACHE_CONTROL, "no-store");
        // This limits `<img>` and `<script>` of other sites; `Cors` decides about fetches.
        set(RESOURCE_POLICY, if route.cors == CorsClass::Everyone { "cross-origin" } else { "same-origin" });
        // A popup that a client opened needs its opener until it is back; our own pages are nobody's popup.
        if is_page && !route.may_be_popup() {
            set(OPENER_POLICY, "same-origin");
        }
        if self.https {
            set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
        debug_assert!(
            response.status().as_u16() < 400
                || response.content_type().is_some_and(|t| t == problem::CONTENT_TYPE || t == "application/json")
                || response.content_type().is_some_and(|t| t.starts_with("application/json"))
                || route.is_page()
                || is_page,
            "an error without a shape"
        );
    }
}

/// Leads a browser that asks for a page with a slash behind it to the page, with the method and the body that it came with
/// (RFC 9110 §15.4.9).
fn without_slash(route: &RouteMatch, uri: &Uri) -> Option<Response> {
    let page = routes::page_without_slash(uri.path()).filter(|_| !route.exists())?;
    let location = uri.query().map_or_else(|| page.to_owned(), |query| format!("{page}?{query}"));
    let location = HeaderValue::from_bytes(location.as_bytes()).ok()?;
    Some(Response::builder().status(StatusCode::PERMANENT_REDIRECT).header(header::LOCATION, location).finish())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use poem::{Route, endpoint::make_sync};

    use super::*;
    use crate::{domain::color::Color, http::layered};

    /// No request can be sent that makes a handler of ours panic, so this one is made for it.
    #[tokio::test]
    async fn a_panic_is_answered_as_any_other_error_and_says_nothing() {
        let panics = |_| -> Response { panic!("a secret") };
        let layer = ResponseLayer {
            request_ids: RequestIds::default(),
            metrics: Metrics::new(DateTime::UNIX_EPOCH),
            branding: Branding::new("Signet".to_owned(), Color([0; 3])),
            transport: Transport { tls: true, trusted_proxies: Vec::new(), has_warned: Arc::default() },
            cors: Cors(vec!["https://app.example.org".to_owned()]),
            limit: Limit::default(),
            https: true,
            built: None,
            tokens: None,
        };
        let service = layered(Route::new().at("/v1/users", make_sync(panics)), layer);
        let request = Request::builder()
            .uri_str("/v1/users")
            .header("host", "signet")
            .header("origin", "https://app.example.org");
        let answer = service.call(request.finish()).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.content_type(), Some(problem::CONTENT_TYPE));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("content-security-policy", POLICY),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("strict-transport-security", "max-age=31536000"),
            ("access-control-allow-origin", "https://app.example.org"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert!(answer.header("x-request-id").is_some());
        let body = answer.into_body().into_string().await.expect("text");
        assert!(body.contains("internal_error") && !body.contains("secret"), "{body}");
    }
}
