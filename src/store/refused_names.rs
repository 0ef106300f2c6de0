//! A cache in each replica of the counters that refuse for a while, so that an attack costs no SQL.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use moka::sync::Cache;

use crate::{
    domain::{
        ids::UserId,
        throttle::{Counter, ThrottleKey},
    },
    store::changes::Change,
};

/// Counters that refuse for a while. A forgotten one costs a query.
#[derive(Debug, Clone)]
pub struct RefusedNames {
    refused: Cache<ThrottleKey, Refusal>,
    /// When the failures of an account were forgiven, or the account changed otherwise.
    forgiven: Cache<UserId, Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// By the wall clock. A time before it means that the clock was set back: then the refusal means nothing.
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    account: Option<UserId>,
    remembered: Instant,
}

/// The most counters kept: some 15 MB.
const MOST_REMEMBERED: u64 = 100_000;
/// How long at most, by this process's own clock.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);

impl Default for RefusedNames {
    fn default() -> Self {
        Self {
            refused: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED_FOR).build(),
            forgiven: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED_FOR).build(),
        }
    }
}

impl RefusedNames {
    /// Stores at `now` that attempts under `key`, which are attempts at `account`, wait until `until`.
    pub fn remember(&self, key: ThrottleKey, account: Option<UserId>, now: DateTime<Utc>, until: DateTime<Utc>) {
        self.refused.insert(key, Refusal { since: now, until, account, remembered: Instant::now() });
    }

    /// Removes these counters: an attempt at each was admitted earlier than expected.
    pub fn forget(&self, counters: &[Counter]) {
        for counter in counters {
            self.refused.invalidate(&counter.key);
        }
    }

    /// Removes the counters of a changed account: the operator may have unlocked it.
    pub fn apply(&self, change: &Change) {
        if let Change::AccountChanged(account) = change {
            self.forgiven.insert(*account, Instant::now());
        }
    }

    /// Until when attempts wait, if that is known and in the future.
    #[must_use]
    pub fn until(&self, key: &ThrottleKey, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let refusal = self.refused.get(key)?;
        let forgiven = refusal.account.and_then(|account| self.forgiven.get(&account));
        let holds = forgiven.is_none_or(|forgiven| forgiven < refusal.remembered);
        (holds && (refusal.since..refusal.until).contains(&now)).then_some(refusal.until)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::domain::throttle::Counting;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const KEY: ThrottleKey = ThrottleKey([1; 32]);
    const ADA: UserId = UserId(Uuid::from_u128(1));

    #[test]
    fn a_name_is_remembered_for_as_long_as_it_is_refused() {
        let refused = RefusedNames::default();
        let until = NOW + TimeDelta::seconds(9);
        refused.remember(KEY, None, NOW, until);
        assert_eq!(refused.until(&KEY, NOW), Some(until));
        assert_eq!(refused.until(&KEY, until), None);
        assert_eq!(refused.until(&KEY, NOW - TimeDelta::seconds(1)), None, "the clock was set back");
        assert_eq!(refused.until(&ThrottleKey([2; 32]), NOW), None);
        refused.forget(&[Counter { key: KEY, counting: Counting::Source }]);
        assert_eq!(refused.until(&KEY, NOW), None);
    }

    #[test]
    fn a_changed_account_is_refused_only_by_what_was_counted_since() {
        let refused = RefusedNames::default();
        let until = NOW + TimeDelta::days(1);
        refused.remember(KEY, Some(ADA), NOW, until);
        refused.apply(&Change::AccountChanged(UserId(Uuid::from_u128(2))));
        assert_eq!(refused.until(&KEY, NOW), Some(until));
        refused.apply(&Change::AccountChanged(ADA));
        assert_eq!(refused.until(&KEY, NOW), None);
    }
}
