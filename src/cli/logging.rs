//! Logs, on standard error.

use std::io::stderr;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::LogFormat;

/// The log filter of the service without `RUST_LOG`.
pub(super) const SERVICE: &str = "info,sea_orm_migration=warn";
/// The log filter of a command without `RUST_LOG`. Changes of clients and accounts are logged for audits, as in the
/// service.
pub(super) const COMMAND: &str = "warn,signet::audit=info";

/// Starts logging, filtered by `RUST_LOG` or else by `usual`. JSON escapes control characters, so that no input can forge
/// a line.
pub(super) fn start(format: LogFormat, usual: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(stderr)).init();
        }
        LogFormat::Text => registry.with(fmt::layer().with_writer(stderr)).init(),
    }
}
