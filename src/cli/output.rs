//! Results, on standard output.

use std::io::Write;

/// Prints a result. A reader that has closed the pipe is not an error.
pub(super) fn print(text: &str) {
    drop(writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n')));
}
