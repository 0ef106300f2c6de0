//! The metrics, on a listener of their own: who reaches it needs no account, and sees no secret.

use poem::{
    Endpoint, IntoResponse, Request, Response,
    endpoint::make_sync,
    http::{Method, StatusCode, header},
};

use crate::{http::middleware::transport::one_host, services::metrics::MetricsSnapshot};

/// The text format of OpenMetrics 1.0, which Prometheus reads.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`, and nothing else.
#[must_use]
pub fn endpoint(watch: MetricsSnapshot) -> impl Endpoint<Output = Response> + 'static {
    make_sync(move |request: Request| {
        if one_host(&request).is_err() {
            return StatusCode::BAD_REQUEST.into_response();
        }
        if request.uri().path() != "/metrics" {
            return StatusCode::NOT_FOUND.into_response();
        }
        if request.method() != Method::GET {
            return Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).header(header::ALLOW, "GET").finish();
        }
        match watch.text() {
            Ok(text) => {
                let answer = Response::builder().header(header::CACHE_CONTROL, "no-store");
                answer.header("x-content-type-options", "nosniff").content_type(CONTENT_TYPE).body(text)
            }
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    })
}
