//! Follows the changes that other processes make: on notice where the database gives notices, and every second anyway.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::{sync::Notify, time::MissedTickBehavior};

use crate::{
    services::{Unavailable, change_feed::ChangeFeed},
    store::changes::{Notices, OVERLAP},
};

/// How long a change stays unknown at the most while the database answers and gives no notice.
const ROUND: Duration = Duration::from_secs(1);
/// How long a notice waits for others.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long a round may take before it has failed.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long it may take to load all, which may be much: tokens are refused for so long.
const LOADING: Duration = Duration::from_mins(1);
/// After so long without a good round, the last ones' overlap is not enough: all is loaded anew.
const SILENCE: Duration = Duration::from_secs(5);
/// How often all is read again beside the rounds, should a transaction ever have taken longer than it may.
const AGAIN: Duration = Duration::from_mins(2);

/// Follows until it is dropped.
pub async fn run(changes: ChangeFeed, listen_url: SecretString) {
    let poke = Arc::new(Notify::new());
    tokio::join!(rounds(&changes, &poke), notices(&listen_url, &poke), again(&changes));
}

/// Looks every second, and whenever it is poked.
async fn rounds(changes: &ChangeFeed, poke: &Notify) {
    const { assert!(SILENCE.as_secs() + PATIENCE.as_secs() < OVERLAP.as_secs()) };
    let mut tick = tokio::time::interval(ROUND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut good = Instant::now();
    let mut troubled = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            // Many ends at once make many notices, and one look sees them all.
            () = poke.notified() => tokio::time::sleep(TOGETHER).await,
        }
        let outcome = if good.elapsed() > SILENCE {
            tokio::time::timeout(LOADING, changes.load()).await
        } else {
            tokio::time::timeout(PATIENCE, changes.poll()).await
        };
        match outcome.unwrap_or(Err(Unavailable::TooSlow)) {
            Ok(asked) => {
                good = asked;
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

/// Reads all again now and then.
async fn again(changes: &ChangeFeed) {
    loop {
        tokio::time::sleep(AGAIN).await;
        if let Err(cause) = changes.read_all().await {
            tracing::warn!(%cause, "the change table was not read again; it will be tried again");
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
