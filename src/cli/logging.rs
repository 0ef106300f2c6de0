//! Logs, on standard error.

use std::io::stderr;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::LogFormat;

/// Starts logging, as `RUST_LOG` says or from level `info` up. Lines of JSON escape whatever they hold, so that no
/// input can forge one.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sea_orm_migration=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(stderr)).init();
        }
        LogFormat::Text => registry.with(fmt::layer().with_writer(stderr)).init(),
    }
}
