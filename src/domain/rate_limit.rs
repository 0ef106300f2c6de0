//! How often one client network may call which routes.

use std::{num::NonZeroU32, time::Duration};

/// A class of routes that share one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteClass {
    /// Where a password is tested, or a token redeemed or inspected.
    Token,
    /// Where accounts are made.
    Registration,
    /// Where it is asked whether a username is free.
    Availability,
    /// Where a mail is caused.
    Mail,
    /// Pages for browsers.
    Pages,
}

impl RouteClass {
    /// Its name, as the key of its configuration and the policy's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Registration => "registration",
            Self::Availability => "availability",
            Self::Mail => "mail",
            Self::Pages => "pages",
        }
    }
}

/// So many requests at once, after which each `interval` allows one more: what the generic cell rate algorithm does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many requests.
    pub count: NonZeroU32,
    /// How long it takes until all of them are allowed again; not zero.
    pub per: Duration,
}

impl Quota {
    /// After how long one more request is allowed; never zero.
    #[must_use]
    pub fn interval(self) -> Duration {
        (self.per / self.count.get()).max(Duration::from_nanos(1))
    }

    /// The same for so many times as many requests.
    #[must_use]
    pub fn times(self, factor: NonZeroU32) -> Self {
        Self { count: self.count.saturating_mul(factor), ..self }
    }
}

/// What a network may still do, once a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaState {
    /// The request is within the quota.
    Admitted {
        /// How many more are, from now on.
        remaining: u32,
    },
    /// The request is over the quota, and was not counted.
    Refused {
        /// After how long one will be admitted.
        wait: Duration,
    },
}

/// A duration in whole seconds, rounded up and not zero: whoever waits that long has waited long enough.
#[must_use]
pub fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(count: u32, per: Duration) -> Quota {
        Quota { count: NonZeroU32::new(count).expect("some"), per }
    }

    #[test]
    fn the_interval_parts_the_time_by_the_count_and_is_never_zero() {
        assert_eq!(quota(60, Duration::from_mins(1)).interval(), Duration::from_secs(1));
        assert_eq!(quota(u32::MAX, Duration::from_secs(1)).interval(), Duration::from_nanos(1));
    }

    #[test]
    fn a_multiple_does_not_overflow() {
        let ten = NonZeroU32::new(10).expect("some");
        assert_eq!(quota(5, Duration::from_hours(1)).times(ten), quota(50, Duration::from_hours(1)));
        assert_eq!(quota(u32::MAX, Duration::from_hours(1)).times(ten).count, NonZeroU32::MAX);
    }

    #[test]
    fn seconds_are_rounded_up_and_never_zero() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(999)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(12)), 12);
        assert_eq!(whole_seconds(Duration::from_nanos(12_000_000_001)), 13);
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }
}
