//! Authorization requests that wait for a person. They travel with the browser, sealed: nothing is stored, and any
//! replica can resume them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{authorization_request::AuthorizationRequest, ids::UserId, session::Session},
    services::{csrf::BrowserId, sealed::Sealer},
};

/// An authorization request while its person logs in or consents.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::services) struct PendingAuthorization {
    pub(in crate::services) request: AuthorizationRequest,
    /// The browser that brought the request.
    pub(in crate::services) browser: String,
    pub(in crate::services) asked_at: DateTime<Utc>,
    /// The name of the pushed request that this is, if it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::services) reference: Option<String>,
    /// The person whom the client's ID token hint names, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::services) meant: Option<UserId>,
    /// Whether the person chose to continue as the account that is logged in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::services) account_chosen: bool,
    /// Whether the person pressed a button of ours for this request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::services) pressed: bool,
}

/// The context that requests are sealed for.
const CONTEXT: &str = "authorization request";
/// How long a person may take to log in and to consent.
const PATIENCE: TimeDelta = TimeDelta::hours(1);
/// The longest sealed request, in bytes. On the way to a provider and back it is a cookie's value, and browsers
/// silently drop cookies of more than 4096 bytes (RFC 6265 §6.1); in a `Location` it has to fit into the 4 kB that nginx
/// takes for the header of an answer.
const MAX_LENGTH: usize = 3300;

impl PendingAuthorization {
    pub(in crate::services) fn seal(&self, sealer: &Sealer) -> String {
        sealer.seal(CONTEXT, self)
    }

    /// Whether the request fits into a cookie. It does not grow while the person is asked.
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
        let pending: Option<Self> = sealer.open(CONTEXT, text);
        pending.filter(|pending| pending.browser == browser.as_str() && now < pending.asked_at + PATIENCE)
    }
}
