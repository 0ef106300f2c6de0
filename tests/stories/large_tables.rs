//! Large tables: what a request, a poll and a status list cost does not grow with them.

use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait;

use crate::harness::{Ask, NEW_PASSWORD, TestEnvBuilder, eventually, stories_on};

/// Rows of others, in the tables that grow with use. Their changes were read long ago.
const ROWS: [&str; 5] = [
    r#"INSERT INTO "user" (id, username, username_key, email_verified, roles, created_at)
        SELECT gen_random_uuid(), 'other' || n, 'other' || n, false, '[]', now() FROM generate_series(1, 200000) n"#,
    "INSERT INTO session (id, user_id, client_id, scope, username, roles, amr, generation, authenticated_at, created_at,
            rotated_at, idle_ends_at, ends_at, access_ends_at, status_list, status_index, ended_at)
        SELECT id, id, 'first-party', 'openid', username, '[]', '[]', 1, now(), now(), now(), now() + interval '30 days',
            now() + interval '90 days', now() + interval '10 minutes', 3 + n / 1000000, n,
            CASE WHEN n % 2 = 0 THEN now() END
        FROM (SELECT *, row_number() OVER () AS n FROM \"user\" WHERE username LIKE 'other%') AS other",
    "INSERT INTO change (kind, subject, matters_until, status_list, status_index, written_at)
        SELECT 'session_ended', gen_random_uuid(), now() + interval '1 hour', 3, n, n
        FROM generate_series(1, 200000) n",
    "INSERT INTO jobs (id, kind, topic, user_id, payload, created_at, due_at)
        SELECT gen_random_uuid(), 'logout_notice', 'orders', gen_random_uuid(), '{}', now(), now() + interval '1 day'
        FROM generate_series(1, 100000) n",
    "ANALYZE",
];

const GROWING: [&str; 8] =
    ["session", "\"user\"", "change", "jobs", "throttle", "one_use_secret", "authorization_code", "counted_email"];

/// The plan lines that read a growing table whole, or throw away many rows.
fn costly(log: &str) -> Vec<&str> {
    let scans = |line: &str| GROWING.iter().any(|table| line.contains(&format!("Seq Scan on {table} ")));
    let discards = |line: &str| {
        let removed = line.split_once("Rows Removed by Filter: ").and_then(|(_, rows)| rows.trim().parse::<u64>().ok());
        removed.is_some_and(|rows| rows > 100)
    };
    log.lines().filter(|line| scans(line) || discards(line)).collect()
}

async fn every_statement_of_a_request_and_of_a_poll_uses_an_index(builder: TestEnvBuilder) {
    let signet = builder.with_plans_logged().open().await;
    let mut ada = signet.registers("ada").await;
    let public_client = signet.registers_public_client(&[]).await;
    let service = signet.registers_service(&["--audience", &signet.issuer]).await;
    let store = signet.store().await;
    for rows in ROWS {
        store.execute_unprepared(rows).await.expect("they are inserted");
    }
    let before = signet.cluster().log().len();
    let log = || signet.cluster().log().split_off(before);

    // More than five times each: Postgres may then plan a statement for any values.
    let mut tokens = ada.logs_in().await;
    for _ in 0..8 {
        tokens = ada.refreshes(&tokens).await.granted();
        let (other, at_client) = (ada.logs_in().await, ada.logs_in_at(&public_client, &[]).await);
        service.introspects(&signet.site, &at_client.access).await.is(200);
        ada.sessions(&tokens).await;
        ada.looks(&tokens).await.is(200);
        ada.revokes(&other.refresh).await.is(200);
        public_client.revokes(&signet.site, &at_client.access).await.is(200);
        let own = service.gets_a_token(&signet.site).await;
        service.revokes(&signet.site, &own.access).await.is(200);
        ada.tries("a wrong guess").await.refused("invalid_grant");
        for list in 0..12 {
            signet.site.get(&format!("/oauth/status-lists/{list}")).answer().await;
        }
    }
    ada.changes_password(&tokens, NEW_PASSWORD).await;
    ada.sends(Method::DELETE, "/v1/sessions", &tokens, None).await.is(204);
    let polls = || log().matches(r#"FROM "change""#).count();
    let seen = polls();
    eventually(Duration::from_secs(20), "ten more polls", async || polls() > seen + 10).await;
    let log = log();
    assert!(log.contains("Query Text: UPDATE \"session\""), "plans are logged: {log}");
    assert_eq!(costly(&log), Vec::<&str>::new(), "{log}");
}

stories_on![Postgres: every_statement_of_a_request_and_of_a_poll_uses_an_index];
