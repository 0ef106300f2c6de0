//! `signet serve`

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use crate::{app::Signet, config::Config, domain::clock::Clock};

/// Serves until SIGTERM or SIGINT, then finishes what is in flight.
pub(super) async fn run(config: Config, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let cannot = |cause| Failure::Failed(format!("cannot listen for signals: {cause}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let service = tokio::select! {
        started = Signet::start(config, clock) => started?,
        // No request has been accepted yet.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    service.stop().await;
    Ok(())
}
