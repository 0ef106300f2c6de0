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
///
/// Only the parameters in `names` go on.
pub(in crate::http) async fn ask_again(
    branding: &Branding,
    path: &str,
    names: &[&str],
    request: &Request,
    body: Body,
) -> Result<Response, PageError> {
    let form = body::form_text(request, &mut RequestBody::new(body)).await?;
    come_again(branding, path, &as_query(&form, names))
}

/// A form's parameters that are in `names`, as a query. A form is one as it is (WHATWG URL §5), but for the characters that
/// no URL has.
pub(in crate::http) fn as_query(form: &[u8], names: &[&str]) -> String {
    let form = body::pairs_of(form, names).join(&b'&');
    let written = |byte: &u8| match byte {
        b'#' => "%23".to_owned(),
        byte if byte.is_ascii_graphic() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    form.iter().map(written).collect()
}

/// Whether a query is longer than a request's first line may be.
pub(in crate::http) fn is_too_long(query: &str) -> bool {
    query.len() > LONGEST_QUERY
}

/// Has the browser ask again, with GET and this query.
///
/// # Errors
/// [`PageError`] where that is longer than a request's first line may be.
pub(in crate::http) fn come_again(branding: &Branding, path: &str, query: &str) -> Result<Response, PageError> {
    if is_too_long(query) {
        return Err(PageError::Incomplete);
    }
    let address = format!("{path}?{query}");
    if address.len() <= LONGEST_LOCATION {
        return Ok(see_other(&address));
    }
    Ok(Leaving::new(branding, "One moment", "If nothing happens, continue here.", &address).response())
}
