//! Status lists (draft-ietf-oauth-status-list §8).

use poem::http::StatusCode;
use poem_openapi::{
    OpenApi,
    param::{Header, Path},
};

use crate::{
    http::{
        errors::problem::{Problem, ProblemFor, PublicLookup},
        openapi::document::{Document, MediaType},
    },
    services::sessions::status_lists::StatusLists,
};

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
        // Written as we write it: one list has one URI.
        let number = list.0.parse::<u16>().ok().filter(|number| number.to_string() == list.0);
        let found = match number {
            Some(number) => self.status_lists.get(number).await?,
            None => None,
        };
        let Some(published) = found else {
            return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "There is no such status list.").into());
        };
        // No cache may add its own time to the list's ttl, or revocations would take effect later than we promise.
        Ok(Document::new(&published.tagged, 0, if_none_match.0.as_deref()))
    }
}
