//! Logs, on standard error.

use std::io::stderr;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::LogFormat;

/// What the service logs where `RUST_LOG` says nothing.
pub(super) const SERVICE: &str = "info,sea_orm_migration=warn";
/// What a command logs where `RUST_LOG` says nothing: whoever changes a client or an account leaves a line for audits,
/// as in the service.
pub(super) const COMMAND: &str = "warn,signet::audit=info";

/// Starts logging, as `RUST_LOG` says or else `usual`. Lines of JSON escape whatever they hold, so that no input can
/// forge one.
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
