//! Counters of failed passwords, shared by all replicas and kept over restarts; and a cache in each replica of the
//! identifiers that are refused for a while.
//!
//! The rules are those of [`crate::domain::throttle`], written as expressions so that each change is one statement.
//! Reading a counter first and writing it later would admit every concurrent attempt.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use entity::throttle::{Column, Entity};
use moka::sync::Cache;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, Iterable, QueryFilter,
    sea_query::{Expr, ExprTrait, InsertStatement, LockBehavior, LockType, OnConflict, Query},
};

use super::{StoreError, rows::unreadable};
use crate::domain::throttle::{Counter, Counting, MOST_FAILURES, REST, ThrottleKey, ThrottleRule, ThrottleState};

const TABLE: &str = "throttle";

/// Counts an attempt under each of `counters` that admits it at `now`, and returns those.
///
/// # Errors
/// [`StoreError`] if the database fails; then either nothing was counted, or everything.
pub async fn attempt(
    db: &impl ConnectionTrait,
    counters: &[Counter],
    rule: &ThrottleRule,
    now: DateTime<Utc>,
) -> Result<Vec<Counter>, StoreError> {
    let forgotten = || column(Column::ForgetAt).lte(milliseconds(now));
    let rate_free_at: Expr = {
        let behind = milliseconds(now - rule.burst());
        let ahead = Expr::case(column(Column::FreeAt).gt(behind), column(Column::FreeAt)).finally(behind);
        Into::<Expr>::into(ahead).add(rule.step().num_milliseconds())
    };
    let mut row_free_at = Expr::case(forgotten(), milliseconds(now + rule.wait(1)));
    for (failures, wait) in waits(rule) {
        row_free_at = row_free_at.case(column(Column::Failures).add(1).gte(failures), milliseconds(now + wait));
    }
    let row_free_at: Expr = row_free_at.finally(milliseconds(now)).into();
    let failures = Expr::case(forgotten(), 1).finally(column(Column::Failures).add(1));
    let rate_forget_at = rate_free_at.clone().add(rule.burst().num_milliseconds());
    let update = OnConflict::column(Column::Key)
        .value(Column::Failures, failures)
        .value(Column::FreeAt, by_rule(rate_free_at, row_free_at))
        .value(Column::ForgetAt, by_rule(rate_forget_at, Expr::value(milliseconds(now + REST))))
        .action_and_where(column(Column::FreeAt).lte(milliseconds(now)).or(forgotten()))
        .to_owned();
    let fresh = |counting| rule.attempt(counting, None, now);
    let mut insert = rows(counters, fresh, now, update)?;
    insert.returning_col(Column::Key);
    // All rows are read, for the reason that `rows::insert` gives.
    let counted = db.query_all(&insert).await?;
    let counted: Vec<Vec<u8>> = counted.iter().map(|row| row.try_get("", "key")).collect::<Result<_, _>>()?;
    Ok(counters.iter().filter(|counter| counted.iter().any(|key| *key == counter.key.0)).copied().collect())
}

/// Takes back attempts that were not evaluated through no fault of the client.
pub async fn release(
    db: &impl ConnectionTrait,
    counters: &[Counter],
    rule: &ThrottleRule,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // An attempt is counted only while the counter is free, so without it the counter is still free.
    let row = [column(Column::Failures).sub(1), Expr::value(milliseconds(now)), column(Column::ForgetAt)];
    take_off(db, counters, rule, now, row).await
}

/// Records a correct password: it ends a row of failures, and takes one attempt off a rate.
pub async fn settle(
    db: &impl ConnectionTrait,
    counters: &[Counter],
    rule: &ThrottleRule,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = [Expr::value(0), Expr::value(milliseconds(now)), Expr::value(milliseconds(now))];
    take_off(db, counters, rule, now, row).await
}

/// When the next attempt is admitted; `None` if nothing is counted.
pub async fn free_at(db: &impl ConnectionTrait, key: &ThrottleKey) -> Result<Option<DateTime<Utc>>, StoreError> {
    let found = Entity::find_by_id(key.0.to_vec()).one(db).await?;
    let time = |row: entity::throttle::Model| DateTime::from_timestamp_millis(row.free_at);
    found.map(|row| time(row).ok_or_else(|| unreadable(TABLE, "a time beyond all times"))).transpose()
}

/// Deletes at most `batch` counters that had expired at `over`; batches of other processes are skipped. Returns how
/// many there were.
pub async fn prune(db: &impl ConnectionTrait, over: DateTime<Utc>, batch: u64) -> Result<u64, StoreError> {
    let these = Query::select()
        .column(Column::Key)
        .from(Entity)
        .and_where(Column::ForgetAt.lt(milliseconds(over)))
        .limit(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let delete = Entity::delete_many().filter(Column::Key.in_subquery(these));
    Ok(delete.filter(Column::ForgetAt.lt(milliseconds(over))).exec(db).await?.rows_affected)
}

/// Takes one attempt off each rate, and sets rows of failures to `row`: failures, free at, forget at.
async fn take_off(
    db: &impl ConnectionTrait,
    counters: &[Counter],
    rule: &ThrottleRule,
    now: DateTime<Utc>,
    row: [Expr; 3],
) -> Result<(), StoreError> {
    let step = rule.step().num_milliseconds();
    let [failures, free_at, forget_at] = row;
    // An UPDATE locks its rows in any order, so two of them could deadlock; this upsert keeps the order of `rows`.
    let update = OnConflict::column(Column::Key)
        .value(Column::Failures, by_rule(column(Column::Failures).sub(1), failures))
        .value(Column::FreeAt, by_rule(column(Column::FreeAt).sub(step), free_at))
        .value(Column::ForgetAt, by_rule(column(Column::ForgetAt).sub(step), forget_at))
        .to_owned();
    // If a counter is gone meanwhile, this inserts one that has expired.
    let insert = rows(counters, |_| Some(ThrottleState { failures: 0, free_at: now, forget_at: now }), now, update)?;
    db.execute(&insert).await?;
    Ok(())
}

/// Inserts or updates all of `counters` in the order of their keys, so that transactions with common counters wait for
/// one another without a deadlock.
fn rows(
    counters: &[Counter],
    fresh: impl Fn(Counting) -> Option<ThrottleState>,
    now: DateTime<Utc>,
    update: OnConflict,
) -> Result<InsertStatement, StoreError> {
    let mut counters = counters.to_vec();
    counters.sort_unstable_by_key(|counter| counter.key);
    let mut insert = Query::insert().into_table(Entity).columns(Column::iter()).on_conflict(update).to_owned();
    for Counter { key, counting } in counters {
        // A new counter admits everything.
        let standing = fresh(counting).unwrap_or(ThrottleState { failures: 1, free_at: now, forget_at: now });
        let value = |column: Column| match column {
            Column::Key => Expr::value(key.0.to_vec()),
            Column::Counting => Expr::value(stored(counting)),
            Column::Failures => Expr::value(standing.failures),
            Column::FreeAt => Expr::value(milliseconds(standing.free_at)),
            Column::ForgetAt => Expr::value(milliseconds(standing.forget_at)),
        };
        insert.values(Column::iter().map(value)).map_err(|why| unreadable(TABLE, why))?;
    }
    Ok(insert)
}

/// From how many failures on each wait holds, longest first.
fn waits(rule: &ThrottleRule) -> Vec<(i32, TimeDelta)> {
    let all = (1..=MOST_FAILURES).rev().map(|failures| (failures, rule.wait(failures)));
    all.filter(|(failures, wait)| *wait != rule.wait(failures - 1)).collect()
}

/// `rate` for a rate, `row` for a row of failures.
fn by_rule(rate: Expr, row: Expr) -> Expr {
    Expr::case(column(Column::Counting).eq(stored(Counting::Rate)), rate).finally(row).into()
}

fn stored(counting: Counting) -> i16 {
    match counting {
        Counting::Rate => 1,
        Counting::Row => 2,
    }
}

/// A column of the existing row: in an upsert, its bare name could be the new row's.
fn column(column: Column) -> Expr {
    Expr::col((Entity, column))
}

fn milliseconds(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

/// Identifiers that are refused for a while, so that an attack costs no SQL. A forgotten one costs a query.
#[derive(Debug, Clone)]
pub struct RefusedNames(Cache<ThrottleKey, DateTime<Utc>>);

/// The most identifiers kept: some 10 MB.
const MOST_REMEMBERED: u64 = 100_000;
/// How long at most, by this process's own clock.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);

impl Default for RefusedNames {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED_FOR).build())
    }
}

impl RefusedNames {
    /// Stores that attempts under `key` wait until `free_at`.
    pub fn remember(&self, key: ThrottleKey, free_at: DateTime<Utc>) {
        self.0.insert(key, free_at);
    }

    /// Removes these counters: an attempt at each was admitted earlier than expected.
    pub fn forget(&self, counters: &[Counter]) {
        for counter in counters {
            self.0.invalidate(&counter.key);
        }
    }

    /// Until when attempts wait, if that is known and in the future.
    #[must_use]
    pub fn until(&self, key: &ThrottleKey, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.get(key).filter(|free_at| *free_at > now)
    }
}

#[cfg(test)]
mod tests;
