//! Pools of connections: requests that hold all of theirs stop neither the check of a token nor its revocation.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Method;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait};

use crate::harness::{Ask, Durability, Person, TestApp, TestEnvBuilder, Tokens, eventually, jwt, stories_on};

/// Locks the row of a session until the transaction ends.
async fn holds(signet: &TestApp, tokens: &Tokens) -> DatabaseTransaction {
    let held = signet.store().await.begin().await.expect("a transaction");
    let lock = format!("SELECT id FROM session WHERE id = '{}' FOR UPDATE", jwt::sid(&tokens.access));
    held.execute_unprepared(&lock).await.expect("nobody else has it");
    held
}

/// The backends of the service that wait for a lock.
async fn waiting(db: &DatabaseConnection) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'signet'
        AND wait_event_type = 'Lock'";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    rows.expect("the database answers").iter().map(|row| row.try_get("", "pid").expect("a number")).collect()
}

/// Keeps sixty refreshes waiting for the row, until it is aborted.
fn keeps_sixty_waiting(ada: &Person, tokens: &Tokens) -> Vec<tokio::task::JoinHandle<()>> {
    let one = || {
        let (ada, tokens) = (ada.clone(), tokens.clone());
        tokio::spawn(async move {
            loop {
                ada.refreshes(&tokens).await.unavailable();
            }
        })
    };
    (0..60).map(|_| one()).collect()
}

/// The follower of changes, the readiness probe and revocations have connections of their own.
async fn blocked_refreshes_stop_no_check_and_no_revocation(signet: TestApp) {
    let introspector = signet.registers_service(&["--audience", &signet.issuer]).await;
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let (blocked, live) = (ada.logs_in().await, bob.logs_in().await);
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(bob.logs_in().await);
    }
    introspector.introspects(&signet.site, &live.access).await.active(); // its registration is remembered from now on
    bob.looks(&live).await.is(200);
    let (db, held) = (signet.store().await, holds(&signet, &blocked).await);
    let refreshes = keeps_sixty_waiting(&ada, &blocked);
    eventually(Duration::from_secs(10), "they hold all connections", async || waiting(&db).await.len() >= 16).await;

    let begin = Instant::now();
    let checks = async || {
        introspector.introspects(&signet.site, &live.access).await.active();
        signet.site.get("/readyz").answer().await.is(200);
        begin.elapsed() > Duration::from_secs(8)
    };
    // For longer than a process may be without news.
    eventually(Duration::from_secs(20), "time passes", checks).await;
    let asked = Instant::now();
    bob.revokes(&others[0].refresh).await.is(200);
    bob.revokes(&others[1].access).await.is(200);
    bob.logs_out(&others[2]).await;
    bob.sends(Method::DELETE, "/v1/sessions", &others[3], None).await.is(204);
    assert!(asked.elapsed() < Duration::from_secs(2), "four revocations took {:?}", asked.elapsed());
    introspector.introspects(&signet.site, &live.access).await.inactive();
    eventually(Duration::from_secs(10), "they still hold them", async || waiting(&db).await.len() >= 16).await;

    refreshes.iter().for_each(tokio::task::JoinHandle::abort);
    held.rollback().await.expect("it ends");
    eventually(Duration::from_secs(10), "the session goes on", async || ada.refreshes(&blocked).await.status == 200)
        .await;
}

/// PostgreSQL's own time-outs do not run in a process that hangs.
async fn a_backend_that_hangs_costs_its_request_ten_seconds_at_most(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let (db, held) = (signet.store().await, holds(&signet, &tokens).await);
    let begin = Instant::now();
    let refresh = tokio::spawn({
        let (ada, tokens) = (ada.clone(), tokens.clone());
        async move { ada.refreshes(&tokens).await }
    });
    eventually(Duration::from_secs(3), "the refresh waits", async || !waiting(&db).await.is_empty()).await;
    let [pid] = waiting(&db).await[..] else { panic!("it waits alone") };
    let signal = |name: &str| Command::new("kill").args([name, &pid.to_string()]).status().expect("kill runs");
    assert!(signal("-STOP").success());
    refresh.await.expect("it is answered").unavailable();
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    // The others go on meanwhile.
    ada.is_logged_in(&ada.logs_in().await).await;
    assert!(signal("-CONT").success());
    held.rollback().await.expect("it ends");
    ada.refreshes(&tokens).await.granted();
}

stories_on![Postgres:
    blocked_refreshes_stop_no_check_and_no_revocation,
    a_backend_that_hangs_costs_its_request_ten_seconds_at_most,
];
