//! Redirects of the browser.

use poem::{
    Body, Request, RequestBody, Response,
    http::{StatusCode, header},
};

use crate::http::{extract::body, pages::error::PageError};

/// The longest query that a form is turned into, in bytes: what proxies take in a request's first line.
const LONGEST_QUERY: usize = 7 * 1024;

/// 303, so that a form with a password is never posted on (RFC 9700 §4.12).
pub(in crate::http) fn see_other(location: &str) -> Response {
    Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, location).finish()
}

/// A client's form comes from another site, so that the browser keeps its cookies back (`SameSite=Lax`); asked again
/// with GET at `path`, it brings them.
pub(in crate::http) async fn ask_again(path: &str, request: &Request, body: Body) -> Result<Response, PageError> {
    let form = body::form(request, &mut RequestBody::new(body)).await?;
    let pairs = form.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.len() > LONGEST_QUERY {
        return Err(PageError::Incomplete);
    }
    Ok(see_other(&format!("{path}?{query}")))
}
