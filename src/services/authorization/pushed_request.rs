//! Pushed authorization requests as the browser carries them: the `request_uri` is the parameters themselves, sealed.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    crypto::digest, domain::authorization_request::Parameters, services::sealed::Sealer,
    store::authorization_codes::ReferenceDigest,
};

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::services) struct PushedRequest {
    pub(in crate::services) client_id: String,
    pub(in crate::services) parameters: Parameters,
    pub(in crate::services) pushed_at: DateTime<Utc>,
}

/// The context that requests are sealed for.
const CONTEXT: &str = "pushed authorization request";
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

impl PushedRequest {
    /// How long the browser may take to bring the reference.
    pub(in crate::services) const LIFETIME: TimeDelta = TimeDelta::seconds(60);

    /// The `request_uri` that stands for this request.
    pub(in crate::services) fn request_uri(&self, sealer: &Sealer) -> String {
        format!("{PREFIX}{}", sealer.seal(CONTEXT, self))
    }

    /// The sealed part of a `request_uri` of ours; `None` for any other URI.
    pub(in crate::services) fn sealed_in(request_uri: &str) -> Option<&str> {
        request_uri.strip_prefix(PREFIX)
    }

    /// Opens a sealed request; `None` if it is not ours or has expired.
    pub(in crate::services) fn open(sealer: &Sealer, text: &str, now: DateTime<Utc>) -> Option<Self> {
        let pushed: Option<Self> = sealer.open(CONTEXT, text);
        pushed.filter(|pushed| now < pushed.pushed_at + Self::LIFETIME)
    }

    /// A short name of a sealed request. No two seals are the same.
    pub(in crate::services) fn name(sealed: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest::sha256(sealed.as_bytes()))
    }

    /// What the code for the request of this name is stored with.
    pub(in crate::services) fn digest(name: &str) -> ReferenceDigest {
        ReferenceDigest(digest::sha256(name.as_bytes()))
    }

    /// The parameters, with the client that pushed them.
    pub(in crate::services) fn into_parameters(self) -> Parameters {
        Parameters { client_id: Some(self.client_id), ..self.parameters }
    }
}
