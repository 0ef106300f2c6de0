//! The state of a federated login, which travels with the browser.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    crypto::jose::provider_token::{SKEW, VerifiedIdentity},
    domain::{
        identity::ProviderName,
        ids::{SessionId, UserId},
        session::UNKNOWN,
    },
};

/// The context that attempts are sealed for.
pub(in crate::services) const ATTEMPT: &str = "federation attempt";
/// The context that pending signups are sealed for.
pub(in crate::services) const UNNAMED: &str = "federation without a name";
/// How long a person may take, from the start to the username.
pub const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// How many characters of `state` are the key of an attempt.
pub(in crate::services) const KEY: usize = 8;

/// The purpose of a login with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// Log in.
    LogIn {
        /// Whether the provider must authenticate the person again.
        fresh: bool,
        /// Whether the person pressed a button of ours for it. A link from elsewhere may have started it otherwise.
        pressed: bool,
    },
    /// Link the identity to the account that is logged in with this session.
    Link(UserId, SessionId),
}

impl Intent {
    /// Whether the provider must authenticate the person again. Always for a link: the provider's login in this browser
    /// may be another person's.
    pub(in crate::services) fn wants_fresh(self) -> bool {
        matches!(self, Self::LogIn { fresh: true, .. } | Self::Link(..))
    }
}

/// The state until the callback, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::services) struct AuthState {
    pub(in crate::services) provider: ProviderName,
    pub(in crate::services) browser: String,
    pub(in crate::services) state: String,
    pub(in crate::services) nonce: String,
    pub(in crate::services) verifier: String,
    pub(in crate::services) begun_at: DateTime<Utc>,
    pub(in crate::services) intent: Intent,
}

impl AuthState {
    /// When the person authenticated, as the provider `said`; [`UNKNOWN`] where it did not, for it may have known them
    /// from long ago. The caller decides whether that is recent enough.
    pub(in crate::services) fn authenticated_at(&self, said: Option<DateTime<Utc>>) -> DateTime<Utc> {
        match said {
            // A new authentication was requested and done, by the provider's clock. `auth_time` is in whole seconds.
            Some(said) if self.intent.wants_fresh() && said.timestamp() + SKEW >= self.begun_at.timestamp() => {
                Ord::max(said, self.begun_at)
            }
            Some(said) => said,
            None => UNKNOWN,
        }
    }
}

/// The state while a new person is asked for a username, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::services) struct PendingSignup {
    /// For single use.
    pub(in crate::services) id: Uuid,
    pub(in crate::services) provider: ProviderName,
    pub(in crate::services) browser: String,
    pub(in crate::services) verified: VerifiedIdentity,
    /// When the person authenticated.
    pub(in crate::services) authenticated_at: DateTime<Utc>,
    pub(in crate::services) begun_at: DateTime<Utc>,
    /// Whether the person pressed a button of ours for it.
    pub(in crate::services) pressed: bool,
}

/// The key of the attempt with this `state`; `None` if the state cannot be ours.
#[must_use]
pub fn key(state: &str) -> Option<&str> {
    state.get(..KEY).filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))
}
