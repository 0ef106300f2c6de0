//! The counters of failed passwords in the database: they survive, are shared, and fail closed.

use std::time::Duration;

use chrono::TimeDelta;
use entity::throttle;
use sea_orm::{EntityTrait, PaginatorTrait};
use signet::testing::{Prune, Random, StatusIndexes};

use crate::{
    guessing::{FREE, STEP, WRONG, a_stranger_tries, behind_a_proxy, counting, counting_place, told_to_wait, tries},
    harness::{
        PASSWORD, Person, TestEnvBuilder, days, eventually, link::Link, statements::Statements, stories, stories_on,
    },
};

async fn counters_outlive_a_restart(builder: TestEnvBuilder) {
    let mut signet = counting(builder).await;
    signet.registers("ada").await;
    for _ in 0..FREE {
        tries(&signet.site, "ada", WRONG).await.is(401);
    }
    signet.restart().await;
    assert_eq!(told_to_wait(&tries(&signet.site, "ada", PASSWORD).await), STEP);
    signet.restart_with(&[("rate_limits.enabled", "false")]).await;
    tries(&signet.site, "ada", PASSWORD).await.is(200);
}

async fn counters_outlive_a_process_that_is_killed(builder: TestEnvBuilder) {
    let mut env = counting_place(builder).env().await;
    env.set("issuer", "http://127.0.0.1:8080");
    let process = env.serves(&[]).ready().await;
    Person::registers(&process.site, "ada").await;
    for _ in 0..FREE {
        tries(&process.site, "ada", WRONG).await.is(401);
    }
    process.signal("KILL");
    process.ends().await;
    let again = env.serves(&[]).ready().await;
    told_to_wait(&tries(&again.site, "ada", PASSWORD).await);
}

/// The right password is among the guesses, so that one more that was looked at would show.
async fn guesses_at_once_at_two_replicas_get_no_more_looked_at(builder: TestEnvBuilder) {
    const GUESSES: usize = 200;
    let signet = behind_a_proxy(builder).await;
    let replica = signet.replica().await;
    signet.registers("ada").await;
    let sites = [signet.site.clone(), replica.site.clone()];
    let guess = |n: usize| {
        let site = sites[n % 2].clone();
        tokio::spawn(async move { a_stranger_tries(&site, "ada", &format!("wrong guess {n}")).await.status })
    };
    let all: Vec<_> = (0..GUESSES).map(guess).collect();
    let mut answers = [0; 2];
    for one in all {
        match one.await.expect("it was answered") {
            401 => answers[0] += 1,
            429 => answers[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert!(answers[0] <= FREE, "{answers:?}");
    for site in &sites {
        told_to_wait(&a_stranger_tries(site, "ada", PASSWORD).await);
    }
    let rows = throttle::Entity::find().all(&signet.store().await).await.expect("rows");
    assert!(rows.iter().all(|row| usize::try_from(row.failures).is_ok_and(|failures| failures <= FREE)), "{rows:?}");
    replica.stop().await;
}

/// Trouble on our side is nobody's guess.
async fn what_the_queue_refuses_uses_no_attempt_up(builder: TestEnvBuilder) {
    const AT_ONCE: usize = 60;
    // A hash of some 50 ms, one worker, and hardly any patience.
    let builder =
        builder.set("password.memory_kib", "32768").set("password.workers", "1").set("password.max_wait", "1ms");
    let mut signet = counting(builder).await;
    signet.restart_with(&[("rate_limits.account", "1000/1000m")]).await;
    signet.registers("ada").await;
    let guess = |_| {
        let site = signet.site.clone();
        tokio::spawn(async move { tries(&site, "ada", WRONG).await.status })
    };
    let all: Vec<_> = (0..AT_ONCE).map(guess).collect();
    let mut statuses = Vec::new();
    for one in all {
        statuses.push(one.await.expect("it was answered"));
    }
    let evaluated = statuses.iter().filter(|status| **status == 401).count();
    assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
    assert!((1..AT_ONCE).contains(&evaluated), "{statuses:?}");
    let rows = throttle::Entity::find().all(&signet.store().await).await.expect("rows");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows.iter().all(|row| usize::try_from(row.failures) == Ok(evaluated)), "{evaluated} of {rows:?}");
}

/// Failure is never permission: a right password does not pass uncounted.
async fn without_its_counters_nobody_is_let_in(builder: TestEnvBuilder) {
    let signet = counting(builder).await;
    let link = Link::to(signet.database_url()).await;
    let replica = signet.replica_with(&[("database_url", &link.through(signet.database_url()))]).await;
    signet.registers("ada").await;
    link.cut();
    tries(&replica.site, "ada", PASSWORD).await.unavailable();
    link.mend();
    eventually(Duration::from_secs(30), "it is well again", async || {
        tries(&replica.site, "ada", PASSWORD).await.status == 200
    })
    .await;
    replica.stop().await;
}

async fn a_table_that_cannot_be_written_lets_nobody_in(builder: TestEnvBuilder) {
    use sea_orm::ConnectionTrait;
    let signet = counting(builder).await;
    signet.registers("ada").await;
    let store = signet.store().await;
    store.execute_unprepared("ALTER TABLE throttle RENAME TO elsewhere").await.expect("it is SQL");
    for password in [PASSWORD, WRONG] {
        tries(&signet.site, "ada", password).await.unavailable();
    }
    store.execute_unprepared("ALTER TABLE elsewhere RENAME TO throttle").await.expect("it is SQL");
    tries(&signet.site, "ada", PASSWORD).await.is(200);
}

/// A flood of names that nobody has leaves the database, all of it.
async fn counters_are_pruned_once_they_are_forgotten(builder: TestEnvBuilder) {
    let signet = counting(builder).await;
    signet.registers("ada").await;
    for n in 0..10 {
        tries(&signet.site, &format!("nobody{n}"), WRONG).await.is(401);
    }
    tries(&signet.site, "ada", PASSWORD).await.is(200);
    let db = signet.store().await;
    let left = async |time: TimeDelta| {
        signet.clock.advance(time);
        let clock = std::sync::Arc::new(signet.clock.clone());
        let prune = Prune {
            db: db.clone().into(),
            clock,
            refresh_token_ttl: days(30),
            outbox_folder: signet.folder.join("data/outbox"),
            status_indexes: StatusIndexes::new(Random),
        };
        prune.once().await.expect("the database answers");
        throttle::Entity::find().count(&db).await.expect("the database answers")
    };
    assert_eq!(left(TimeDelta::zero()).await, 33);
    assert_eq!(left(TimeDelta::minutes(11)).await, 20, "what lasts a day");
    assert_eq!(left(days(1)).await, 0);
}

async fn an_ordinary_log_in_is_two_looks_and_three_writes(builder: TestEnvBuilder) {
    let signet = counting_place(builder).with_statements_counted().open().await;
    let ada = signet.registers("ada").await;
    let statements = Statements::of(&signet).await;
    ada.logs_in().await;
    statements.reset().await;
    ada.logs_in().await;
    let counted = statements.counted().await;
    let begin =
        |words: &str| counted.iter().filter(|one| one.query.starts_with(words)).map(|one| one.calls).sum::<i64>();
    let (looks, counters, sessions) =
        (begin("SELECT"), begin(r#"INSERT INTO "throttle""#), begin(r#"INSERT INTO "session""#));
    // The account, and by an index whether it has too many sessions.
    assert_eq!((looks, counters, sessions), (2, 2, 1), "{counted:#?}");
    assert_eq!(counted.iter().map(|one| one.calls).sum::<i64>(), 5, "{counted:#?}");

    // Further guesses cost no more writes, and from one network no reads either.
    for _ in 0..=FREE {
        a_stranger_tries(&signet.site, "nobody", WRONG).await;
    }
    statements.reset().await;
    for _ in 0..20 {
        told_to_wait(&a_stranger_tries(&signet.site, "nobody", WRONG).await);
    }
    assert_eq!(statements.counted().await, []);
}

stories![
    counters_outlive_a_restart,
    counters_outlive_a_process_that_is_killed,
    what_the_queue_refuses_uses_no_attempt_up,
    a_table_that_cannot_be_written_lets_nobody_in,
    counters_are_pruned_once_they_are_forgotten,
];

stories_on![Postgres:
    guesses_at_once_at_two_replicas_get_no_more_looked_at,
    without_its_counters_nobody_is_let_in,
    an_ordinary_log_in_is_two_looks_and_three_writes,
];
