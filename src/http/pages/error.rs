//! Error pages: fixed texts, and the request id for the operator.

use std::{borrow::Cow, fmt};

use poem::{
    Response,
    error::ResponseError,
    http::{StatusCode, header},
};

use crate::{
    http::{
        errors::failure::{Overdue, TooManyRequests, retry_after},
        extract::body::BodyError,
        pages::{
            branding::Branding,
            layout::{self, Link, Notice},
        },
        routes::RouteMatch,
    },
    services::{Unavailable, clients::documents::DocumentRefusal},
};

/// Why a page is not shown, or a form not taken.
#[derive(Debug)]
pub(in crate::http) enum PageError {
    /// The form stands on a page of another site.
    Foreign,
    /// The form is not one that we gave this browser, or not lately.
    Stale,
    /// The form lacks what its page has.
    Incomplete,
    /// The form cannot be read.
    Body(BodyError),
    /// A client that is not registered sent the browser here.
    UnknownClient,
    /// The document that describes a client is not accepted.
    Document(DocumentRefusal),
    /// A client asked for a redirect URI that is not registered for it.
    RedirectUri,
    /// A client's request is not one that this browser brought, or not lately.
    Expired,
    /// The network has caused too many emails.
    TooMany(TooManyRequests),
    /// The service cannot do it at the moment.
    Unavailable(Unavailable),
}

impl From<Unavailable> for PageError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl From<TooManyRequests> for PageError {
    fn from(too_many: TooManyRequests) -> Self {
        Self::TooMany(too_many)
    }
}

/// Why a form's body was not read, as every page says it.
impl From<BodyError> for PageError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("the form came from another site"),
            Self::Stale => f.write_str("the form was not given to this browser"),
            Self::Incomplete => f.write_str("the form is incomplete"),
            Self::Body(error) => error.fmt(f),
            Self::UnknownClient => f.write_str("the client is not registered"),
            Self::Document(refusal) => write!(f, "the client's document is not accepted: {refusal}"),
            Self::RedirectUri => f.write_str("the redirect URI is not the client's"),
            Self::Expired => f.write_str("the client's request has expired"),
            Self::TooMany(too_many) => too_many.fmt(f),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

impl std::error::Error for PageError {}

impl ResponseError for PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Foreign | Self::Stale => StatusCode::FORBIDDEN,
            Self::Incomplete | Self::UnknownClient | Self::Document(_) | Self::RedirectUri | Self::Expired => {
                StatusCode::BAD_REQUEST
            }
            Self::Body(error) => error.status(),
            Self::TooMany(too_many) => too_many.status(),
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

const BUSY: (&str, &str) =
    ("Please try again", "This cannot be done at the moment. Wait a little, then reload this page.");
const DOCUMENT_BUSY: (&str, &str) = (
    "The app cannot be checked at the moment",
    "The app that sent you is described by a document on a site of its own, and that site cannot be reached. Wait a little, \
     then reload this page. If that does not help, tell the developer of the app.",
);
const TOO_OFTEN: (&str, &str) = ("Too many attempts", "Wait a little, then reload this page.");
const NOT_FOUND: (&str, &str) =
    ("There is no such page", "The address is wrong, or the page is gone. Check the address, or go to your account.");
const UNREADABLE: (&str, &str) =
    ("This was not understood", "Your browser sent something that cannot be read. Go back, and try again.");

/// The page about `error`.
pub(in crate::http) fn page(
    branding: &Branding,
    route: &RouteMatch,
    request_id: &str,
    error: &poem::Error,
) -> Response {
    let (status, (title, text), field) = describe(error);
    let link = way_on(error, route);
    let notice = Notice { alarming: true, request_id, link, ..Notice::new(branding, title, &text) };
    let mut response = layout::page(status, &notice);
    let field = match status {
        StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, route.allow())),
        _ => field.map(|seconds| (header::RETRY_AFTER, seconds.to_string())),
    };
    if let Some((name, value)) = field.and_then(|(name, value)| Some((name, value.parse().ok()?))) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A way on from a form or a request that is over: the page that the form stood on, or the login page, which leads a
/// user who is logged in to the account.
fn way_on(error: &poem::Error, route: &RouteMatch) -> Option<Link> {
    if error.status() == StatusCode::NOT_FOUND {
        return Some(Link { href: "/account", label: "Go to your account" });
    }
    let page = match error.downcast_ref::<PageError>()? {
        PageError::Stale | PageError::Foreign if route.has_page() => route.name(),
        PageError::Stale | PageError::Foreign | PageError::Expired => "/login",
        _ => return None,
    };
    let label = match page {
        "/login" => "Log in here",
        page if page.starts_with("/account") => "Go to your account",
        _ => "Open the page again",
    };
    Some(Link { href: page, label })
}

/// The status, the title and text, and the value of `Retry-After` in seconds.
fn describe(error: &poem::Error) -> (StatusCode, (&'static str, Cow<'static, str>), Option<u64>) {
    let fixed = |(title, text): (&'static str, &'static str)| (title, Cow::Borrowed(text));
    if let Some(known) = error.downcast_ref::<PageError>() {
        let text = match known {
            PageError::Foreign => (
                "This form came from elsewhere",
                "For your safety it was not accepted. Open the page again, and try once more.",
            ),
            PageError::Stale => (
                "This form is too old",
                "Open the page again, and try once more. If that does not help, let your browser keep cookies of this site.",
            ),
            PageError::UnknownClient => (
                "This app is not known here",
                "The app that sent you is not registered, so you were not sent back to it. Tell the operator of the app.",
            ),
            PageError::Document(refusal) => {
                let text = format!(
                    "The app that sent you is described by a document on a site of its own, and the document is not \
                     accepted: {refusal}. So you were not sent back to the app. Tell the developer of the app.",
                );
                return (known.status(), ("This app cannot be used here", text.into()), None);
            }
            PageError::RedirectUri => (
                "This app asked for the wrong address",
                "The app wants you to be sent to an address that is not registered for it, so you were not sent there. \
                 Tell the operator of the app.",
            ),
            PageError::Expired => (
                "This took too long",
                "Go back to the app that sent you, and begin again. If that does not help, let your browser keep \
                 cookies of this site.",
            ),
            PageError::Body(_) | PageError::Incomplete => UNREADABLE,
            PageError::TooMany(too_many) => return (known.status(), fixed(TOO_OFTEN), Some(too_many.retry_after)),
            PageError::Unavailable(unavailable) => {
                let text = if matches!(unavailable, Unavailable::Document { .. }) { DOCUMENT_BUSY } else { BUSY };
                return (known.status(), fixed(text), Some(retry_after(unavailable)));
            }
        };
        return (known.status(), fixed(text), None);
    }
    if let Some(body) = error.downcast_ref::<BodyError>() {
        return (body.status(), fixed(UNREADABLE), None);
    }
    if let Some(too_many) = error.downcast_ref::<TooManyRequests>() {
        return (StatusCode::TOO_MANY_REQUESTS, fixed(TOO_OFTEN), Some(too_many.retry_after));
    }
    if error.is::<Overdue>() {
        return (StatusCode::SERVICE_UNAVAILABLE, fixed(BUSY), Some(retry_after(&Unavailable::TooSlow)));
    }
    if error.status() == StatusCode::NOT_FOUND {
        return (error.status(), fixed(NOT_FOUND), None);
    }
    if error.status().is_client_error() {
        return (error.status(), fixed(UNREADABLE), None);
    }
    tracing::error!(cause = %error, "a page failed");
    (StatusCode::INTERNAL_SERVER_ERROR, fixed(("Something broke", "It broke on our side, and has been logged.")), None)
}
