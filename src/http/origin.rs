//! Where a request comes from, as it is shown among an account's sessions.

use poem::{FromRequest, Request, RequestBody, http::header};

use crate::flow::log_in::Origin;

/// The program as it names itself, and the peer's address.
#[derive(Debug)]
pub(super) struct RequestOrigin(pub(super) Origin);

/// As much of a `User-Agent` as is kept, in characters.
const USER_AGENT: usize = 200;

impl<'a> FromRequest<'a> for RequestOrigin {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let user_agent = user_agent.map(|text| text.chars().filter(|c| !c.is_control()).take(USER_AGENT).collect());
        Ok(Self(Origin { user_agent, ip: address(request) }))
    }
}

/// The peer's address, without its port.
pub(super) fn address(request: &Request) -> Option<String> {
    request.remote_addr().as_socket_addr().map(|address| address.ip().to_canonical().to_string())
}
