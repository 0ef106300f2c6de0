//! Answers that need neither the database nor a signature: to tokens whose signature this process has verified before, and
//! status lists that were just built. Proxies and gateways ask for them with every request that they pass on, so they are
//! given before the middleware that they do not need. The routes' own code makes them; what is refused, or has to wait,
//! goes to the route.

use poem::{
    Request, Response,
    http::{Method, header},
};
use secrecy::ExposeSecret;

use crate::{
    http::{
        extract::bearer,
        oauth::{
            check::{self, CheckEndpoint},
            status_lists, userinfo,
        },
        routes::RouteMatch,
    },
    services::sessions::{status_lists::StatusLists, userinfo::Userinfo},
};

/// The services that can answer at once.
#[derive(Debug)]
pub(in crate::http) struct TokenAnswers {
    pub(in crate::http) check: CheckEndpoint,
    pub(in crate::http) userinfo: Userinfo,
    pub(in crate::http) status_lists: StatusLists,
}

impl TokenAnswers {
    /// The answer, without what the response layer adds; `None` for a request that the route has to answer.
    pub(in crate::http) fn find(&self, route: &RouteMatch, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let has = |field| headers.contains_key(field);
        // A script's request needs fields of its own (CORS), and a body has to be read.
        if has(header::ORIGIN) || has(header::CONTENT_LENGTH) || has(header::TRANSFER_ENCODING) {
            return None;
        }
        let is_plain = request.method() == Method::GET && request.uri().query().is_none();
        match route.name() {
            check::PATH if self.has_verified(request) => self.check.answer(request).ok(),
            userinfo::PATH if is_plain && self.has_verified(request) => {
                userinfo::answer_at_once(&self.userinfo, bearer::token(request).ok()?.expose_secret())
            }
            status_lists::PATH if is_plain => status_lists::answer_at_once(&self.status_lists, request),
            _ => None,
        }
    }

    fn has_verified(&self, request: &Request) -> bool {
        bearer::token(request).is_ok_and(|token| self.check.check.bearer.has_verified(token.expose_secret()))
    }
}
