//! Follows the changes that other processes make: on notice where the database gives notices, and every second anyway.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::{Trouble, changes::Changes};
use crate::store::changes::{Notices, OVERLAP};

/// How long a change stays unknown at the most while the database answers and gives no notice.
const ROUND: Duration = Duration::from_secs(1);
/// How long a round may take before it has failed.
const PATIENCE: Duration = Duration::from_secs(4);
/// After so long without a good round, the last ones' overlap is not enough: all is loaded anew.
const SILENCE: Duration = Duration::from_secs(5);
/// How often all is loaded anew in any case, should a transaction ever have taken longer than it may.
const RELOAD: Duration = Duration::from_mins(1);

/// Follows until it is dropped.
pub async fn run(changes: Changes, listen_url: SecretString) {
    let poke = Arc::new(Notify::new());
    tokio::join!(rounds(&changes, &poke), notices(&listen_url, &poke));
}

/// Looks every second, and whenever it is poked.
async fn rounds(changes: &Changes, poke: &Notify) {
    const { assert!(SILENCE.as_secs() + PATIENCE.as_secs() < OVERLAP.as_secs()) };
    let mut tick = tokio::time::interval(ROUND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut good, mut loaded) = (Instant::now(), Instant::now());
    let mut troubled = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = poke.notified() => {}
        }
        let started = Instant::now();
        let everything = started - good > SILENCE || started - loaded > RELOAD;
        let round = async { if everything { changes.load().await } else { changes.look().await } };
        let outcome = tokio::time::timeout(PATIENCE, round).await.unwrap_or(Err(Trouble::TooSlow));
        match outcome {
            Ok(()) => {
                good = started;
                if everything {
                    loaded = started;
                }
                if std::mem::take(&mut troubled) {
                    tracing::info!("the change table answers again");
                }
            }
            Err(cause) => {
                if !std::mem::replace(&mut troubled, true) {
                    tracing::error!(%cause, "the change table does not answer; tokens are refused after five seconds");
                }
            }
        }
    }
}

/// Pokes at every notice, and when notices may have been missed.
async fn notices(url: &SecretString, poke: &Notify) {
    loop {
        match tokio::time::timeout(PATIENCE, Notices::listen(url)).await {
            Ok(Ok(Some(mut notices))) => {
                // Listening first and looking then: what was committed in between is seen by one of the two.
                poke.notify_one();
                while notices.next().await.is_ok() {
                    poke.notify_one();
                }
                tracing::warn!("the connection for notices was lost");
                poke.notify_one();
            }
            Ok(Ok(None)) => return,
            Ok(Err(cause)) => tracing::debug!(%cause, "no connection for notices"),
            Err(_) => tracing::debug!("no connection for notices in time"),
        }
        tokio::time::sleep(ROUND).await;
    }
}
