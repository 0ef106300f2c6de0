//! Results, on standard output.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};

/// Prints a result. A reader that has closed the pipe is not an error.
pub(super) fn print(text: &str) {
    drop(writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n')));
}

/// A time as the API writes it (RFC 3339, in UTC).
pub(super) fn date(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
