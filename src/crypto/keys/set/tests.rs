use chrono::TimeDelta;

use super::*;

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
}

fn key(algorithm: SigningAlgorithm, published: DateTime<Utc>) -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap(), published).unwrap()
}

fn revoked(key: &SigningKey, minute: i64) -> RevokedKey {
    let kind = KeyKind::Signing(key.algorithm());
    RevokedKey { kid: key.kid().to_owned(), kind, published: key.published(), revoked: at(minute) }
}

#[test]
fn each_algorithm_has_its_own_schedule() {
    let keys = vec![
        key(SigningAlgorithm::ES256, at(60)),
        key(SigningAlgorithm::EdDSA, at(61)),
        key(SigningAlgorithm::ES256, at(0)),
    ];
    let set = KeySet::of(keys, vec![]);
    let signs = |algorithm, now| set.active(algorithm, now).map(SigningKey::published);
    assert_eq!(signs(SigningAlgorithm::ES256, at(65)), Some(at(0)), "verifiers may not know the newer key yet");
    assert_eq!(signs(SigningAlgorithm::ES256, at(66)), Some(at(60)));
    assert_eq!(signs(SigningAlgorithm::EdDSA, at(61)), Some(at(61)), "the first of its algorithm");
    assert!(signs(SigningAlgorithm::RS256, at(66)).is_none());
    assert!(set.kids().iter().all(|kid| set.find(kid, at(66)).is_some()) && set.find("another", at(66)).is_none());
}

#[test]
fn the_first_key_of_a_further_algorithm_waits_until_verifiers_know_it() {
    let keys = || vec![key(SigningAlgorithm::ES256, at(0)), key(SigningAlgorithm::EdDSA, at(1))];
    let set = KeySet::of(keys(), vec![]);
    let signs = |algorithm, minute| set.active_for_access(algorithm, at(minute)).map(SigningKey::algorithm);
    assert_eq!(signs(SigningAlgorithm::EdDSA, 1), Some(SigningAlgorithm::ES256));
    assert_eq!(signs(SigningAlgorithm::EdDSA, 6), Some(SigningAlgorithm::ES256));
    assert_eq!(signs(SigningAlgorithm::EdDSA, 7), Some(SigningAlgorithm::EdDSA));
    assert_eq!(signs(SigningAlgorithm::ES256, 0), Some(SigningAlgorithm::ES256), "the first of the installation");
    assert_eq!(signs(SigningAlgorithm::RS256, 1), Some(SigningAlgorithm::ES256), "its key is not there yet");
}

#[test]
fn a_key_in_the_place_of_a_revoked_one_does_not_wait() {
    let (old, other, new) = (
        key(SigningAlgorithm::ES256, at(0)),
        key(SigningAlgorithm::RS256, at(1)),
        key(SigningAlgorithm::ES256, at(60)),
    );
    let (new_kid, ended) = (new.kid().to_owned(), revoked(&old, 60));
    let set = KeySet::of(vec![old, other, new], vec![]).without([ended.clone()].into());
    assert_eq!(set.active_for_access(SigningAlgorithm::ES256, at(60)).map(SigningKey::kid), Some(&*new_kid));
    assert_eq!(set.active(SigningAlgorithm::ES256, at(60)).map(SigningKey::kid), Some(&*new_kid));
    for minute in [0, 60, 61] {
        assert!(set.find(&ended.kid, at(minute)).is_none() && set.find_of_any_age(&ended.kid).is_none());
    }
    assert_eq!(set.kids().len(), 2);
}

#[test]
fn a_key_that_is_gone_verifies_hints_alone() {
    let keys = vec![key(SigningAlgorithm::ES256, at(0)), key(SigningAlgorithm::ES256, at(60))];
    let kid = keys[0].kid().to_owned();
    let set = KeySet::of(keys, vec![]);
    let gone = at(66) + set.times().retirement(KeyKind::Signing(SigningAlgorithm::ES256));
    assert!(set.find(&kid, gone - TimeDelta::seconds(1)).is_some() && set.find(&kid, gone).is_none());
    assert_eq!((set.shown(at(70)).count(), set.shown(gone).count()), (2, 1));
    assert!(set.find_of_any_age(&kid).is_some());
}

#[test]
fn a_new_root_secret_waits_until_every_replica_has_read_it() {
    let roots = vec![RootSecret::new(&[2; 32], at(60)), RootSecret::new(&[1; 32], at(0))];
    let set = KeySet::of(vec![], roots);
    assert_eq!(set.active_root_secret(at(65)).map(RootSecret::published), Some(at(0)));
    assert_eq!(set.active_root_secret(at(66)).map(RootSecret::published), Some(at(60)));
    assert!(KeySet::default().active_root_secret(at(0)).is_none());
}
