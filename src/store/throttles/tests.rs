use proptest::{prelude::*, test_runner::TestRunner};
use sea_orm::PaginatorTrait;
use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::store::{Database, Use, connect, schema};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
const ADA: UserId = UserId(uuid::Uuid::from_u128(1));
const RATE: Counter = Counter { key: ThrottleKey([1; 32]), counting: Counting::Rate };
const ROW: Counter = Counter { key: ThrottleKey([2; 32]), counting: Counting::Row };
const SOURCE: Counter = Counter { key: ThrottleKey([3; 32]), counting: Counting::Source };
const ACCOUNT: Counter = Counter { key: ThrottleKey([4; 32]), counting: Counting::Account };
const NOBODY: Counter = Counter { key: ThrottleKey([5; 32]), counting: Counting::Nobody };
const EVERY: [Counter; 5] = [RATE, ROW, SOURCE, ACCOUNT, NOBODY];

/// A migrated SQLite database. It is gone with the folder.
async fn database() -> (TempDir, Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let url: SecretString = format!("sqlite://{}/signet.db?mode=rwc", folder.path().display()).into();
    let db = connect(&url, Use::Requests).await.expect("it opens");
    schema::up(&db).await.expect("it migrates");
    (folder, db)
}

async fn standing(db: &Database, counter: Counter) -> Option<ThrottleState> {
    let time = |milliseconds| DateTime::from_timestamp_millis(milliseconds).expect("a time");
    let row = Entity::find_by_id(counter.key.0.to_vec()).one(db).await.expect("it reads")?;
    Some(ThrottleState { failures: row.failures, free_at: time(row.free_at), forget_at: time(row.forget_at) })
}

fn rules() -> ThrottleRules {
    ThrottleRules::new(3, TimeDelta::minutes(15))
}

/// Counts an attempt at Ada's account.
async fn count(db: &Database, counters: &[Counter]) -> Vec<Counter> {
    attempt(db, counters, Some(ADA), &rules(), NOW).await.expect("it counts")
}

/// The statement is the rule of the domain, whatever happens when.
#[test]
fn the_statement_counts_as_the_rule_does() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (_folder, db) = runtime.block_on(database());
    let rules = prop_oneof![Just((1, 1)), Just((3, 900)), Just((10, 900)), Just((150, 3600)), Just((1_000_000, 1))];
    // Some clocks are set back.
    let gaps = prop_oneof![
        Just(0_i64),
        Just(1),
        0..2_000_i64,
        0..100_000_000_i64,
        0..4_000_000_000_i64,
        -4_000_000_000..0_i64,
        -100_000..0_i64,
    ];
    let strategy = (rules, prop::collection::vec(gaps, 1..60));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    let told = runner.run(&strategy, |((count, seconds), gaps)| {
        runtime.block_on(async {
            let rules = ThrottleRules::new(count, TimeDelta::seconds(seconds));
            Entity::delete_many().exec(&db).await.expect("it deletes");
            let (mut now, mut expected) = (NOW + TimeDelta::days(9000), [None; EVERY.len()]);
            for gap in gaps {
                now += TimeDelta::milliseconds(gap);
                let counted = attempt(&db, &EVERY, Some(ADA), &rules, now).await.expect("it counts");
                for (counter, expected) in EVERY.into_iter().zip(&mut expected) {
                    let after = rules.attempt(counter.counting, *expected, now);
                    assert_eq!(counted.contains(&counter), after.is_some(), "{counter:?} at {now}");
                    *expected = after.or(*expected);
                    assert_eq!(standing(&db, counter).await, *expected, "{counter:?} at {now}");
                }
            }
        });
        Ok(())
    });
    told.expect("they agree");
}

#[tokio::test]
async fn a_right_password_ends_a_row_and_takes_its_own_attempt_off_the_others() {
    let (_folder, db) = database().await;
    for _ in 0..3 {
        assert_eq!(count(&db, &EVERY).await.len(), EVERY.len());
    }
    assert_eq!(count(&db, &[ROW, SOURCE]).await, []);
    assert_eq!(free_at(&db, &SOURCE.key).await.expect("it reads"), Some(NOW + TimeDelta::minutes(5)));
    settle(&db, &[RATE, ROW, SOURCE, ACCOUNT], &rules(), NOW).await.expect("it settles");
    let none = Some(ThrottleState { failures: 0, free_at: NOW, forget_at: NOW });
    assert_eq!((standing(&db, ROW).await, standing(&db, ACCOUNT).await), (none, none));
    let two = standing(&db, SOURCE).await.expect("two are left");
    assert_eq!((two.failures, two.free_at, two.forget_at), (2, NOW, NOW + throttle::day()));
    assert_eq!(count(&db, &[SOURCE]).await, [SOURCE]);
    assert_eq!(count(&db, &[SOURCE]).await, [], "it had one more, and no others");
    assert_eq!(standing(&db, RATE).await.map(|state| state.failures), Some(2));
}

#[tokio::test]
async fn what_was_not_evaluated_is_as_if_it_had_not_been_asked() {
    let (_folder, db) = database().await;
    for _ in 0..20 {
        assert_eq!(count(&db, &EVERY).await.len(), EVERY.len());
        release(&db, &EVERY, &rules(), NOW).await.expect("it gives back");
    }
    for _ in 0..3 {
        assert_eq!(count(&db, &[ROW, SOURCE]).await.len(), 2);
    }
    assert_eq!(count(&db, &[ROW, SOURCE]).await, []);
}

#[tokio::test]
async fn counters_leave_when_they_are_forgotten_and_no_sooner() {
    let (_folder, db) = database().await;
    count(&db, &EVERY).await;
    let left = async |over| {
        while prune(&db, over, 1).await.expect("it prunes") > 0 {}
        Entity::find().count(&db).await.expect("it counts")
    };
    assert_eq!(left(NOW + TimeDelta::minutes(5)).await, 5);
    assert_eq!(left(NOW + TimeDelta::minutes(6)).await, 4, "the rate");
    assert_eq!(left(NOW + TimeDelta::hours(24)).await, 4);
    assert_eq!(left(NOW + TimeDelta::hours(25)).await, 2, "what lasts a day");
    assert_eq!(left(NOW + REST).await, 2);
    assert_eq!(left(NOW + REST + TimeDelta::seconds(1)).await, 0);
}

#[tokio::test]
async fn an_account_is_forgiven_on_every_counter_and_no_other_account_is() {
    let (_folder, db) = database().await;
    let bob = UserId(uuid::Uuid::from_u128(2));
    for _ in 0..3 {
        count(&db, &[ROW, SOURCE, ACCOUNT]).await;
    }
    attempt(&db, &[RATE], Some(bob), &rules(), NOW).await.expect("it counts");
    let waits = Locked { everywhere: false, until: NOW + TimeDelta::minutes(5) };
    assert_eq!(locked(&db, ADA, &rules(), NOW).await.expect("it reads"), [waits, waits]);
    assert_eq!(locked(&db, bob, &rules(), NOW).await.expect("it reads"), []);
    assert_eq!(locked(&db, ADA, &rules(), NOW - TimeDelta::days(1)).await.expect("it reads"), [], "set back");
    forgive(&db, ADA).await.expect("it forgives");
    for counter in [ROW, SOURCE, ACCOUNT] {
        assert_eq!(standing(&db, counter).await, None);
    }
    assert!(standing(&db, RATE).await.is_some());
}
