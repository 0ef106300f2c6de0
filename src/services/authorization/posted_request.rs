//! Authorization requests that a client posted and that are longer than a URL may be. The browser carries them sealed and
//! compressed, as it would carry a link: they prove nothing of their client.

use serde::{Deserialize, Serialize};

use crate::{
    crypto::compress,
    domain::authorization_request::Parameters,
    services::authorization::authorize::{Authorize, AuthorizeError},
};

#[derive(Serialize, Deserialize)]
struct PostedRequest {
    parameters: Parameters,
    malformed: bool,
}

/// The context that requests are sealed for.
const CONTEXT: &str = "posted authorization request";
/// The longest sealed request, in bytes: with its path it fits the first line of a request.
const MAX_LENGTH: usize = 7000;
/// The longest request, in bytes of JSON: a form has 64 kB, and JSON writes a byte as six at the most.
const MAX_PLAIN: usize = 6 * 64 * 1024;

impl Authorize {
    /// Seals a request; `None` if it is longer than any that is answered with more than an error.
    #[must_use]
    pub fn seal_posted(&self, parameters: Parameters) -> Option<String> {
        let malformed = parameters.malformed;
        let posted = PostedRequest { parameters: parameters.without_idle_hints(), malformed };
        let plain = serde_json::to_vec(&posted).ok()?;
        let sealed = self.sealer.seal_bytes(CONTEXT, &compress::deflate(&plain));
        (sealed.len() <= MAX_LENGTH).then_some(sealed)
    }

    /// Opens a sealed request.
    ///
    /// # Errors
    /// [`AuthorizeError::Expired`] if it was not sealed here, or its key is gone.
    pub fn open_posted(&self, sealed: &str) -> Result<Parameters, AuthorizeError> {
        let plain = self.sealer.open_bytes(CONTEXT, sealed).and_then(|bytes| compress::inflate(&bytes, MAX_PLAIN));
        let posted: Option<PostedRequest> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        let PostedRequest { parameters, malformed } = posted.ok_or(AuthorizeError::Expired)?;
        Ok(Parameters { malformed, ..parameters })
    }
}
