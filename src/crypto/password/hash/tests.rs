use std::sync::mpsc;

use proptest::prelude::*;
use secrecy::SecretString;

use crate::crypto::password::hash::*;

const CHEAP: HashParameters = HashParameters { memory_kib: 64, iterations: 2, parallelism: 1 };

fn start(parameters: HashParameters) -> PasswordHasher {
    PasswordHasher::start(parameters, 1, Duration::from_mins(1)).unwrap()
}

fn password(text: &str) -> Password {
    Password::parse(&SecretString::from(text)).unwrap()
}

fn stored(phc: &str) -> PasswordHash {
    PasswordHash::from_stored(phc.to_owned())
}

/// Tells with which parameters it was asked, and hashes nothing.
struct Listening(mpsc::Sender<(HashParameters, usize, Vec<u8>)>);

impl Hasher for Listening {
    fn hash(
        &mut self,
        parameters: HashParameters,
        password: &[u8],
        _salt: &[u8],
        out: &mut [u8],
    ) -> Result<(), HashError> {
        self.0.send((parameters, out.len(), password.to_vec())).unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn an_unknown_name_and_an_account_without_password_cost_what_a_new_hash_costs() {
    let (heard, asked) = mpsc::channel();
    let engine = move || Listening(heard.clone());
    let hasher = PasswordHasher::open(CHEAP, 1, Duration::from_mins(1), engine).unwrap();
    // The engine answers zeros, and a stored hash of zeros: only the missing halves make it wrong.
    let weak = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(hasher.verify(Some(password("guess")), None, AccountState::Enabled).await, Ok(Verdict::Wrong));
    assert_eq!(hasher.verify(None, Some(stored(weak)), AccountState::Enabled).await, Ok(Verdict::Wrong));
    assert_eq!(hasher.verify(None, None, AccountState::Enabled).await, Ok(Verdict::Wrong));
    assert!(asked.try_iter().eq([(CHEAP, 32, vec![]), (CHEAP, 32, vec![]), (CHEAP, 32, vec![])]));
    assert_eq!(
        hasher.verify(Some(password("x")), Some(stored(weak)), AccountState::Enabled).await,
        Ok(Verdict::RightButWeaker)
    );
    let stored = HashParameters { memory_kib: 8, iterations: 1, parallelism: 1 };
    assert_eq!(asked.recv(), Ok((stored, 32, b"x".to_vec())));
}

/// The work of a check, whatever its order.
fn work(asked: &mpsc::Receiver<(HashParameters, usize, Vec<u8>)>) -> Vec<HashParameters> {
    let mut all: Vec<_> = asked.try_iter().map(|(parameters, ..)| parameters).collect();
    all.sort();
    all
}

/// After the parameters were raised, lowered, or both, no time tells which name has an account.
#[tokio::test]
async fn every_failed_check_does_the_same_work_whatever_hash_is_stored() {
    let cost = |memory_kib, iterations| HashParameters { memory_kib, iterations, parallelism: 1 };
    let (low, high, never) = (cost(8, 1), cost(128, 3), cost(1_048_577, 1));
    let (heard, asked) = mpsc::channel();
    let engine = move || Listening(heard.clone());
    let hasher = PasswordHasher::open(CHEAP, 1, Duration::from_mins(1), engine).unwrap();
    let phc = |cost: HashParameters, hash: &str| {
        let HashParameters { memory_kib, iterations, parallelism } = cost;
        stored(&format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}$c29tZXNhbHQ${hash}"))
    };
    // The engine answers zeros.
    let (right, wrong) = ("A".repeat(43), format!("B{}", "A".repeat(42)));
    hasher.know_costs([low, high, never]);
    let every = vec![low, CHEAP, high];
    for cost in [low, CHEAP, high] {
        hasher.verify(Some(password("x")), Some(phc(cost, &wrong)), AccountState::Enabled).await.unwrap();
        assert_eq!(work(&asked), every, "a wrong password of {cost:?}");
        hasher.verify(Some(password("x")), Some(phc(cost, &right)), AccountState::Disabled).await.unwrap();
        assert_eq!(work(&asked), every, "a disabled account of {cost:?}");
        hasher.verify(Some(password("x")), Some(phc(cost, &right)), AccountState::Enabled).await.unwrap();
        assert_eq!(work(&asked), [cost], "a right password costs one hash");
    }
    for missing in [(Some(password("x")), None), (None, None)] {
        hasher.verify(missing.0, missing.1, AccountState::Enabled).await.unwrap();
        assert_eq!(work(&asked), every, "nobody's");
    }
    // A hash of another cost counts as soon as it is seen: another replica has stored it.
    let other = cost(32, 1);
    hasher.verify(Some(password("x")), Some(phc(other, &wrong)), AccountState::Enabled).await.unwrap();
    let after = work(&asked);
    hasher.verify(None, None, AccountState::Enabled).await.unwrap();
    assert_eq!(work(&asked), after);
    assert_eq!(after, [low, other, CHEAP, high]);
}

#[tokio::test]
async fn a_stored_hash_that_asks_for_too_much_is_refused_unhashed() {
    let (heard, asked) = mpsc::channel();
    let engine = move || Listening(heard.clone());
    let hasher = PasswordHasher::open(CHEAP, 1, Duration::from_mins(1), engine).unwrap();
    for cost in ["m=262145,t=1,p=1", "m=4294967295,t=1,p=1", "m=64,t=17,p=1", "m=1024,t=1,p=17"] {
        let phc = format!("$argon2id$v=19${cost}$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let verdict = hasher.verify(Some(password("x")), Some(stored(&phc)), AccountState::Enabled).await;
        assert_eq!(verdict, Err(HashError::Broken("a stored hash costs more than is allowed".to_owned())), "{cost}");
    }
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn what_is_not_argon2id_as_phc_is_broken_and_never_right() {
    let hasher = start(CHEAP);
    let good = hasher.hash(password("correct horse")).await.unwrap();
    let broken = [
        String::new(),
        "correct horse".to_owned(),
        good.as_str().replace("argon2id", "argon2i"),
        good.as_str().replace("argon2id", "argon2d"),
        good.as_str().replace("v=19", "v=16"),
        good.as_str().replace("$v=19", ""),
        good.as_str().replace("p=1", "p=0"),
        good.as_str().replace("p=1", "p=1,keyid=YWJj"),
        good.as_str().replace("m=64,", "m=1,"),
        good.as_str().rsplit_once('$').unwrap().0.to_owned(),
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".to_owned(),
    ];
    for phc in broken {
        let verdict = hasher.verify(Some(password("correct horse")), Some(stored(&phc)), AccountState::Enabled).await;
        assert!(matches!(verdict, Err(HashError::Broken(_))), "{phc}: {verdict:?}");
    }
}

#[tokio::test]
async fn the_right_password_is_right_and_any_other_wrong() {
    let hasher = start(CHEAP);
    let hash = hasher.hash(password("correct horse")).await.unwrap();
    assert!(hash.as_str().starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{}", hash.as_str());
    assert_eq!(hash.as_str().split('$').map(str::len).collect::<Vec<_>>(), [0, 8, 4, 12, 22, 43]);
    assert_ne!(hasher.hash(password("correct horse")).await.unwrap(), hash, "each has its own salt");
    assert_eq!(
        hasher.verify(Some(password("correct horse")), Some(hash.clone()), AccountState::Enabled).await,
        Ok(Verdict::Right)
    );
    for wrong in ["correct hors", "correct horse ", "Correct horse", "x"] {
        assert_eq!(
            hasher.verify(Some(password(wrong)), Some(hash.clone()), AccountState::Enabled).await,
            Ok(Verdict::Wrong),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn raising_any_parameter_makes_the_old_hash_weaker_and_lowering_does_not() {
    let hash = start(CHEAP).hash(password("correct horse")).await.unwrap();
    for raised in [
        HashParameters { memory_kib: 65, ..CHEAP },
        HashParameters { iterations: 3, ..CHEAP },
        HashParameters { memory_kib: 32, parallelism: 2, ..CHEAP },
    ] {
        let verdict =
            start(raised).verify(Some(password("correct horse")), Some(hash.clone()), AccountState::Enabled).await;
        assert_eq!(verdict, Ok(Verdict::RightButWeaker), "{raised:?}");
        assert_eq!(
            start(raised).verify(Some(password("wrong")), Some(hash.clone()), AccountState::Enabled).await,
            Ok(Verdict::Wrong)
        );
    }
    let lowered = HashParameters { memory_kib: 32, iterations: 1, parallelism: 1 };
    let verdict = start(lowered).verify(Some(password("correct horse")), Some(hash), AccountState::Enabled).await;
    assert_eq!(verdict, Ok(Verdict::Right));
}

#[test]
fn impossible_parameters_and_numbers_of_workers_do_not_start() {
    for bad in [
        HashParameters { memory_kib: 7, ..CHEAP },
        HashParameters { iterations: 0, ..CHEAP },
        HashParameters { parallelism: 0, ..CHEAP },
        HashParameters { parallelism: 9, ..CHEAP },
    ] {
        assert!(matches!(PasswordHasher::start(bad, 1, Duration::ZERO), Err(StartError::Parameters(_))), "{bad:?}");
    }
    for workers in [0, 1025] {
        assert!(matches!(PasswordHasher::start(CHEAP, workers, Duration::ZERO), Err(StartError::Workers(_))));
    }
}

proptest! {
    #[test]
    fn no_stored_text_makes_the_reader_panic(
        start in "(\\$argon2id\\$v=19\\$m=[0-9]{1,11},t=[0-9]{1,3},p=[0-9]{1,3})?",
        rest in ".{0,80}",
    ) {
        let _ = Stored::parse(&format!("{start}{rest}"));
    }
}
