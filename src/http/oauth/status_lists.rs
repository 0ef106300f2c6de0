//! Status lists (draft-ietf-oauth-status-list §8).

use poem::{
    IntoResponse, Request, Response,
    http::{StatusCode, header},
};
use poem_openapi::{
    OpenApi,
    param::{Header, Path},
};

use crate::{
    http::{
        errors::problem::{Problem, ProblemFor, PublicLookup},
        openapi::document::{Document, MediaType},
    },
    services::{keys::published::ETagged, sessions::status_lists::StatusLists},
};

/// The path, as the table of routes has it.
pub(in crate::http) const PATH: &str = "/oauth/status-lists/{list}";

/// Status lists.
pub(in crate::http) struct StatusListsApi {
    pub(in crate::http) status_lists: StatusLists,
}

/// A status list token.
#[derive(Debug)]
enum StatusListJwt {}

impl MediaType for StatusListJwt {
    const NAME: &'static str = "application/statuslist+jwt";
}

/// The answer to a request for a list that was built or looked at within the last second.
pub(in crate::http) fn answer_at_once(status_lists: &StatusLists, request: &Request) -> Option<Response> {
    let number = number(request.uri().path().rsplit('/').next()?)?;
    let known = request.headers().get(header::IF_NONE_MATCH).map(|field| field.to_str());
    let published = status_lists.fresh(number)?;
    Some(document(&published.tagged, known.transpose().ok()?).into_response())
}

/// A list's number, written as we write it: one list has one URI.
fn number(text: &str) -> Option<u16> {
    text.parse::<u16>().ok().filter(|number| number.to_string() == text)
}

/// No cache may add its own time to the list's ttl, or revocations would take effect later than we promise.
fn document(list: &ETagged, if_none_match: Option<&str>) -> Document<String, StatusListJwt> {
    Document::new(list, 0, if_none_match)
}

/// Status lists.
#[OpenApi(tag = "crate::http::openapi::docs::Tag::OAuth")]
impl StatusListsApi {
    /// Status list (draft-ietf-oauth-status-list)
    ///
    /// A signed JWT with one bit a session: set once the session has ended. An access token names its list and its
    /// index in `status.status_list`. Verifiers keep it for its `ttl`, 60 seconds.
    #[oai(path = "/oauth/status-lists/:list", method = "get", operation_id = "status_list")]
    async fn status_list(
        &self,
        /// The number of the list.
        list: Path<String>,
        /// The entity tag of the copy that the caller has.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Document<String, StatusListJwt>, ProblemFor<PublicLookup>> {
        let found = match number(&list.0) {
            Some(number) => self.status_lists.get(number).await?,
            None => None,
        };
        let Some(published) = found else {
            return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "There is no such status list.").into());
        };
        Ok(document(&published.tagged, if_none_match.0.as_deref()))
    }
}
