use super::*;

const LEAD: TimeDelta = SHORTEST_LEAD;
const RETIREMENT: TimeDelta = TimeDelta::minutes(17);

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
}

/// Keys by their minute of publication, and of revocation.
fn keys(dates: &[(i64, Option<i64>)]) -> Vec<Life> {
    let dates: Vec<_> = dates
        .iter()
        .map(|(published, revoked)| KeyDates { published: at(*published), revoked: revoked.map(at) })
        .collect();
    lives(&dates, FirstKey::AtOnce, LEAD, RETIREMENT)
}

/// When each begins and ends to sign.
fn signs(dates: &[(i64, Option<i64>)]) -> Vec<(Option<i64>, Option<i64>)> {
    let minute = |date: Option<DateTime<Utc>>| date.map(|date| (date - DateTime::UNIX_EPOCH).num_minutes());
    keys(dates).iter().map(|life| (minute(life.active), minute(life.retired))).collect()
}

#[test]
fn a_key_passes_through_its_four_states() {
    let lives = keys(&[(0, None), (60, None)]);
    let states = |minute| lives.iter().map(|life| life.state(at(minute)).as_str()).collect::<Vec<_>>();
    assert_eq!(states(0), ["active", "published"]);
    assert_eq!(states(65), ["active", "published"]);
    assert_eq!(states(66), ["retired", "active"]);
    assert_eq!(states(82), ["retired", "active"]);
    assert_eq!(states(83), ["gone", "active"]);
    assert_eq!(lives[0].next_change(at(0)), Some(at(66)));
    assert_eq!(lives[0].next_change(at(66)), Some(at(83)));
    assert_eq!(lives[1].next_change(at(66)), None);
    assert!(lives[0].is_shown(at(82)) && !lives[0].is_shown(at(83)) && lives[1].is_shown(at(59)));
}

#[test]
fn each_key_takes_over_after_its_lead_time() {
    assert_eq!(signs(&[]), []);
    assert_eq!(signs(&[(5, None)]), [(Some(5), None)], "the first is active at once");
    let three = [(0, None), (60, None), (62, None)];
    assert_eq!(signs(&three), [(Some(0), Some(66)), (Some(66), Some(68)), (Some(68), None)]);
    assert_eq!(signs(&[(0, None), (60, None), (60, None)])[1..], [(Some(66), Some(66)), (Some(66), None)]);
    // The second key came a minute after the first: that one signs until the lead time is over.
    assert_eq!(signs(&[(0, None), (1, None)]), [(Some(0), Some(7)), (Some(7), None)]);
}

#[test]
fn the_first_key_of_a_further_algorithm_waits() {
    let dates = [10, 30].map(|minute| KeyDates { published: at(minute), revoked: None });
    let lives = lives(&dates, FirstKey::Waits, LEAD, RETIREMENT);
    assert_eq!(lives.iter().map(|life| life.active).collect::<Vec<_>>(), [Some(at(16)), Some(at(36))]);
    assert_eq!((lives[0].state(at(15)), lives[0].state(at(16))), (KeyState::Published, KeyState::Active));
}

#[test]
fn the_next_key_takes_over_at_once_when_the_active_one_is_revoked() {
    // The published one.
    assert_eq!(signs(&[(0, Some(62)), (60, None)]), [(Some(0), Some(62)), (Some(62), None)]);
    // One that was made for it.
    assert_eq!(signs(&[(0, Some(60)), (60, None)]), [(Some(0), Some(60)), (Some(60), None)]);
    // One that was brought later: nothing signed in between.
    assert_eq!(signs(&[(0, Some(60)), (63, None)]), [(Some(0), Some(60)), (Some(63), None)]);
    // A retired key does not come back.
    let three = [(0, None), (60, Some(70)), (69, None)];
    assert_eq!(signs(&three), [(Some(0), Some(66)), (Some(66), Some(70)), (Some(70), None)]);
    assert_eq!(signs(&[(0, Some(60))]), [(Some(0), Some(60))]);
}

#[test]
fn a_key_that_is_revoked_before_its_turn_or_after_it_changes_nothing() {
    assert_eq!(signs(&[(0, None), (60, Some(63)), (64, None)]), [(Some(0), Some(70)), (None, None), (Some(70), None)]);
    assert_eq!(signs(&[(0, Some(80)), (60, None)]), [(Some(0), Some(66)), (Some(66), None)]);
}

#[test]
fn there_is_a_key_to_sign_with_whatever_the_clock_says() {
    let lives = keys(&[(60, None), (120, None)]);
    let active = |minute| active(&lives.iter(), |life| *life, at(minute)).map(|life| life.published);
    let (first, second) = (Some(at(60)), Some(at(120)));
    assert_eq!((active(0), active(60), active(125), active(126)), (first, first, first, second));
    assert_eq!(super::active(&[].iter(), |life: &Life| *life, at(0)), None);
    // The second was revoked, and the key that takes its place is not here yet: verifiers know the first.
    let lives = keys(&[(60, None), (120, Some(130))]);
    let active = |minute| super::active(&lives[..1].iter(), |life| *life, at(minute)).map(|life| life.published);
    assert_eq!((active(131), active(126 + 17)), (first, None));
}

#[test]
fn the_longest_cache_time_shrinks_as_an_activation_nears() {
    let age = |seconds: i64| max_age([at(66)].into_iter(), at(66) - TimeDelta::seconds(seconds)).num_seconds();
    assert_eq!((age(1000), age(361), age(360)), (300, 300, 300));
    assert_eq!((age(359), age(200), age(70), age(60), age(1)), (299, 140, 10, 10, 10));
    assert_eq!((age(0), age(-5)), (300, 300), "it is over");
    assert_eq!(max_age(std::iter::empty(), at(0)), JWKS_MAX_AGE);
}
