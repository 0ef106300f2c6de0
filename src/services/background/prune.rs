//! Deletes expired rows in small batches, so that any number of replicas may do so at once without waiting for each
//! other.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::MissedTickBehavior;

use crate::{
    crypto::random::Random,
    domain::{clock::Clock, delivery, logout_notice, status_list::StatusListClaims},
    services::{Unavailable, sessions::status_indexes::StatusIndexes},
    store::{
        Database, authorization_codes, changes, client_assertions, federation_attempts, logout_notices,
        one_use_secrets, outbox,
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
/// How long sent emails are counted: the longest window of a limit.
const SENT_KEPT: TimeDelta = TimeDelta::days(1);
/// How long expired secrets are kept: their emails may be retried for almost as long.
const SECRETS_KEPT: TimeDelta = delivery::TRIED_FOR.checked_add(&TimeDelta::days(1)).expect("it is some days");
/// How long a used code is kept, so that a second use ends the session of the first.
const CODES: TimeDelta = TimeDelta::days(1);
/// How long an unfinished logout notice is kept: longer than it is retried.
const NOTICES: TimeDelta =
    logout_notice::BACKOFF.tried_for.checked_add(&TimeDelta::hours(1)).expect("it is some hours");
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

    /// Deletes ended sessions.
    async fn ended(&self) -> Result<u64, Unavailable> {
        let now = self.clock.now();
        let over = now - MARGIN;
        let mut pruned = 0;
        loop {
            let rows = sessions::prune(&self.db, now - SESSIONS, BATCH).await?
                + changes::prune(&self.db, over, BATCH).await?
                + throttles::prune(&self.db, over, BATCH).await?
                + one_use_secrets::prune(&self.db, now - SECRETS_KEPT, BATCH).await?
                + federation_attempts::prune(&self.db, over, BATCH).await?
                + outbox::prune(&self.db, now - SENT_KEPT, now - delivery::DEAD_KEPT, BATCH).await?
                + authorization_codes::prune(&self.db, over - CODES, BATCH).await?
                + logout_notices::prune(&self.db, over - NOTICES, BATCH).await?
                + client_assertions::prune(&self.db, over, BATCH).await?;
            pruned += rows;
            if rows == 0 {
                self.status_indexes.start_over();
                return Ok(pruned);
            }
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
