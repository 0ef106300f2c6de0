//! Connections to PostgreSQL that end while the service keeps them, and requests that are given up in the middle of a
//! statement.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait};

use crate::harness::{Person, TestApp, Tokens, eventually, jwt, link::Link, raw::Line, stories_on};

const PATIENCE: Duration = Duration::from_secs(10);
/// The service's backends.
const BACKENDS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'signet'";

async fn numbers(db: &impl ConnectionTrait, sql: &str) -> Vec<i32> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    rows.expect("the database answers").iter().map(|row| row.try_get_by_index(0).expect("a number")).collect()
}

/// Ends all connections of the service, and waits until they are gone.
async fn ends_all_connections(db: &DatabaseConnection) {
    let backends = numbers(db, &format!("SELECT pid {BACKENDS}")).await;
    assert!(!backends.is_empty(), "it keeps connections");
    numbers(db, &format!("SELECT pg_terminate_backend(pid)::int {BACKENDS}")).await;
    let gone = async || {
        let left = numbers(db, &format!("SELECT pid {BACKENDS}")).await;
        backends.iter().all(|pid| !left.contains(pid))
    };
    eventually(PATIENCE, "they are gone", gone).await;
}

/// Several connections are open and idle afterwards.
async fn warms(ada: &Person, sessions: &[Tokens]) {
    join_all(sessions.iter().map(|tokens| ada.sessions(tokens))).await;
}

async fn connections_that_ended_cost_no_request(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(ada.logs_in().await);
    }
    let db = signet.store().await;

    warms(&ada, &sessions).await;
    ends_all_connections(&db).await;
    let refreshed = join_all(sessions.iter().map(|tokens| ada.refreshes(tokens))).await;
    let sessions: Vec<Tokens> = refreshed.into_iter().map(crate::harness::Answer::granted).collect();

    warms(&ada, &sessions).await;
    ends_all_connections(&db).await;
    for listed in join_all(sessions.iter().map(|tokens| ada.sessions(tokens))).await {
        assert_eq!(listed.len(), 8);
    }

    // A write outside of a transaction, and one within.
    ends_all_connections(&db).await;
    ada.logs_in().await;
    ends_all_connections(&db).await;
    ada.sends(Method::DELETE, "/v1/sessions", &sessions[0], None).await.is(204);
    ends_all_connections(&db).await;
    signet.registers("bob").await;
}

/// Locks the rows of these sessions until the transaction ends.
async fn holds(db: &DatabaseConnection, sessions: &[&Tokens]) -> DatabaseTransaction {
    let held = db.begin().await.expect("a transaction");
    for tokens in sessions {
        let lock = format!("SELECT id FROM session WHERE id = '{}' FOR UPDATE", jwt::sid(&tokens.access));
        held.execute_unprepared(&lock).await.expect("nobody else has it");
    }
    held
}

async fn waiting(db: &DatabaseConnection) -> usize {
    numbers(db, &format!("SELECT pid {BACKENDS} AND wait_event_type = 'Lock'")).await.len()
}

/// The statement goes on at the server, and its connection serves others later: each must get the answer to its own
/// question, and no transaction may stay open.
async fn clients_that_hang_up_leave_no_connection_in_between(signet: TestApp) {
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(bob.logs_in().await);
    }
    let db = signet.store().await;
    for _ in 0..3 {
        let (tokens, ended) = (ada.logs_in().await, ada.logs_in().await);
        let locks = holds(&db, &[&tokens, &ended]).await;
        let mut lines = Vec::new();
        for _ in 0..6 {
            let mut line = Line::to(&signet.site).await;
            let form = format!("grant_type=refresh_token&refresh_token={}", tokens.refresh);
            let head = "POST /oauth/token HTTP/1.1\r\nHost: signet\r\nContent-Type: application/x-www-form-urlencoded";
            line.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{form}", form.len()).as_bytes()).await;
            lines.push(line);
        }
        // One of them in a transaction.
        let mut line = Line::to(&signet.site).await;
        let head = "DELETE /v1/sessions HTTP/1.1\r\nHost: signet\r\nAuthorization: Bearer";
        line.send(format!("{head} {}\r\n\r\n", ended.access).as_bytes()).await;
        lines.push(line);
        eventually(PATIENCE, "all wait", async || waiting(&db).await == 7).await;
        drop(lines);
        locks.rollback().await.expect("it ends");

        // Different questions at once, over the same connections.
        let answers = join_all(others.iter().map(|tokens| bob.refreshes(tokens)));
        let lists = join_all((0..20).map(|_| bob.sessions(&others[0])));
        let (answers, lists) = tokio::join!(answers, lists);
        for (answer, before) in answers.into_iter().zip(&mut others) {
            let after = answer.granted();
            assert_eq!(jwt::sid(&after.access), jwt::sid(&before.access), "the answer to its own request");
            *before = after;
        }
        for sessions in lists {
            assert_eq!(sessions.len(), 20, "bob's own");
        }
        let open = format!("SELECT pid {BACKENDS} AND state LIKE 'idle in transaction%'");
        eventually(PATIENCE, "no transaction is left open", async || numbers(&db, &open).await.is_empty()).await;
        // An answer that was given up is repeated within the grace.
        ada.refreshes(&tokens).await.granted();
    }
}

/// The statement took effect, and its answer is lost with the connection.
async fn a_refresh_whose_connection_breaks_is_repeated(signet: TestApp) {
    let link = Link::to(signet.database_url()).await;
    let replica = signet.replica_with(&[("database_url", &link.through(signet.database_url()))]).await;
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let db = signet.store().await;
    let held = holds(&db, &[&tokens]).await;
    let there = ada.at(&replica.site);
    let refresh = tokio::spawn({
        let tokens = tokens.clone();
        async move { there.refreshes(&tokens).await }
    });
    eventually(PATIENCE, "the refresh waits", async || waiting(&db).await == 1).await;
    link.hang_up();
    eventually(PATIENCE, "it is repeated", async || waiting(&db).await == 2).await;
    held.rollback().await.expect("it ends");
    let live = refresh.await.expect("it is answered").granted();
    // It is the live generation, and no theft was seen.
    ada.is_let_in(&ada.refreshes(&live).await.granted()).await;
    replica.stop().await;
}

stories_on![Postgres:
    connections_that_ended_cost_no_request,
    clients_that_hang_up_leave_no_connection_in_between,
    a_refresh_whose_connection_breaks_is_repeated,
];
