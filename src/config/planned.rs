//! Checks the values of keys for future features, so that a configuration that is written today stays valid.

use std::time::Duration;

use super::{urls, values};

const SECOND: Duration = Duration::from_secs(1);
const TEN_YEARS: Duration = Duration::from_hours(24 * 3650);

/// Checks the value of one of [`PLANNED`](super::keys::PLANNED).
pub(super) fn check(key: &str, text: &str) -> Result<(), String> {
    let duration = |text: &str| values::duration(text, &(SECOND..=TEN_YEARS)).map(drop);
    match key {
        "audit_retention" => duration(text),
        "otlp_endpoint" => urls::endpoint(text),
        _ => Ok(()),
    }
}
