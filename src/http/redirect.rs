//! Redirects of the browser.

use poem::{
    Body, Request, RequestBody, Response,
    http::{StatusCode, header},
};

use crate::http::{
    extract::body,
    pages::{
        branding::Branding,
        error::PageError,
        layout::{LONGEST_LOCATION, Leaving},
    },
};

/// The longest query that a form is turned into, in bytes: what proxies take in a request's first line.
const LONGEST_QUERY: usize = 7 * 1024;

/// 303, so that a form with a password is never posted on (RFC 9700 §4.12).
pub(in crate::http) fn see_other(location: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location).finish()
}

/// A client's form comes from another site, so that the browser keeps its cookies back (`SameSite=Lax`); asked again
/// with GET at `path`, it brings them.
pub(in crate::http) async fn ask_again(
    branding: &Branding,
    path: &str,
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    let form = body::form_text(request, &mut RequestBody::new(body)).await?;
    // A form is a query as it is (WHATWG URL §5); the same parameters are read of both.
    let query = String::from_utf8(form).ok().filter(|form| form.bytes().all(|byte| byte.is_ascii_graphic()));
    come_again(branding, path, &query.ok_or(PageError::Incomplete)?.replace('#', "%23"))
}

/// Has the browser ask again, with GET and this query.
///
/// # Errors
/// [`PageError`] where that is longer than a request's first line may be.
pub(in crate::http) fn come_again(branding: &Branding, path: &str, query: &str) -> Result<Response, PageError> {
    if query.len() > LONGEST_QUERY {
        return Err(PageError::Incomplete);
    }
    let address = format!("{path}?{query}");
    if address.len() <= LONGEST_LOCATION {
        return Ok(see_other(&address));
    }
    Ok(Leaving::new(branding, "One moment", "If nothing happens, continue here.", &address).response())
}
