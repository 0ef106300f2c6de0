//! Accounts and clients with very many sessions: their end is as fast and as sure as any other, in bounded steps.

use std::{
    sync::atomic::{AtomicI32, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use entity::{session, session_cutoff};
use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter,
    Statement,
};
use serde_json::json;
use signet::testing::{Clock, SystemClock};
use uuid::Uuid;

use crate::harness::{
    Ask, NEW_PASSWORD, PASSWORD, Person, TestApp, TestEnv, TestEnvBuilder, Tokens, eventually, seconds,
    statements::Statements, stories, stories_on,
};

/// More than two steps.
const MANY: u32 = 2_300;

/// No two rows of this program have the same.
static NEXT_INDEX: AtomicI32 = AtomicI32::new(0);

/// The row of a live session of `user` at `client` that began at `began`; `n` tells rows apart.
fn row(user: &str, client: &str, began: DateTime<Utc>, n: u32) -> session::ActiveModel {
    let milliseconds = u128::try_from(began.timestamp_millis()).expect("after 1970");
    let user_id = Uuid::parse_str(user).expect("a UUID");
    let part = user_id.as_u128() & 0xFFFF_FFFF; // random, so that no two accounts share an id
    session::ActiveModel {
        id: Set(Uuid::from_u128(
            milliseconds << 80 | 0x7000 << 64 | 0x8000 << 48 | part << 16 | u128::from(n & 0xFFFF),
        )),
        user_id: Set(user_id),
        client_id: Set(client.into()),
        parent: Set(None),
        scope: Set("openid".into()),
        resource: Set(None),
        username: Set("somebody".into()),
        roles: Set("[]".into()),
        amr: Set("[]".into()),
        generation: Set(1),
        authenticated_at: Set(began),
        created_at: Set(began),
        rotated_at: Set(began),
        idle_ends_at: Set(began + TimeDelta::days(30)),
        ends_at: Set(began + TimeDelta::days(90)),
        access_ends_at: Set(began + TimeDelta::days(1)),
        status_list: Set(i32::try_from(part % 30_000).expect("small") + 1),
        status_index: Set(NEXT_INDEX.fetch_add(1, Ordering::Relaxed)),
        ended_at: Set(None),
        end_reason: Set(None),
        user_agent: Set(None),
        ip: Set(None),
    }
}

/// Gives the account `count` sessions more, as many logins so long ago would.
async fn gets_sessions(store: &DatabaseConnection, user: &str, client: &str, count: u32, ago: TimeDelta) {
    let began = SystemClock.now() - ago;
    let rows: Vec<_> = (0..count).map(|n| row(user, client, began, n)).collect();
    for rows in rows.chunks(500) {
        session::Entity::insert_many(rows.to_vec()).exec_without_returning(store).await.expect("they are inserted");
    }
}

/// How many sessions of the account have not ended.
async fn live(store: &DatabaseConnection, user: &str) -> u64 {
    let of_user = session::Column::UserId.eq(Uuid::parse_str(user).expect("a UUID"));
    let found = session::Entity::find().filter(of_user).filter(session::Column::EndedAt.is_null()).count(store).await;
    found.expect("the database answers")
}

/// A person with three logins, and very many older ones.
async fn with_many(signet: &TestApp, name: &str) -> (Person, [Tokens; 3]) {
    let person = signet.registers(name).await;
    let tokens = [person.logs_in().await, person.logs_in().await, person.logs_in().await];
    gets_sessions(&signet.store().await, &person.id, "first-party", MANY, TimeDelta::minutes(5)).await;
    (person, tokens)
}

/// Whether the status list has the session as ended.
async fn is_in_its_list(signet: &TestApp, tokens: &Tokens) -> bool {
    crate::status_lists::is_over(&signet.site, tokens).await
}

async fn a_password_change_shuts_out_everybody_at_once(signet: TestApp) {
    let store = signet.store().await;
    let (mut ada, [here, there, away]) = with_many(&signet, "ada").await;
    let (bob, [bobs, ..]) = with_many(&signet, "bob").await;
    ada.changes_password(&here, NEW_PASSWORD).await;
    ada.is_logged_out(&there).await;
    ada.is_logged_out(&away).await;
    let here = ada.is_logged_in(&here).await;
    let new = ada.logs_in().await;
    assert_eq!(ada.sessions(&here).await.len(), 2, "only what goes on is listed");
    eventually(Duration::from_secs(30), "the rows have ended", async || live(&store, &ada.id).await == 2).await;
    eventually(Duration::from_secs(10), "the lists say so", async || {
        is_in_its_list(&signet, &there).await && is_in_its_list(&signet, &away).await
    })
    .await;
    ada.is_logged_in(&here).await;
    ada.is_logged_in(&new).await;
    assert!(!is_in_its_list(&signet, &here).await && !is_in_its_list(&signet, &new).await);
    // The cutoff goes once no clock could be so far behind.
    signet.clock.advance(seconds(301));
    eventually(Duration::from_secs(10), "nothing is left to do", async || {
        session_cutoff::Entity::find().count(&store).await.expect("the database answers") == 0
    })
    .await;
    ada.refreshes(&there).await.refused("invalid_grant");
    bob.is_logged_in(&bobs).await;
    assert_eq!(live(&store, &bob.id).await, u64::from(MANY) + 3);
}

/// Every way to end an account's sessions shuts it out before its answer.
async fn every_way_out_is_sure_however_many_sessions_there_are(signet: TestApp) {
    let store = signet.store().await;
    let ends = async |name: &str, how: &[&str]| {
        let (person, tokens) = with_many(&signet, name).await;
        match how {
            ["log out"] => person.sends(Method::DELETE, "/v1/sessions", &tokens[0], None).await.is(204),
            ["delete"] => {
                let body = json!({"password": PASSWORD});
                person.sends(Method::DELETE, "/v1/users/me", &tokens[0], Some(body)).await.is(204)
            }
            command => {
                let ended = signet.runs(&[command, &[name]].concat()).await.well();
                assert!(ended.err.contains(&(MANY + 3).to_string()), "{ended:?}");
                signet.site.get("/livez").answer().await
            }
        };
        for tokens in &tokens {
            person.refreshes(tokens).await.refused("invalid_grant");
        }
        let shut_out =
            async || person.looks(&tokens[1]).await.status == 401 && person.looks(&tokens[2]).await.status == 401;
        eventually(Duration::from_secs(2), "its access tokens are refused", shut_out).await;
        eventually(Duration::from_secs(30), "the rows have ended", async || live(&store, &person.id).await == 0).await;
    };
    ends("ada", &["log out"]).await;
    ends("bob", &["delete"]).await;
    ends("cleo", &["user", "disable"]).await;
    ends("dan", &["user", "revoke-sessions"]).await;
    ends("eve", &["user", "delete"]).await;
}

async fn a_client_with_very_many_sessions_is_deleted_in_steps(signet: TestApp) {
    let store = signet.store().await;
    let (ada, client) = (signet.registers("ada").await, signet.registers_public_client(&[]).await);
    let tokens = ada.logs_in_at(&client, &[]).await;
    gets_sessions(&store, &ada.id, &client.id, MANY, TimeDelta::minutes(5)).await;
    signet.runs(&["client", "delete", &client.id]).await.well();
    assert_eq!(live(&store, &ada.id).await, 0);
    eventually(Duration::from_secs(2), "its tokens are refused", async || ada.looks(&tokens).await.status == 401).await;
}

async fn the_oldest_session_ends_when_one_too_many_begins(signet: TestApp) {
    let (store, ada) = (signet.store().await, signet.registers("ada").await);
    gets_sessions(&store, &ada.id, "first-party", 500, TimeDelta::minutes(5)).await;
    let first = ada.logs_in().await;
    signet.clock.advance(seconds(60));
    gets_sessions(&store, &ada.id, "pages", 498, TimeDelta::seconds(-30)).await;
    let last = ada.logs_in().await;
    assert_eq!(live(&store, &ada.id).await, 1_000);
    ada.is_logged_in(&first).await;
    for n in 1..=3 {
        ada.logs_in().await;
        assert_eq!(live(&store, &ada.id).await, 1_000, "{n}");
    }
    gets_sessions(&store, &ada.id, "pages", 700, TimeDelta::seconds(-40)).await;
    ada.logs_in().await;
    assert_eq!(live(&store, &ada.id).await, 1_000);
    ada.is_logged_out(&first).await;
    ada.is_logged_in(&last).await;
}

/// The job is in the transaction that shut the account out.
async fn a_crash_after_the_answer_loses_no_end(mut env: TestEnv) {
    env.set("issuer", "http://127.0.0.1:8080");
    let process = env.serves(&[]).ready().await;
    let ada = Person::registers(&process.site, "ada").await;
    let (here, there) = (ada.logs_in().await, ada.logs_in().await);
    let store = env.store().await;
    gets_sessions(&store, &ada.id, "first-party", 5 * MANY, TimeDelta::minutes(5)).await;
    ada.sends(Method::DELETE, "/v1/sessions", &here, None).await.is(204);
    process.signal("KILL");
    process.ends().await;
    assert!(live(&store, &ada.id).await > 0, "it was too early");
    let process = env.serves(&[]).ready().await;
    ada.at(&process.site).is_logged_out(&there).await;
    eventually(Duration::from_mins(1), "the rows have ended", async || live(&store, &ada.id).await == 0).await;
}

/// Each statement and each transaction is bounded, and others go on meanwhile.
async fn an_expensive_end_is_made_of_small_steps(builder: TestEnvBuilder) {
    let signet = builder.with_statements_counted().open().await;
    let (store, statements) = (signet.store().await, Statements::of(&signet).await);
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let (adas, mut bobs) = (ada.logs_in().await, bob.logs_in().await);
    gets_sessions(&store, &ada.id, "first-party", 8 * MANY, TimeDelta::minutes(5)).await;
    statements.reset().await;
    let end = || ada.sends(Method::DELETE, "/v1/sessions", &adas, None);
    let ends = join_all((0..80).map(|_| end()));
    let others = async {
        for _ in 0..20 {
            let asked = Instant::now();
            bobs = bob.is_logged_in(&bobs).await;
            assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
        }
    };
    let (answers, ()) = tokio::join!(ends, others);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| [204, 401, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&204), "{statuses:?}");
    eventually(Duration::from_mins(1), "the rows have ended", async || live(&store, &ada.id).await == 0).await;
    let sql = "SELECT max(rows / calls) AS most FROM pg_stat_statements
        WHERE query LIKE 'UPDATE \"session\"%' OR query LIKE 'INSERT INTO \"change\"%'";
    let row = store.query_one_raw(Statement::from_string(store.get_database_backend(), sql)).await;
    let most: i64 = row.expect("the database answers").expect("a row").try_get("", "most").expect("a number");
    assert!(most <= 1_000, "{most} rows in one statement");
    bob.is_logged_in(&bobs).await;
}

/// A refresh finds room in the page of its row: no index is written, and nothing is left for a vacuum.
async fn a_refresh_is_a_heap_only_update(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let ada = Person::registers(&process.site, "ada").await;
    let store = env.store().await;
    gets_sessions(&store, &ada.id, "first-party", 10_000, TimeDelta::minutes(5)).await;
    // One row in ten of a table that was just filled, as the first refreshes after many logins.
    let refresh = "UPDATE session SET generation = generation + 1, rotated_at = now(), idle_ends_at = now(),
        access_ends_at = now() WHERE status_index % 10 = 0";
    store.execute_unprepared(refresh).await.expect("they are updated");
    let share = async || {
        let sql = "SELECT n_tup_hot_upd * 100 / greatest(n_tup_upd, 1) AS share, n_tup_upd AS all
            FROM pg_stat_user_tables WHERE relname = 'session'";
        let row = store.query_one_raw(Statement::from_string(store.get_database_backend(), sql)).await;
        let row = row.expect("the database answers").expect("a row");
        let all: i64 = row.try_get("", "all").expect("a number");
        (all >= 1_000).then(|| row.try_get::<i64>("", "share").expect("a number"))
    };
    eventually(Duration::from_secs(20), "they are counted", async || share().await.is_some()).await;
    let share = share().await.expect("they were counted");
    assert!(share >= 95, "{share} % of the updates were heap-only");
}

stories![
    a_password_change_shuts_out_everybody_at_once,
    every_way_out_is_sure_however_many_sessions_there_are,
    a_client_with_very_many_sessions_is_deleted_in_steps,
    the_oldest_session_ends_when_one_too_many_begins,
];

stories_on![Postgres:
    a_crash_after_the_answer_loses_no_end,
    an_expensive_end_is_made_of_small_steps,
    a_refresh_is_a_heap_only_update,
];
