use proptest::prelude::*;

use super::*;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn rules() -> ThrottleRules {
    ThrottleRules::new(10, TimeDelta::minutes(15))
}

/// Makes an attempt at each of these times, and returns which attempts are evaluated.
fn evaluated(rules: ThrottleRules, counting: Counting, times: impl IntoIterator<Item = DateTime<Utc>>) -> Vec<bool> {
    let mut standing = None;
    let attempt = |now| {
        let counted = rules.attempt(counting, standing, now);
        standing = counted.or(standing);
        counted.is_some()
    };
    times.into_iter().map(attempt).collect()
}

#[test]
fn as_many_attempts_as_configured_come_at_once_and_then_one_a_step() {
    for counting in Counting::ALL {
        let free = if matches!(counting, Counting::Row | Counting::Source) { 10 } else { 90 };
        let at_once = evaluated(rules(), counting, [NOW; 200]);
        assert_eq!(at_once.iter().filter(|done| **done).count(), free, "{counting:?}");
        assert!(at_once[..free].iter().all(|done| *done), "{counting:?}");
    }
    let later = |seconds| NOW + TimeDelta::seconds(seconds);
    let times = [NOW; 90].into_iter().chain([later(89), later(90), later(90), later(180)]);
    assert_eq!(evaluated(rules(), Counting::Rate, times)[90..], [false, true, false, true]);
}

#[test]
fn the_wait_doubles_up_to_a_day_and_a_hundred_failures_bring_rest() {
    let rule = ThrottleRule::new(10, TimeDelta::minutes(15));
    let waits: Vec<_> = (0..=101).map(|failures| rule.wait(failures).num_seconds()).collect();
    assert_eq!(waits[..10], [0; 10]);
    assert_eq!(waits[10..14], [90, 180, 360, 720]);
    assert_eq!((waits[19], waits[20], waits[99]), (46_080, 86_400, 86_400));
    assert_eq!((waits[100], waits[101]), (30 * 86_400, 30 * 86_400));
    assert_eq!(ThrottleRule::new(1_000_000, TimeDelta::days(1)).wait(100), REST, "whatever is configured");
}

/// One network alone does not reach the counters over all networks within days, however patient it is.
#[test]
fn a_single_network_never_has_more_than_twenty_attempts_a_day() {
    let (mut standing, mut evaluated) = (None, 0);
    for second in 0..86_400 {
        let counted = rules().attempt(Counting::Source, standing, NOW + TimeDelta::seconds(second));
        evaluated += i32::from(counted.is_some());
        standing = counted.or(standing);
    }
    assert_eq!(evaluated, 19);
}

/// An attack from any number of networks does not lock the account at once: the owner has a day to log in.
#[test]
fn a_lock_takes_more_than_a_day() {
    let (mut standing, mut now) = (None, NOW);
    while standing.is_none_or(|standing: ThrottleState| standing.failures < MOST_FAILURES) {
        now = standing.map_or(now, |standing| standing.free_at.max(now));
        standing = rules().attempt(Counting::Account, standing, now).or(standing);
    }
    assert!(now - NOW > TimeDelta::hours(12), "{}", now - NOW);
}

#[test]
fn what_was_counted_before_the_clock_was_set_back_locks_nobody() {
    for counting in Counting::ALL {
        let ahead = NOW + TimeDelta::days(40);
        let mut standing = None;
        for _ in 0..95 {
            standing = rules().attempt(counting, standing, ahead).or(standing);
        }
        assert!(rules().attempt(counting, standing, ahead).is_none(), "{counting:?}");
        let after = rules().attempt(counting, standing, NOW).unwrap_or_else(|| panic!("{counting:?}"));
        assert!(after.free_at <= NOW + LONGEST_WAIT && after.forget_at <= NOW + REST, "{counting:?}: {after:?}");
    }
}

#[test]
fn the_failures_of_a_day_are_forgotten_a_day_after_the_first() {
    for counting in [Counting::Source, Counting::Nobody] {
        let first = rules().attempt(counting, None, NOW).expect("it is the first");
        let later = NOW + TimeDelta::hours(23);
        let second = rules().attempt(counting, Some(first), later).expect("it is free");
        assert_eq!((second.failures, second.forget_at), (2, NOW + DAY));
        assert_eq!(rules().attempt(counting, Some(second), NOW + DAY).map(|state| state.failures), Some(1));
    }
}

#[test]
fn a_rule_of_any_size_is_a_rule() {
    for rule in [ThrottleRule::new(u32::MAX, TimeDelta::seconds(1)), ThrottleRule::new(0, TimeDelta::days(1))] {
        assert!(rule.step() > TimeDelta::zero() && rule.burst() >= TimeDelta::zero());
        assert!((0..200).all(|failures| rule.wait(failures) <= REST));
    }
    for count in [0, 1, 9, 1000, u32::MAX] {
        let rules = ThrottleRules::new(count, TimeDelta::days(1));
        let all = rules.of(Counting::Account);
        assert!((1..=90).contains(&all.count) && all.burst() >= TimeDelta::zero());
    }
}

proptest! {
    #[test]
    fn never_more_than_a_hundred_failures_in_a_row_are_evaluated(
        count in 1_u32..1_000_000, seconds in 1_i64..86_400, gaps in prop::collection::vec(0_i64..REST.num_seconds(), 1..300),
    ) {
        let rules = ThrottleRules::new(count, TimeDelta::seconds(seconds));
        let mut now = NOW;
        // The attempts span up to thirty days: forgotten failures begin a new row.
        let times: Vec<_> = gaps.into_iter().map(|gap| { now += TimeDelta::seconds(gap / 300); now }).collect();
        for counting in [Counting::Row, Counting::Account] {
            let last = [NOW + REST - TimeDelta::seconds(1); 300];
            let done = evaluated(rules, counting, times.iter().copied().chain(last));
            prop_assert!(done.iter().filter(|done| **done).count() <= 100);
        }
    }

    #[test]
    fn the_wait_never_shrinks(count in 1_u32..1_000_000, seconds in 1_i64..86_400, failures in 0_i32..200) {
        let rule = ThrottleRule::new(count, TimeDelta::seconds(seconds));
        prop_assert!(rule.wait(failures) <= rule.wait(failures + 1));
    }

    #[test]
    fn a_user_who_waits_gets_in_however_long_a_stranger_went_on(
        count in 1_u32..1000, seconds in 1_i64..86_400, attempts in 1_usize..300, which in 0_usize..5,
    ) {
        let (rules, counting) = (ThrottleRules::new(count, TimeDelta::seconds(seconds)), Counting::ALL[which]);
        let mut standing = None;
        for _ in 0..attempts {
            standing = rules.attempt(counting, standing, NOW).or(standing);
        }
        let free_at = standing.map_or(NOW, |standing: ThrottleState| standing.free_at.max(NOW));
        prop_assert!(rules.attempt(counting, standing, free_at).is_some());
    }

    #[test]
    fn no_window_holds_more_than_twice_what_is_configured(
        count in 1_u32..50, gaps in prop::collection::vec(0_i64..120, 1..400),
    ) {
        let (rules, mut now) = (ThrottleRules::new(count, TimeDelta::minutes(15)), NOW);
        let times: Vec<_> = gaps.into_iter().map(|gap| { now += TimeDelta::seconds(gap); now }).collect();
        let done = evaluated(rules, Counting::Rate, times.clone());
        let done: Vec<_> = times.into_iter().zip(done).filter(|(_, done)| *done).map(|(at, _)| at).collect();
        let window = rules.of(Counting::Rate).burst() + rules.of(Counting::Rate).step();
        for begin in &done {
            let within = done.iter().filter(|at| (*begin..*begin + window).contains(at)).count();
            prop_assert!(within <= 2 * usize::try_from(rules.of(Counting::Rate).count).unwrap());
        }
    }
}
