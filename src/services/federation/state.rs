//! The state of a federated login, which travels with the browser.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    crypto::jose::provider_token::{SKEW, VerifiedIdentity},
    domain::{
        identity::ProviderName,
        ids::{SessionId, UserId},
    },
};

/// What attempts are sealed for.
pub(in crate::services) const ATTEMPT: &str = "federation attempt";
/// What answers without a name are sealed for.
pub(in crate::services) const UNNAMED: &str = "federation without a name";
/// How long somebody may take, from the start to their name.
pub const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// How much of `state` tells attempts apart.
pub(in crate::services) const KEY: usize = 8;

/// What a log-in with a provider is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// To log in.
    LogIn {
        /// Whether the provider is asked to have the person prove anew who they are, though it may know them still.
        fresh: bool,
    },
    /// To link the identity to the account that is logged in with this session.
    Link(UserId, SessionId),
}

impl Intent {
    /// Whether the provider is to ask for a proof. For a link it is always: the browser may be another's, whom the
    /// provider knows still.
    pub(in crate::services) fn wants_fresh(self) -> bool {
        matches!(self, Self::LogIn { fresh: true } | Self::Link(..))
    }
}

/// What travels with the browser until it comes back.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::services) struct AuthState {
    pub(in crate::services) provider: ProviderName,
    pub(in crate::services) browser: String,
    pub(in crate::services) state: String,
    pub(in crate::services) nonce: String,
    pub(in crate::services) verifier: String,
    pub(in crate::services) begun_at: DateTime<Utc>,
    pub(in crate::services) errand: Intent,
}

impl AuthState {
    /// When the person proved who they are, where the provider has `said` so; else `now`. Whether that is lately enough
    /// is judged by whoever asked.
    pub(in crate::services) fn authenticated_at(
        &self,
        said: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        match said {
            // It was asked for anew and done anew, by whatever clock. Such times are whole seconds.
            Some(said) if self.errand.wants_fresh() && said.timestamp() + SKEW >= self.begun_at.timestamp() => {
                Ord::max(said, self.begun_at)
            }
            Some(said) => said,
            None => now,
        }
    }
}

/// What travels with the browser while somebody new is asked for a name.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::services) struct PendingSignup {
    /// Used once.
    pub(in crate::services) id: Uuid,
    pub(in crate::services) provider: ProviderName,
    pub(in crate::services) browser: String,
    pub(in crate::services) vouched: VerifiedIdentity,
    /// When they proved who they are.
    pub(in crate::services) authenticated_at: DateTime<Utc>,
    pub(in crate::services) begun_at: DateTime<Utc>,
}

/// What tells the attempt of a `state` from others; `None` where no attempt has such a state.
#[must_use]
pub fn key(state: &str) -> Option<&str> {
    state.get(..KEY).filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)))
}
