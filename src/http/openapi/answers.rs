//! The meaning of each status in the documentation, and the header fields that come with it.

use poem_openapi::{registry::MetaHeader, types::Type};

/// The description of a status.
pub(in crate::http) fn describe(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read.",
        408 => "The body took too long to arrive.",
        401 => "The credentials or the token are invalid.",
        403 => "Not allowed.",
        404 => "Not found.",
        409 => "The value is taken.",
        413 => "The body is over 64 kB.",
        415 => "The body is of another type.",
        422 => "Some fields are invalid; `errors` lists them.",
        429 => "Too many requests, or wrong passwords: try again after the seconds that `Retry-After` says.",
        503 => "The service cannot do this at the moment: try again after the seconds that `Retry-After` says.",
        _ => "",
    }
}

/// The header fields that come with a status.
pub(in crate::http) fn headers(status: u16) -> Vec<MetaHeader> {
    let name = match status {
        401 => "WWW-Authenticate",
        429 | 503 => "Retry-After",
        _ => return Vec::new(),
    };
    vec![MetaHeader {
        name: name.to_owned(),
        description: None,
        required: status != 401,
        deprecated: false,
        schema: String::schema_ref(),
    }]
}
