//! Quotas of requests for one client network, by class of routes.

use std::{num::NonZeroU32, time::Duration};

/// A class of routes that share one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteClass {
    /// Routes that test a password, or redeem or inspect a token.
    Token,
    /// Routes that create accounts.
    Registration,
    /// Routes that tell whether a username is free.
    Availability,
    /// Routes that cause an email.
    Mail,
    /// Pages for browsers.
    Pages,
}

impl RouteClass {
    /// Its name: the configuration key, and the policy's name in headers.
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

/// A number of requests at once, after which each `interval` allows one more (generic cell rate algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
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

    /// The same quota with the count multiplied.
    #[must_use]
    pub fn times(self, factor: NonZeroU32) -> Self {
        Self { count: self.count.saturating_mul(factor), ..self }
    }
}

/// The verdict on a counted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaState {
    Admitted {
        /// How many more requests are within the quota now.
        remaining: u32,
    },
    /// The request is over the quota, and was not counted.
    Refused {
        /// The wait until one is admitted.
        wait: Duration,
    },
}

/// A duration in whole seconds, rounded up and never zero, so that a client that waits this long is admitted.
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
