//! Follows the changes of other processes: by notification where the database has it, and by a poll every second.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::{sync::Notify, time::MissedTickBehavior};

use crate::{
    services::change_feed::{ChangeFeed, Cursor},
    store::changes::Notices,
};

/// The longest delay of a change without notifications.
const ROUND: Duration = Duration::from_secs(1);
/// How long notifications are collected.
const TOGETHER: Duration = Duration::from_millis(20);
/// The time-out of connecting to listen.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often the latest entries are read again, in case a commit took longer than the overlap of polls.
const AGAIN: Duration = Duration::from_mins(2);
/// How far back that reads: so long may the commit have taken, with the time since the last reading.
const AGAIN_FROM: Duration = Duration::from_mins(5);

/// Follows the changes after `cursor`. Runs until it is dropped.
pub async fn run(changes: ChangeFeed, cursor: Cursor, listen_url: SecretString) {
    let poke = Arc::new(Notify::new());
    tokio::join!(rounds(&changes, cursor, &poke), notices(&listen_url, &poke), again(&changes));
}

/// Polls every second, and looks at every notification.
async fn rounds(changes: &ChangeFeed, mut cursor: Cursor, poke: &Notify) {
    let mut tick = tokio::time::interval(ROUND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut troubled = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = poke.notified() => {
                // Many ends at once send many notifications; one look reads them all.
                tokio::time::sleep(TOGETHER).await;
                if let Err(cause) = changes.look(&mut cursor).await {
                    tracing::debug!(%cause, "no look at the change table; the next poll will tell");
                }
                continue;
            }
        }
        match changes.poll(&mut cursor).await {
            Ok(()) => {
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

/// Reads the latest entries again from time to time.
async fn again(changes: &ChangeFeed) {
    loop {
        tokio::time::sleep(AGAIN).await;
        if let Err(cause) = changes.read_again(AGAIN_FROM).await {
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
