//! Counters of failed passwords, shared by all replicas and kept over restarts.
//!
//! The rules are those of [`crate::domain::throttle`], written as expressions so that each change is one statement.
//! Reading a counter first and writing it later would admit every concurrent attempt.

use chrono::{DateTime, TimeDelta, Utc};
use entity::throttle::{Column, Entity};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, Iterable, QueryFilter,
    sea_query::{Expr, ExprTrait, InsertStatement, LockBehavior, LockType, OnConflict, Query},
};

use super::{StoreError, rows::unreadable};
use crate::domain::{
    ids::UserId,
    throttle::{self, Counter, Counting, MOST_FAILURES, REST, ThrottleKey, ThrottleRule, ThrottleRules, ThrottleState},
};

const TABLE: &str = "throttle";

/// Counts an attempt under each of `counters` that admits it at `now`, and returns those. The counters belong to
/// `account` from then on, if the attempt is at one.
///
/// # Errors
/// [`StoreError`] if the database fails; then either nothing was counted, or everything.
pub async fn attempt(
    db: &impl ConnectionTrait,
    counters: &[Counter],
    account: Option<UserId>,
    rules: &ThrottleRules,
    now: DateTime<Utc>,
) -> Result<Vec<Counter>, StoreError> {
    let at = |time: DateTime<Utc>| Expr::value(milliseconds(time));
    let forgotten = || column(Column::ForgetAt).lte(milliseconds(now));
    let failures: Expr = Expr::case(forgotten(), 1).finally(column(Column::Failures).add(1)).into();
    let later = |counting, failures: &Expr| wait(rules.of(counting), failures).add(milliseconds(now));
    let day = |counting| -> Expr {
        let end = milliseconds(now + throttle::day());
        let end: Expr =
            Expr::case(forgotten().or(column(Column::ForgetAt).gt(end)), end).finally(column(Column::ForgetAt)).into();
        let free_at = later(counting, &failures);
        Expr::case(free_at.clone().gt(end.clone()), free_at).finally(end).into()
    };
    let rate_free_at: Expr = {
        let behind = milliseconds(now - rules.of(Counting::Rate).burst());
        let before = Expr::case(forgotten().or(column(Column::FreeAt).lte(behind)), behind)
            .case(column(Column::FreeAt).gt(milliseconds(now)), milliseconds(now))
            .finally(column(Column::FreeAt));
        Into::<Expr>::into(before).add(rules.of(Counting::Rate).step().num_milliseconds())
    };
    let free_at = by_rule(|counting| match counting {
        Counting::Rate => rate_free_at.clone(),
        other => later(other, &failures),
    });
    let forget_at = by_rule(|counting| match counting {
        Counting::Rate => rate_free_at.clone().add(rules.of(Counting::Rate).burst().num_milliseconds()),
        other if other.lasts_a_day() => day(other),
        _ => at(now + REST),
    });
    // Later than this only where the clock was set back.
    let longest = by_rule(|counting| match counting {
        Counting::Rate => Expr::value(milliseconds(now + rules.longest(counting, 1))),
        other => later(other, &column(Column::Failures)).add(throttle::SKEW.num_milliseconds()),
    });
    let admits = column(Column::FreeAt).lte(milliseconds(now)).or(forgotten()).or(column(Column::FreeAt).gt(longest));
    let update = OnConflict::column(Column::Key)
        .value(Column::Failures, failures.clone())
        .value(Column::FreeAt, free_at)
        .value(Column::ForgetAt, forget_at)
        .value(Column::Account, Expr::value(account.map(|account| account.0)))
        .action_and_where(admits)
        .to_owned();
    let fresh = |counting| rules.attempt(counting, None, now);
    let mut insert = rows(counters, account, fresh, now, update)?;
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
    rules: &ThrottleRules,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    take_off(db, counters, rules, now, |_| false).await
}

/// Records a correct password: it ends a row of failures, and takes one attempt off the other counters.
pub async fn settle(
    db: &impl ConnectionTrait,
    counters: &[Counter],
    rules: &ThrottleRules,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    take_off(db, counters, rules, now, Counting::ends_with_a_right_password).await
}

/// Deletes every counter that belongs to an account, whatever network or device it is of.
pub async fn forgive(db: &impl ConnectionTrait, account: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::Account.eq(account.0)).exec(db).await?;
    Ok(())
}

/// A counter at which attempts at an account must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locked {
    /// Whether it refuses every network, or one network or device alone.
    pub everywhere: bool,
    pub until: DateTime<Utc>,
}

/// The counters of an account at which attempts must wait at `now`.
pub async fn locked(
    db: &impl ConnectionTrait,
    account: UserId,
    rules: &ThrottleRules,
    now: DateTime<Utc>,
) -> Result<Vec<Locked>, StoreError> {
    let rows = Entity::find()
        .filter(Column::Account.eq(account.0))
        .filter(Column::FreeAt.gt(milliseconds(now)))
        .all(db)
        .await?;
    let locked = |row: entity::throttle::Model| {
        let counting = Counting::ALL.into_iter().find(|counting| stored(*counting) == row.counting)?;
        let time = DateTime::from_timestamp_millis;
        let state =
            ThrottleState { failures: row.failures, free_at: time(row.free_at)?, forget_at: time(row.forget_at)? };
        let everywhere = matches!(counting, Counting::Rate | Counting::Account);
        rules.must_wait(counting, state, now).then_some(Locked { everywhere, until: state.free_at })
    };
    Ok(rows.into_iter().filter_map(locked).collect())
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

/// Takes one attempt off each counter, and sets those to zero that `ends` names.
async fn take_off(
    db: &impl ConnectionTrait,
    counters: &[Counter],
    rules: &ThrottleRules,
    now: DateTime<Utc>,
    ends: impl Fn(Counting) -> bool,
) -> Result<(), StoreError> {
    let step = rules.of(Counting::Rate).step().num_milliseconds();
    let now_value = || Expr::value(milliseconds(now));
    let failures = by_rule(|counting| if ends(counting) { Expr::value(0) } else { column(Column::Failures).sub(1) });
    // An attempt is counted only while the counter is free, so without it the counter is still free.
    let free_at = by_rule(|counting| match counting {
        Counting::Rate => column(Column::FreeAt).sub(step),
        _ => now_value(),
    });
    let forget_at = by_rule(|counting| match counting {
        Counting::Rate => column(Column::ForgetAt).sub(step),
        other if ends(other) => now_value(),
        other if other.lasts_a_day() => {
            Expr::case(column(Column::Failures).lte(1), now_value()).finally(column(Column::ForgetAt)).into()
        }
        _ => column(Column::ForgetAt),
    });
    // An UPDATE locks its rows in any order, so two of them could deadlock; this upsert keeps the order of `rows`.
    let update = OnConflict::column(Column::Key)
        .value(Column::Failures, failures)
        .value(Column::FreeAt, free_at)
        .value(Column::ForgetAt, forget_at)
        .to_owned();
    // If a counter is gone meanwhile, this inserts one that has expired.
    let expired = ThrottleState { failures: 0, free_at: now, forget_at: now };
    let insert = rows(counters, None, |_| Some(expired), now, update)?;
    db.execute(&insert).await?;
    Ok(())
}

/// Inserts or updates all of `counters` in the order of their keys, so that transactions with common counters wait for
/// one another without a deadlock.
fn rows(
    counters: &[Counter],
    account: Option<UserId>,
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
            Column::Account => Expr::value(account.map(|account| account.0)),
        };
        insert.values(Column::iter().map(value)).map_err(|why| unreadable(TABLE, why))?;
    }
    Ok(insert)
}

/// The wait after `failures`, in milliseconds.
fn wait(rule: &ThrottleRule, failures: &Expr) -> Expr {
    let all = (1..=MOST_FAILURES).rev().map(|failures| (failures, rule.wait(failures)));
    // From how many failures on each wait holds, longest first. The last number always has one: the lock.
    let mut waits = all.filter(|(failures, wait)| *wait != rule.wait(failures - 1));
    let (most, rest) = waits.next().unwrap_or((MOST_FAILURES, REST));
    let mut expression = Expr::case(failures.clone().gte(most), rest.num_milliseconds());
    for (least, wait) in waits {
        expression = expression.case(failures.clone().gte(least), wait.num_milliseconds());
    }
    expression.finally(TimeDelta::zero().num_milliseconds()).into()
}

/// For each counter the expression of its rule.
fn by_rule(rule: impl Fn(Counting) -> Expr) -> Expr {
    let is = |counting| column(Column::Counting).eq(stored(counting));
    Expr::case(is(Counting::Rate), rule(Counting::Rate))
        .case(is(Counting::Row), rule(Counting::Row))
        .case(is(Counting::Source), rule(Counting::Source))
        .case(is(Counting::Account), rule(Counting::Account))
        .finally(rule(Counting::Nobody))
        .into()
}

fn stored(counting: Counting) -> i16 {
    match counting {
        Counting::Rate => 1,
        Counting::Row => 2,
        Counting::Source => 3,
        Counting::Account => 4,
        Counting::Nobody => 5,
    }
}

/// A column of the existing row: in an upsert, its bare name could be the new row's.
fn column(column: Column) -> Expr {
    Expr::col((Entity, column))
}

fn milliseconds(time: DateTime<Utc>) -> i64 {
    time.timestamp_millis()
}

#[cfg(test)]
mod tests;
