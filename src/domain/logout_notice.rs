//! The bounds of a logout notice (OIDC Back-Channel Logout 1.0).

use chrono::TimeDelta;

/// How long the client may take to answer, in seconds.
pub const DEADLINE: u64 = 10;
/// How long a logout token lives (§2.4: at most two minutes).
pub const TOKEN: TimeDelta = TimeDelta::minutes(2);
