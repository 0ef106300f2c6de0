//! How SQLite finds the rows of each statement of requests, polls and pruning: by an index. (A story reads the plans of
//! Postgres.)

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement, entity::prelude::async_trait::async_trait,
};
use uuid::Uuid;

use super::{
    Database, Use, changes, connect, jobs,
    pending_ends::Owner,
    schema,
    sessions::{self, Rotation, SessionSelector},
    users::{self, Identifier},
};
use crate::domain::{
    ids::{ClientId, SessionId, UserId},
    job::JobKind,
    session::{EndReason, Generation, Lifetimes},
};

/// Asks for the plan of each statement before it runs.
struct Explained {
    db: Database,
    plans: Mutex<Vec<String>>,
}

impl Explained {
    async fn explain(&self, statement: &Statement) -> Result<(), DbErr> {
        let (sql, values) = (format!("EXPLAIN QUERY PLAN {}", statement.sql), statement.values.clone());
        let explain = Statement { sql, values, db_backend: statement.db_backend };
        for row in self.db.query_all_raw(explain).await? {
            let step: String = row.try_get("", "detail")?;
            self.plans.lock().expect("nobody panics").push(format!("{step} <- {}", statement.sql));
        }
        Ok(())
    }
}

#[async_trait]
impl ConnectionTrait for Explained {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.explain(&statement).await?;
        self.db.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.db.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.explain(&statement).await?;
        self.db.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.explain(&statement).await?;
        self.db.query_all_raw(statement).await
    }
}

const NUMBERS: &str = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)";
const ROWS: [&str; 4] = [
    "INSERT INTO \"user\" (id, username, username_key, email_verified, roles, created_at)
        SELECT randomblob(16), 'u' || n, 'u' || n, 0, '[]', '2026-01-01 00:00:00 +00:00' FROM numbers",
    "INSERT INTO session (id, user_id, client_id, scope, username, roles, amr, generation, authenticated_at, created_at,
            rotated_at, idle_ends_at, ends_at, access_ends_at, status_list, status_index, ended_at)
        SELECT randomblob(16), randomblob(16), 'first-party', 'openid', 'u', '[]', '[]', 1, '2026-01-01 00:00:00 +00:00',
            '2026-01-01 00:00:00 +00:00', '2026-01-01 00:00:00 +00:00', '2099-01-01 00:00:00 +00:00',
            '2099-01-01 00:00:00 +00:00', '2099-01-01 00:00:00 +00:00', 0, n,
            CASE WHEN n % 2 = 0 THEN '2099-01-01 00:00:00 +00:00' END FROM numbers",
    "INSERT INTO change (kind, subject, matters_until, written_at)
        SELECT 'token_denied', n, '2099-01-01 00:00:00 +00:00', n FROM numbers",
    "INSERT INTO jobs (id, kind, topic, payload, created_at, due_at, attempts)
        SELECT randomblob(16), 'logout_notice', 'orders', '{}', '2026-01-01 00:00:00 +00:00',
            '2099-01-01 00:00:00 +00:00', 0 FROM numbers",
];

/// Steps that read one row, or the rows that another step has found: the last entry of an index, the clock, the jobs that
/// are counted, and the children of one session.
const CHEAP: [&str; 4] = [
    "SCAN session USING COVERING INDEX session_status ",
    "SCAN CONSTANT ROW ",
    "SCAN some ",
    "USE TEMP B-TREE FOR ORDER BY <- SELECT \"session\".\"id\" FROM \"session\" WHERE \"session\".\"parent\" = ?",
];

/// Reads a table or an index from end to end, or sorts.
fn is_costly(step: &str) -> bool {
    let reads_all = step.starts_with("SCAN") || step.starts_with("USE TEMP B-TREE FOR ORDER BY");
    reads_all && !CHEAP.iter().any(|cheap| step.starts_with(cheap))
}

#[tokio::test]
async fn sqlite_finds_the_rows_of_every_statement_by_an_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/signet.db?mode=rwc", folder.path().display()).into();
    let db = connect(&url, Use::Requests).await.expect("it opens");
    schema::up(&db).await.expect("it migrates");
    for rows in ROWS {
        let insert = rows.replacen("SELECT", &format!("{NUMBERS} SELECT"), 1);
        db.execute_unprepared(&insert).await.expect("it is SQL");
    }
    db.execute_unprepared("ANALYZE").await.expect("it is SQL");

    let db = Explained { db, plans: Mutex::default() };
    let now = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).expect("a time");
    let (user, id) = (UserId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
    let client = ClientId::first_party();
    let minute = TimeDelta::minutes(1);
    let lives = Lifetimes { access_token: minute, refresh_token: minute, session: minute, grace: minute };
    let rotation = Rotation { session: id, generation: Generation::FIRST, client: &client, targets: &[] };
    sessions::rotate(&db, &rotation, &lives, now).await.expect("it runs");
    sessions::find(&db, id).await.expect("it runs");
    sessions::touch(&db, id, &lives, minute, now).await.expect("it runs");
    sessions::live_of(&db, user, now).await.expect("it runs");
    sessions::addresses_of(&db, user, now).await.expect("it runs");
    sessions::excess(&db, user).await.expect("it runs");
    sessions::newest(&db, &Owner::Account(user), Some(id)).await.expect("it runs");
    sessions::last_status_list(&db).await.expect("it runs");
    for which in [
        SessionSelector::One(id),
        SessionSelector::OneOf(user, id),
        SessionSelector::ChildrenOf(id),
        SessionSelector::AllOf(user),
        SessionSelector::AllOfBut(user, id),
        SessionSelector::AllOfAt(user, client.clone()),
        SessionSelector::Through(Owner::Account(user), id, None),
        SessionSelector::AllOfClient(client.clone()),
    ] {
        sessions::end(&db, &which, EndReason::LogOut, now).await.expect("it runs");
    }
    sessions::prune(&db, now, 500).await.expect("it runs");
    let from = changes::clock(&db).await.expect("it runs").before(changes::OVERLAP);
    changes::since(&db, from, None).await.expect("it runs");
    let (_, next) = changes::page(&db, now, 0).await.expect("it runs");
    changes::page(&db, now, next.expect("there is more than a page")).await.expect("it runs");
    changes::prune(&db, now, 500).await.expect("it runs");
    jobs::is_due(&db, JobKind::Email, now).await.expect("it runs");
    jobs::claim(&db, JobKind::LogoutNotice, Uuid::nil(), now, now, 16).await.expect("it runs");
    jobs::waiting(&db, JobKind::LogoutNotice).await.expect("it runs");
    users::find(&db, user).await.expect("it runs");
    users::find_with_password(&db, &Identifier::Id(user)).await.expect("it runs");

    let plans = db.plans.into_inner().expect("nobody panicked");
    assert!(plans.len() > 40, "{plans:#?}");
    let costly: Vec<_> = plans.iter().filter(|step| is_costly(step)).collect();
    assert!(costly.is_empty(), "{costly:#?}");
}
