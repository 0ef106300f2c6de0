//! Tokens whose signature was verified before.

use super::*;

#[test]
fn what_was_verified_before_is_still_judged_by_time_and_keys() {
    let jwt = jwt();
    let token = jwt.sign_access(&access(), now()).unwrap();
    let (claims, kid) = jwt.verify_access(&token, now()).unwrap();
    assert_eq!(claims, access());
    let judged = |seconds| jwt.is_still_good(&claims, &kid, now() + TimeDelta::seconds(seconds));
    assert_eq!(judged(0), Ok(()));
    assert_eq!(judged(599), Ok(()));
    assert_eq!(judged(600), Err(TokenError::Expired));
    assert_eq!(judged(-30), Ok(()));
    assert_eq!(judged(-31), Err(TokenError::NotYetValid));
    // Its key is withdrawn.
    let other = TempDir::new().unwrap();
    for kind in [ES256, KeyKind::RootSecret] {
        files::create(other.path(), kind, DateTime::UNIX_EPOCH).unwrap();
    }
    let without = opened(other.path(), SigningAlgorithm::ES256);
    assert_eq!(without.is_still_good(&claims, &kid, now()), Err(TokenError::UnknownKey));
}
