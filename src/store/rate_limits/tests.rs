use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Mutex,
};

use chrono::{DateTime, Utc};

use super::*;
use crate::domain::clock::SystemClock;

/// Stands still until it is moved.
#[derive(Debug)]
struct Still(Mutex<Instant>);

impl Still {
    fn clock() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemClock.instant())))
    }

    fn advance(&self, time: Duration) {
        *self.0.lock().expect("nobody fails while holding it") += time;
    }
}

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn instant(&self) -> Instant {
        *self.0.lock().expect("nobody fails while holding it")
    }
}

fn quota(count: u32, per: Duration) -> Quota {
    Quota { count: NonZeroU32::new(count).expect("some"), per }
}

/// The `number`-th /64 of a documentation prefix.
fn network(number: u32) -> ClientNetwork {
    IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) | (u128::from(number) << 64))).into()
}

fn admitted(remaining: u32) -> QuotaState {
    QuotaState::Admitted { remaining }
}

fn refused(wait: Duration) -> QuotaState {
    QuotaState::Refused { wait }
}

/// A limit, and its slots to look at.
fn limit(quota: Quota, clock: Arc<dyn Clock>, most: u64, shared: usize) -> (NetworkLimit, Slots) {
    let passed = Passed { since: clock.instant(), clock };
    let slots = Slots::new(most, shared, passed.clone());
    (NetworkLimit::with_slots(quota, slots.clone(), passed), slots)
}

#[test]
fn a_network_has_its_quota_and_then_waits() {
    let clock = Still::clock();
    let limit = NetworkLimit::new(quota(3, Duration::from_hours(3)), clock.clone());
    let hour = Duration::from_hours(1);
    assert_eq!([0; 3].map(|_| limit.count(network(0))), [2, 1, 0].map(admitted));
    assert_eq!(limit.count(network(0)), refused(hour));
    clock.advance(hour / 4);
    assert_eq!(limit.count(network(0)), refused(hour * 3 / 4), "a refused request costs nothing");
    assert_eq!(limit.count(network(1)), admitted(2), "another network has its own");
    clock.advance(hour * 3 / 4);
    assert_eq!(limit.count(network(0)), admitted(0), "one more for each interval");
    assert_eq!(limit.count(network(0)), refused(hour));
    clock.advance(hour * 100);
    assert_eq!(limit.count(network(0)), admitted(2), "never more than the quota");
}

#[test]
fn requests_at_the_same_time_get_no_more_than_the_quota() {
    let limit = NetworkLimit::new(quota(50, Duration::from_hours(1)), Still::clock());
    let count = || (0..50).filter(|_| matches!(limit.count(network(0)), QuotaState::Admitted { .. })).count();
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not fail")).sum()
    });
    assert_eq!(admitted, 50);
}

/// As many networks as an attacker likes: who was limited stays limited, and newcomers are limited and let in.
#[test]
fn a_flood_of_networks_washes_nothing_away_and_takes_bounded_memory() {
    let (limit, slots) = limit(quota(5, Duration::from_hours(1)), Still::clock(), SLOTS, SHARED_SLOTS);
    let exhausts = |network| {
        for _ in 0..5 {
            let _ = limit.count(network);
        }
    };
    let is_refused = |network| matches!(limit.count(network), QuotaState::Refused { .. });
    exhausts(network(0));
    assert_eq!(limit.count(network(1)), admitted(4), "one that is quiet");
    let flood = 3 * u32::try_from(SLOTS).expect("not that many");
    for number in 2..flood {
        let _ = limit.count(network(number));
    }
    assert!(is_refused(network(0)), "the first attacker");
    assert_eq!(limit.count(network(1)), admitted(3), "the quiet one has what it had");
    slots.own.run_pending_tasks();
    let most = SLOTS + 1024;
    assert!((SLOTS..most).contains(&slots.own.entry_count()), "{} slots", slots.own.entry_count());
    // A newcomer shares, and has still not more than one quota.
    exhausts(network(flood));
    assert!(is_refused(network(flood)));
}

/// The flood spends its quota in the slots that newcomers share, and fills a small part of them with that.
#[test]
fn most_newcomers_get_in_while_there_is_a_flood() {
    let (limit, _) = limit(quota(5, Duration::from_hours(1)), Still::clock(), 100, 1000);
    for number in 0..1100 {
        let _ = limit.count(network(number));
    }
    for number in 0..100 {
        for _ in 0..10 {
            let _ = limit.count(network(5000 + number));
        }
    }
    let newcomers =
        (10_000..11_000).filter(|number| matches!(limit.count(network(*number)), QuotaState::Admitted { .. }));
    // A tenth of the slots is exhausted; the newcomers meet one another in the rest.
    let newcomers = newcomers.count();
    assert!((700..990).contains(&newcomers), "{newcomers} of 1000");
}

#[test]
fn nobody_can_know_with_whom_it_shares() {
    let drawn = || {
        let slots = Slots::new(1, 1000, Passed { clock: Still::clock(), since: SystemClock.instant() });
        let slot = |number| std::ptr::from_ref(slots.shared(&network(number))).addr() - slots.shared.as_ptr().addr();
        (0..64).map(slot).collect::<Vec<_>>()
    };
    assert_ne!(drawn(), drawn(), "the hash has a key of its own");
}

/// Slots come free by themselves, while nobody but newcomers calls.
#[test]
fn a_network_is_forgotten_when_its_quota_is_whole_again() {
    let (limit, slots) = limit(quota(1000, Duration::from_secs(1)), Arc::new(SystemClock), 100, 1);
    for number in 0..2000 {
        let _ = limit.count(network(number));
    }
    let begin = Instant::now();
    let has_its_own = |number| {
        let _ = limit.count(network(number));
        slots.own.contains_key(&network(number))
    };
    while !has_its_own(5000) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{} slots are taken", slots.own.entry_count());
        std::thread::yield_now();
    }
}
