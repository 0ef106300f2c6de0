use proptest::{prelude::*, test_runner::TestRunner};
use sea_orm::PaginatorTrait;
use secrecy::SecretString;
use tempfile::TempDir;

use super::*;
use crate::store::{Database, Use, connect, schema};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
const RATE: Counter = Counter { key: ThrottleKey([1; 32]), counting: Counting::Rate };
const ROW: Counter = Counter { key: ThrottleKey([2; 32]), counting: Counting::Row };

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

fn rule() -> ThrottleRule {
    ThrottleRule::new(3, TimeDelta::minutes(15))
}

/// The statement is the rule of the domain, whatever happens when.
#[test]
fn the_statement_counts_as_the_rule_does() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (_folder, db) = runtime.block_on(database());
    let rules = prop_oneof![Just((1, 1)), Just((3, 900)), Just((10, 900)), Just((150, 3600)), Just((1_000_000, 1))];
    let gaps = prop_oneof![Just(0_i64), Just(1), 0..2_000_i64, 0..100_000_000_i64, 0..4_000_000_000_i64];
    let strategy = (rules, prop::collection::vec(gaps, 1..60));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    let told = runner.run(&strategy, |((count, seconds), gaps)| {
        runtime.block_on(async {
            let rule = ThrottleRule::new(count, TimeDelta::seconds(seconds));
            Entity::delete_many().exec(&db).await.expect("it deletes");
            let (mut now, mut expected) = (NOW, [None, None]);
            for gap in gaps {
                now += TimeDelta::milliseconds(gap);
                let counted = attempt(&db, &[ROW, RATE], &rule, now).await.expect("it counts");
                for (counter, expected) in [RATE, ROW].into_iter().zip(&mut expected) {
                    let after = rule.attempt(counter.counting, *expected, now);
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
async fn a_right_password_ends_a_row_and_takes_its_own_attempt_off_a_rate() {
    let (_folder, db) = database().await;
    for _ in 0..3 {
        assert_eq!(attempt(&db, &[RATE, ROW], &rule(), NOW).await.expect("it counts").len(), 2);
    }
    assert_eq!(attempt(&db, &[RATE, ROW], &rule(), NOW).await.expect("it counts"), []);
    assert_eq!(free_at(&db, &RATE.key).await.expect("it reads"), Some(NOW + TimeDelta::minutes(5)));
    settle(&db, &[RATE, ROW], &rule(), NOW).await.expect("it settles");
    assert_eq!(standing(&db, ROW).await, Some(ThrottleState { failures: 0, free_at: NOW, forget_at: NOW }));
    assert_eq!(attempt(&db, &[RATE], &rule(), NOW).await.expect("it counts"), [RATE]);
    assert_eq!(attempt(&db, &[RATE], &rule(), NOW).await.expect("it counts"), [], "it had one more, and no others");
}

#[tokio::test]
async fn what_was_not_evaluated_is_as_if_it_had_not_been_asked() {
    let (_folder, db) = database().await;
    for _ in 0..20 {
        assert_eq!(attempt(&db, &[ROW, RATE], &rule(), NOW).await.expect("it counts").len(), 2);
        release(&db, &[RATE, ROW], &rule(), NOW).await.expect("it gives back");
    }
    for _ in 0..3 {
        assert_eq!(attempt(&db, &[ROW, RATE], &rule(), NOW).await.expect("it counts").len(), 2);
    }
    assert_eq!(attempt(&db, &[ROW, RATE], &rule(), NOW).await.expect("it counts"), []);
}

#[tokio::test]
async fn counters_leave_when_they_are_forgotten_and_no_sooner() {
    let (_folder, db) = database().await;
    attempt(&db, &[RATE, ROW], &rule(), NOW).await.expect("it counts");
    let left = async |over| {
        while prune(&db, over, 1).await.expect("it prunes") > 0 {}
        Entity::find().count(&db).await.expect("it counts")
    };
    assert_eq!(left(NOW + TimeDelta::minutes(5)).await, 2);
    assert_eq!(left(NOW + TimeDelta::minutes(6)).await, 1);
    assert_eq!(left(NOW + REST).await, 1);
    assert_eq!(left(NOW + REST + TimeDelta::seconds(1)).await, 0);
}

#[test]
fn a_name_is_remembered_for_as_long_as_it_is_refused() {
    let refused = RefusedNames::default();
    refused.remember(RATE.key, NOW + TimeDelta::seconds(9));
    assert_eq!(refused.until(&RATE.key, NOW), Some(NOW + TimeDelta::seconds(9)));
    assert_eq!(refused.until(&RATE.key, NOW + TimeDelta::seconds(9)), None);
    assert_eq!(refused.until(&ROW.key, NOW), None);
    refused.forget(&[RATE]);
    assert_eq!(refused.until(&RATE.key, NOW), None);
}
