//! Authorization requests that wait for a person. They travel with the browser, sealed: nothing is stored, and any
//! replica can resume them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    crypto::compress,
    domain::{authorization_request::AuthorizationRequest, ids::UserId, session::Session},
    services::{csrf::BrowserId, sealed::Sealer},
};

/// An authorization request while its person logs in or consents.
#[derive(Debug)]
pub(in crate::services) struct PendingAuthorization {
    pub(in crate::services) request: AuthorizationRequest,
    /// The browser that brought the request.
    pub(in crate::services) browser: String,
    pub(in crate::services) asked_at: DateTime<Utc>,
    /// The name of the pushed request that this is, if it was pushed.
    pub(in crate::services) reference: Option<String>,
    /// The person whom the client's ID token hint names, if it has one.
    pub(in crate::services) meant: Option<UserId>,
    /// Whether the person chose to continue as the account that is logged in.
    pub(in crate::services) account_chosen: bool,
    /// Whether the person pressed a button of our pages for this request.
    pub(in crate::services) pressed: bool,
}

/// The state that this service adds to the client's request. It is not compressed: the length would tell the client
/// about the browser's id.
#[derive(Serialize, Deserialize)]
struct ServerState {
    browser: String,
    asked_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meant: Option<UserId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    account_chosen: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pressed: bool,
}

/// The context that requests are sealed for.
const CONTEXT: &str = "authorization request";
/// How long a person may take to log in and to consent.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// The longest sealed request, in bytes. On the way to a provider and back it is a cookie's value, beside the attempt
/// and all other fields of that answer's header, for which nginx takes 4 kB by default.
const MAX_LENGTH: usize = 2700;
/// The longest request, in bytes of JSON.
const MAX_PLAIN: usize = 16 * 1024;

impl PendingAuthorization {
    /// One line of JSON that is [`ServerState`], and the client's request, compressed.
    pub(in crate::services) fn seal(&self, sealer: &Sealer) -> String {
        let Self { request, browser, asked_at, reference, meant, account_chosen, pressed } = self;
        let state = ServerState {
            browser: browser.clone(),
            asked_at: *asked_at,
            reference: reference.clone(),
            meant: *meant,
            account_chosen: *account_chosen,
            pressed: *pressed,
        };
        let (Ok(mut plain), Ok(request)) = (serde_json::to_vec(&state), serde_json::to_vec(request)) else {
            return String::new();
        };
        plain.push(b'\n');
        plain.extend(compress::deflate(&request));
        sealer.seal_bytes(CONTEXT, &plain)
    }

    /// Whether the request can travel. While the person is asked, it grows by two short words at most.
    pub(in crate::services) fn can_travel(&self, sealer: &Sealer) -> bool {
        self.seal(sealer).len() <= MAX_LENGTH
    }

    /// Whether the client's ID token hint, if any, names the account of this login.
    pub(in crate::services) fn means(&self, session: &Session) -> bool {
        self.meant.is_none_or(|meant| meant == session.user)
    }

    /// Opens a request that was sealed for `browser`; `None` if it is another browser's or too old.
    pub(in crate::services) fn open(
        sealer: &Sealer,
        text: &str,
        browser: &BrowserId,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let plain = sealer.open_bytes(CONTEXT, text)?;
        let line = plain.iter().position(|byte| *byte == b'\n')?;
        let (state, request) = plain.split_at_checked(line)?;
        let request = compress::inflate(request.get(1..)?, MAX_PLAIN)?;
        let request = serde_json::from_slice(&request).ok()?;
        let ServerState { browser: brought_by, asked_at, reference, meant, account_chosen, pressed } =
            serde_json::from_slice(state).ok()?;
        let good = brought_by == browser.as_str() && now < asked_at + PATIENCE;
        good.then_some(Self { request, browser: brought_by, asked_at, reference, meant, account_chosen, pressed })
    }
}
