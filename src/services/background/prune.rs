//! Deletes expired rows in small batches, so that any number of replicas may do so at once without waiting for each
//! other.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::MissedTickBehavior;

use crate::{
    crypto::random::Random,
    domain::{clock::Clock, job, status_list::StatusListClaims},
    outbound::email::folder,
    services::{Unavailable, background::resolve_mail::LONGEST_WINDOW, sessions::status_indexes::StatusIndexes},
    store::{
        Database, authorization_codes, changes, client_assertions, clients, counted_emails, federation_attempts, jobs,
        one_use_secrets,
        revocations::CLOCK_STEP,
        sessions::{self, Walk},
        throttles,
    },
};

/// Deletes expired rows.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Where it is.
    pub db: Database,
    /// The time source.
    pub clock: Arc<dyn Clock>,
    /// How long an unused refresh token lives.
    pub refresh_token_ttl: TimeDelta,
    /// The folder of emails in files; it need not exist.
    pub outbox_folder: PathBuf,
    /// Draws from the first list again, which has free indexes now.
    pub status_indexes: StatusIndexes,
}

/// The time between two runs.
const EVERY: Duration = Duration::from_mins(5);
/// Every so many runs, all sessions are scanned for idle ones.
const WALK_EVERY: u32 = 12;
/// How long rows are kept after their last token has expired: verifiers allow for clock skew.
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// How long a session is kept after its last token has expired. With its row, its status list index is free for another
/// session. For so long a list may have the old bit, and gateways may hold that list, by clocks that differ by a minute.
const SESSIONS: TimeDelta = TimeDelta::minutes(CLOCK_STEP.num_minutes() + StatusListClaims::LIFETIME.num_minutes() + 1);
/// How long emails that were written to files are kept: they hold links and addresses.
const FILES_KEPT: TimeDelta = TimeDelta::days(30);
/// How long expired secrets are kept: their emails may be retried for almost as long.
const SECRETS_KEPT: TimeDelta = job::EMAIL.tried_for.checked_add(&TimeDelta::days(1)).expect("it is some days");
/// How long a used code is kept, so that a second use ends the session of the first.
const CODES: TimeDelta = TimeDelta::days(1);
/// How long a client is kept whose document is no longer fresh, and which nobody uses.
const UNUSED_CLIENTS: TimeDelta = TimeDelta::days(30);
/// Rows a statement: a few milliseconds of work.
const BATCH: u64 = 500;
/// Rows a step of the scan.
const PAGE: u64 = 5000;

impl Prune {
    /// Prunes every five minutes, forever. A random delay keeps replicas apart.
    pub async fn run(self, random: Random) {
        let part = u64::from(u16::from_be_bytes(random.bytes())) * EVERY.as_secs() / u64::from(u16::MAX);
        tokio::time::sleep(Duration::from_secs(part)).await;
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = 0_u32;
        loop {
            tick.tick().await;
            let pruned = if look.is_multiple_of(WALK_EVERY) { self.once().await } else { self.ended().await };
            look = look.wrapping_add(1);
            match pruned {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "pruned"),
                Err(cause) => tracing::warn!(%cause, "could not prune; it will be tried again"),
            }
        }
    }

    /// Deletes everything that has expired. Returns the number of rows.
    ///
    /// # Errors
    /// [`Unavailable`]; rows that were deleted before stay deleted.
    pub async fn once(&self) -> Result<u64, Unavailable> {
        Ok(self.ended().await? + self.idle().await?)
    }

    /// Deletes ended sessions, and what else has expired.
    async fn ended(&self) -> Result<u64, Unavailable> {
        let now = self.clock.now();
        self.files(now - FILES_KEPT).await;
        let over = now - MARGIN;
        let mut pruned = 0;
        loop {
            let rows = sessions::prune(&self.db, now - SESSIONS, BATCH).await?
                + changes::prune(&self.db, over, BATCH).await?
                + throttles::prune(&self.db, over, BATCH).await?
                + one_use_secrets::prune(&self.db, now - SECRETS_KEPT, BATCH).await?
                + federation_attempts::prune(&self.db, over, BATCH).await?
                + jobs::prune(&self.db, now - job::DEAD_KEPT, BATCH).await?
                + counted_emails::prune(&self.db, now - LONGEST_WINDOW, BATCH).await?
                + authorization_codes::prune(&self.db, over - CODES, BATCH).await?
                + client_assertions::prune(&self.db, over, BATCH).await?
                + clients::prune_documents(&self.db, now - UNUSED_CLIENTS, BATCH).await?;
            pruned += rows;
            if rows == 0 {
                self.status_indexes.start_over();
                return Ok(pruned);
            }
        }
    }

    /// Deletes emails that were written to files before `over`. It fails for no one else.
    async fn files(&self, over: DateTime<Utc>) {
        let folder = self.outbox_folder.clone();
        match tokio::task::spawn_blocking(move || folder::prune(&folder, over)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(files)) => tracing::info!(files, "old emails in files were deleted"),
            Ok(Err(cause)) => tracing::warn!(%cause, "old emails in files could not be deleted"),
            Err(cause) => tracing::warn!(%cause, "old emails in files could not be deleted"),
        }
    }

    /// Deletes idle sessions.
    async fn idle(&self) -> Result<u64, Unavailable> {
        let over = self.clock.now() - SESSIONS;
        let (mut pruned, mut walk) = (0, Some(Walk::START));
        while let Some(from) = walk {
            let (rows, next) = sessions::prune_idle(&self.db, from, over, self.refresh_token_ttl, PAGE).await?;
            pruned += rows;
            walk = next;
        }
        Ok(pruned)
    }
}
