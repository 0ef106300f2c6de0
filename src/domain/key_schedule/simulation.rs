//! A thousand rotations on a virtual clock, judged by the functions that the service itself asks: no verifier that keeps
//! to the rules meets a token whose key it cannot know, whatever it caches and whatever its clock says.

use super::*;
use crate::domain::signing_key::SigningAlgorithm;

/// How a verifier keeps the key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    /// For `max-age`; it asks again before that for nothing.
    MaxAge,
    /// For so long, whatever the answer said; it asks again before that for nothing.
    Fixed(i64),
    /// For ever, but it asks again for an unknown key, at most once in so long.
    OnUnknownKey(i64),
    /// For so long; it asks again for an unknown key, at most once in so long.
    FixedOrUnknownKey(i64, i64),
}

/// A verifier, its clock and what it has cached. Times are in seconds.
struct Verifier {
    cache: Cache,
    /// By how much its clock is ahead.
    skew: i64,
    /// When it fetched the set, how long it may keep it, and the keys in it.
    held: Option<(i64, i64, Vec<usize>)>,
}

/// The replicas of a service, with the set of keys that each sees.
struct World {
    published: Vec<i64>,
    /// By how much the clock of each replica is ahead.
    replicas: Vec<i64>,
    /// How long after its publication each replica sees a file.
    poll: i64,
    lead: i64,
    /// How long a key is retired.
    retirement: i64,
    /// The lifetime of a token.
    token: i64,
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// The lives of the keys that are in question around now: each key's neighbours decide about it, so the first ones of a
/// long row need not be asked again.
const WINDOW: usize = 6;

impl World {
    /// The lives of the latest keys that the replica sees at `now`, with the number of the first.
    fn seen(&self, now: i64) -> (usize, Vec<Life>) {
        let count = self.published.partition_point(|published| published + self.poll <= now).max(1);
        let first = count.saturating_sub(WINDOW);
        // The publisher's clock is the first replica's.
        let stamped = |published: &i64| time(published + self.replicas[0]);
        let dates: Vec<_> = self.published[first..count]
            .iter()
            .map(|published| KeyDates { published: stamped(published), revoked: None })
            .collect();
        (first, lives(&dates, FirstKey::AtOnce, TimeDelta::seconds(self.lead), TimeDelta::seconds(self.retirement)))
    }

    /// The key that `replica` signs with.
    fn signs(&self, replica: usize, now: i64) -> usize {
        let (first, lives) = self.seen(now);
        let numbered: Vec<_> = lives.into_iter().enumerate().collect();
        let active = active(&numbered.iter(), |(_, life)| *life, time(now + self.replicas[replica]));
        first + active.expect("a key").0
    }

    /// The keys in the JWKS of `replica`, and its `max-age`.
    fn jwks(&self, replica: usize, now: i64) -> (Vec<usize>, i64) {
        let (first, lives) = self.seen(now);
        let here = time(now + self.replicas[replica]);
        let shown = (0..lives.len()).filter(|index| lives[*index].is_shown(here)).map(|index| first + index);
        let age = max_age(lives.iter().filter_map(|life| life.active), here);
        (shown.collect(), age.num_seconds())
    }
}

impl Verifier {
    /// Whether it knows `key` at `now`, after it has asked `replica` where its rules let it.
    fn knows(&mut self, world: &World, replica: usize, key: usize, now: i64) -> bool {
        let fetch = |held: &mut Option<(i64, i64, Vec<usize>)>| {
            let (keys, age) = world.jwks(replica, now);
            *held = Some((now, age, keys));
        };
        let has = |held: &Option<(i64, i64, Vec<usize>)>| held.as_ref().is_some_and(|(_, _, keys)| keys.contains(&key));
        let stale = self.held.as_ref().is_none_or(|(at, age, _)| match self.cache {
            Cache::MaxAge => now >= at + age,
            Cache::Fixed(keeps) | Cache::FixedOrUnknownKey(keeps, _) => now >= at + keeps,
            Cache::OnUnknownKey(_) => false,
        });
        if stale {
            fetch(&mut self.held);
        }
        if let Cache::OnUnknownKey(pause) | Cache::FixedOrUnknownKey(_, pause) = self.cache
            && !has(&self.held)
            && self.held.as_ref().is_none_or(|(at, _, _)| now >= at + pause)
        {
            fetch(&mut self.held);
        }
        has(&self.held)
    }
}

/// A small generator, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).expect("31 bits") % below
    }
}

/// The parts of a simulation that differ.
struct Setting {
    lead: i64,
    /// The retirement; `None` for the service's own.
    retirement: Option<i64>,
    /// The greatest deviation of a replica's clock.
    replicas: i64,
    caches: Vec<Cache>,
}

const TOKEN: i64 = 600;

/// Rotates a thousand times, and counts the tokens that a verifier refused for want of their key.
fn failures(setting: &Setting) -> usize {
    let kind = KeyKind::Signing(SigningAlgorithm::ES256);
    let own = KeyTimes { tokens: TimeDelta::seconds(TOKEN), ..KeyTimes::default() }.retirement(kind).num_seconds();
    let mut world = World {
        published: vec![0],
        replicas: vec![-setting.replicas, setting.replicas, 0],
        poll: 2,
        lead: setting.lead,
        retirement: setting.retirement.unwrap_or(own),
        token: TOKEN,
    };
    let clocks = [-60, 0, 60];
    let mut verifiers: Vec<_> = (0..setting.caches.len() * clocks.len())
        .map(|n| Verifier { cache: setting.caches[n / clocks.len()], skew: clocks[n % clocks.len()], held: None })
        .collect();
    let mut dice = Dice(7);
    let mut now = 10_000;
    let mut refused = 0;
    // Tokens in the hands of clients: key and expiry.
    let mut tokens: Vec<(usize, i64)> = Vec::new();
    for rotation in 0..1000 {
        // Sometimes soon after the one before, sometimes much later.
        let until = now + setting.lead + [1, 30, 900, 7200][rotation % 4] + dice.roll(300);
        world.published.push(now + 5);
        while now < until {
            now += 1 + dice.roll(20);
            let replica = usize::try_from(dice.roll(3)).expect("one of three");
            // By the clock of the replica that issues it.
            tokens.push((world.signs(replica, now), now + world.replicas[replica] + world.token));
            let (newest, chosen) = (tokens.len() - 1, usize::try_from(dice.roll(64)).expect("few"));
            for (n, verifier) in verifiers.iter_mut().enumerate() {
                // The newest token, and an older one.
                for token in [newest, newest.saturating_sub(chosen)] {
                    let (key, expires) = tokens[token];
                    let asked = (replica + n) % 3;
                    if now + verifier.skew < expires && !verifier.knows(&world, asked, key, now) {
                        refused += 1;
                    }
                }
                // Junk that names no key of ours starts a cool-down, too.
                if dice.roll(50) == 0 {
                    verifier.knows(&world, replica, usize::MAX, now);
                }
            }
        }
        let kept = tokens.len().saturating_sub(200);
        tokens.drain(..kept);
    }
    refused
}

/// Every way to keep the key set that the default lead time allows.
fn caches() -> Vec<Cache> {
    vec![Cache::MaxAge, Cache::Fixed(300), Cache::OnUnknownKey(300), Cache::FixedOrUnknownKey(600, 300)]
}

/// The clocks of replicas differ by 56 seconds, those of verifiers by a minute each way.
fn usual() -> Setting {
    Setting { lead: SHORTEST_LEAD.num_seconds(), retirement: None, replicas: 28, caches: caches() }
}

#[test]
fn a_thousand_rotations_break_no_verifier() {
    assert_eq!(failures(&usual()), 0);
}

#[test]
fn replicas_whose_clocks_differ_by_two_minutes_need_two_minutes_more() {
    assert_eq!(failures(&Setting { lead: 8 * 60, replicas: 60, ..usual() }), 0);
    assert!(failures(&Setting { replicas: 60, ..usual() }) > 0);
}

#[test]
fn verifiers_that_keep_keys_for_longer_need_a_lead_time_to_match() {
    for keeps in [600, 7200] {
        let caches = vec![Cache::Fixed(keeps)];
        assert_eq!(failures(&Setting { lead: keeps + 60, caches: caches.clone(), ..usual() }), 0);
        assert!(failures(&Setting { caches, ..usual() }) > 0, "{keeps} s with the default");
    }
}

#[test]
fn a_shorter_lead_time_breaks_verifiers() {
    for cache in caches() {
        let short = Setting { lead: 240, caches: vec![cache], ..usual() };
        assert!(failures(&short) > 0, "{cache:?}");
    }
}

#[test]
fn a_shorter_retirement_breaks_verifiers() {
    for cache in caches() {
        let short = Setting { retirement: Some(TOKEN / 2), caches: vec![cache], ..usual() };
        assert!(failures(&short) > 0, "{cache:?}");
    }
}
