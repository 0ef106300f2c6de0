//! `signet serve`

use std::sync::Arc;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::failure::Failure;
use crate::{app::Signet, config::Config, domain::clock::Clock, services::metrics::DroppedLines};

/// Serves until SIGTERM or SIGINT, then finishes the work in flight.
pub(super) async fn run(config: Config, clock: Arc<dyn Clock>, dropped: DroppedLines) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let service = tokio::select! {
        started = Signet::start_logging(config, clock, dropped) => started?,
        // No request has been accepted yet.
        () = signals.stop() => return Ok(()),
    };
    signals.stop().await;
    let delay = service.announce_stop();
    if !delay.is_zero() {
        tracing::info!(?delay, "not ready from now on; the port stays open for the delay, or until a second signal");
        tokio::select! {
            () = sleep(delay) => {}
            () = signals.stop() => {}
        }
    }
    tracing::info!("stopping");
    service.stop().await;
    Ok(())
}

/// The signals that the service handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|cause| Failure::Failed(format!("cannot listen for signals: {cause}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. SIGHUP changes nothing: keys and certificates are read again by themselves.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => tracing::info!("SIGHUP is ignored: keys and certificates are read by themselves"),
            }
        }
    }
}
