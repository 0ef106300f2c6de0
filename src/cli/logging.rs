//! Logs, on standard error.

use std::{io::stderr, sync::Arc};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    prelude::*,
};

use crate::{config::LogFormat, services::metrics::DroppedLines};

/// The log filter of the service without `RUST_LOG`.
const SERVICE: &str = "info,sea_orm_migration=warn";
/// The log filter of a command without `RUST_LOG`. Changes of clients and accounts are logged for audits, as in the
/// service.
const COMMAND: &str = "warn,signet::audit=info";
/// How many lines of the service may wait for their reader, some megabytes.
const WAITING: usize = 4 * 1024;

/// The service's log. Dropping it writes the lines that wait, for a second at most.
pub(super) struct ServiceLog {
    /// How many lines were dropped.
    pub(super) dropped: DroppedLines,
    _guard: WorkerGuard,
}

/// Starts the log of the service. A reader that stalls (a terminal after Ctrl-S, a container runtime in blocking mode)
/// must not stop the service: a thread writes, and lines that it cannot keep are dropped and counted.
pub(super) fn start_service(format: LogFormat) -> ServiceLog {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING).thread_name("log");
    let (writer, guard) = builder.finish(stderr());
    let counter = writer.error_counter();
    start(format, SERVICE, writer);
    // The default hook writes to standard error itself, and would wait for its reader.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    ServiceLog { dropped: Arc::new(move || counter.dropped_lines() as u64), _guard: guard }
}

/// Starts the log of a command, which waits for its reader.
pub(super) fn start_command(format: LogFormat) {
    start(format, COMMAND, stderr);
}

/// Starts logging, filtered by `RUST_LOG` or else by `usual`. JSON escapes control characters, so that no input can forge
/// a line.
fn start(format: LogFormat, usual: &str, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer)).init();
        }
        LogFormat::Text => registry.with(fmt::layer().with_writer(writer)).init(),
    }
}
