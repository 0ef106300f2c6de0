//! Follows the changes of other processes: by notification where the database has it, and by a poll every second.

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

/// The longest delay of a change without notifications.
const ROUND: Duration = Duration::from_secs(1);
/// How long notifications are collected.
const TOGETHER: Duration = Duration::from_millis(20);
/// The time-out of a poll.
const PATIENCE: Duration = Duration::from_secs(4);
/// The time-out of a full load; tokens are refused meanwhile.
const LOADING: Duration = Duration::from_mins(1);
/// After this time without a successful poll, the overlap is not enough, and everything is loaded again.
const SILENCE: Duration = Duration::from_secs(5);
/// How often everything is read again, in case a transaction took longer than allowed.
const AGAIN: Duration = Duration::from_mins(2);

/// Runs until it is dropped.
pub async fn run(changes: ChangeFeed, listen_url: SecretString) {
    let poke = Arc::new(Notify::new());
    tokio::join!(rounds(&changes, &poke), notices(&listen_url, &poke), again(&changes));
}

/// Polls every second, and at every notification.
async fn rounds(changes: &ChangeFeed, poke: &Notify) {
    const { assert!(SILENCE.as_secs() + PATIENCE.as_secs() < OVERLAP.as_secs()) };
    let mut tick = tokio::time::interval(ROUND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut good = Instant::now();
    let mut troubled = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            // Many ends at once send many notifications; one poll reads them all.
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

/// Reads everything again from time to time.
async fn again(changes: &ChangeFeed) {
    loop {
        tokio::time::sleep(AGAIN).await;
        if let Err(cause) = changes.read_all().await {
            tracing::warn!(%cause, "the change table was not read again; it will be tried again");
        }
    }
}

/// Triggers a poll at every notification, and when some may have been missed.
async fn notices(url: &SecretString, poke: &Notify) {
    loop {
        match tokio::time::timeout(PATIENCE, Notices::listen(url)).await {
            Ok(Ok(Some(mut notices))) => {
                // Listen first, then poll: a commit in between is seen by one of the two.
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
