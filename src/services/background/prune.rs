//! Deletes what nobody can use any more, in small batches, so that any number of replicas may do so at once and none
//! waits for another.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::MissedTickBehavior;

use crate::{
    crypto::random::Random,
    domain::{clock::Clock, delivery, logout_notice},
    services::{Unavailable, sessions::status_indexes::StatusPlaces},
    store::{
        Database, authorization_codes, changes, client_assertions, federation_attempts, logout_notices,
        one_use_secrets, outbox,
        sessions::{self, Walk},
        throttles,
    },
};

/// Deletes what is over.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Where it is.
    pub db: Database,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How long an unused refresh token lives.
    pub refresh_token_ttl: TimeDelta,
    /// Begins again with lists that have room now.
    pub places: StatusPlaces,
}

/// How often a process looks for what is over.
const EVERY: Duration = Duration::from_mins(5);
/// Every so many looks it also walks through all sessions for those that were left idle.
const WALK_EVERY: u32 = 12;
/// How long rows stay that are over, beyond their last token: clocks differ, and verifiers allow for that.
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// How long mails that were sent are counted: the longest time that a limit may look back.
const SENT_KEPT: TimeDelta = TimeDelta::days(1);
/// How long secrets stay that have run out: a mail that carries one may be tried for almost as long.
const SECRETS_KEPT: TimeDelta = delivery::TRIED_FOR.checked_add(&TimeDelta::days(1)).expect("it is some days");
/// How long a used code is known for one, so that a second use ends what the first one gave.
const CODES: TimeDelta = TimeDelta::days(1);
/// How long the notice of a log-out stays that nobody has told or given up: longer than it is tried.
const NOTICES: TimeDelta =
    logout_notice::BACKOFF.tried_for.checked_add(&TimeDelta::hours(1)).expect("it is some hours");
/// Rows a statement: some milliseconds of work.
const BATCH: u64 = 500;
/// Rows a step of the walk.
const PAGE: u64 = 5000;

impl Prune {
    /// Prunes every five minutes, for ever. Replicas that started together part by chance.
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

    /// Deletes all that is over now. Says how many rows that were.
    ///
    /// # Errors
    /// [`Unavailable`] where the database does not answer; what was deleted so far stays so.
    pub async fn once(&self) -> Result<u64, Unavailable> {
        Ok(self.ended().await? + self.idle().await?)
    }

    /// Deletes what has ended.
    async fn ended(&self) -> Result<u64, Unavailable> {
        let now = self.clock.now();
        let over = now - MARGIN;
        let mut pruned = 0;
        loop {
            let rows = sessions::prune(&self.db, over, BATCH).await?
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
                self.places.start_over();
                return Ok(pruned);
            }
        }
    }

    /// Deletes what was left idle.
    async fn idle(&self) -> Result<u64, Unavailable> {
        let over = self.clock.now() - MARGIN;
        let (mut pruned, mut walk) = (0, Some(Walk::START));
        while let Some(from) = walk {
            let (rows, next) = sessions::prune_idle(&self.db, from, over, self.refresh_token_ttl, PAGE).await?;
            pruned += rows;
            walk = next;
        }
        Ok(pruned)
    }
}
