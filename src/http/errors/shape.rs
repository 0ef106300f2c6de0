//! Renders the errors that no handler answered, in the shape of their route.

use poem::{
    IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ParsePathError},
    http::StatusCode,
};

use super::{
    failure::{BearerRefusal, Misdirected, Overdue, TooManyRequests},
    oauth::OAuthError,
    problem::{IntoProblem, Problem},
};
use crate::{
    domain::oauth::OAuthErrorCode,
    http::{
        extract::body::BodyError,
        legacy::Refused,
        routes::{ErrorShape, RouteMatch},
    },
    services::Unavailable,
};

/// Renders an error of a route that is no page: bodies that could not be read, missing tokens, unknown routes, methods
/// that the route does not take.
pub(in crate::http) fn shape(route: &RouteMatch, error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    if let Some(body) = error.downcast_ref::<BodyError>().cloned() {
        return render(route.shape, body);
    }
    if let Some(too_many) = error.downcast_ref::<TooManyRequests>().copied() {
        return render(route.shape, too_many);
    }
    if error.is::<Overdue>() {
        return render(route.shape, Unavailable::TooSlow);
    }
    if error.is::<BearerRefusal>() {
        return match error.downcast::<BearerRefusal>() {
            Ok(refusal) => refusal.into_problem().into_response(),
            Err(other) => other.into_response(),
        };
    }
    let (status, code, detail) = if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
        (StatusCode::NOT_FOUND, "not_found", "There is nothing here; /docs lists every route.")
    } else if error.is::<MethodNotAllowedError>() {
        (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This route does not take that method; see Allow.")
    } else if error.is::<Misdirected>() {
        let detail = "Plain HTTP is for the operator's proxies alone; use the https:// address of this service.";
        (error.status(), "misdirected_request", detail)
    } else if error.status().is_client_error() {
        (error.status(), "invalid_request", "The request cannot be read.")
    } else {
        tracing::error!(cause = %error, "a request failed");
        (StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something broke on our side; it has been logged.")
    };
    let response = match route.shape {
        ErrorShape::OAuth => {
            OAuthError::new(OAuthErrorCode::InvalidRequest, detail).with_status(status).into_response()
        }
        ErrorShape::Original => Refused::new(status, detail).into_response(),
        ErrorShape::Problem | ErrorShape::Page => Problem::new(status, code, detail).into_response(),
    };
    if status == StatusCode::METHOD_NOT_ALLOWED {
        return response.with_header("Allow", route.allow()).into_response();
    }
    response
}

fn render<E: IntoProblem>(shape: ErrorShape, error: E) -> Response
where
    OAuthError: From<E>,
    Refused: From<E>,
{
    match shape {
        ErrorShape::OAuth => OAuthError::from(error).into_response(),
        ErrorShape::Original => Refused::from(error).into_response(),
        ErrorShape::Problem | ErrorShape::Page => error.into_problem().into_response(),
    }
}
