//! The metrics, on their own listener.

use std::time::Duration;

use entity::job;
use reqwest::Method;
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::json;
use signet::testing::{Clock, SystemClock, schema};
use uuid::Uuid;

use crate::harness::{
    Ask, NEW_PASSWORD, PASSWORD, Site, TestApp, TestEnv, TestEnvBuilder, days, eventually, process::Process, raw::Line,
    run, stories, stories_on,
};

/// Starts an app with metrics. Returns the site of the metrics.
async fn measured(builder: TestEnvBuilder) -> (TestApp, Site) {
    let address = format!("127.0.0.1:{}", run::free_port());
    let signet = builder.set("metrics_listen", &address).open().await;
    (signet, Site::at(format!("http://{address}")))
}

/// The metrics as they stand.
async fn read(site: &Site) -> String {
    let answer = site.get("/metrics").send().await.expect("it listens");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().await.expect("it is text");
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

/// The value of the one line that begins so.
#[track_caller]
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}: {text}"))
}

async fn what_happens_is_counted(builder: TestEnvBuilder) {
    let (signet, site) = measured(builder).await;
    let ada = signet.registers("ada-the-secret-name").await;
    let before = read(&site).await;
    let log_in = r#"signet_events_total{event="log_in",outcome="done",reason=""}"#;
    assert!(!before.contains(log_in), "{before}");
    let tokens = ada.logs_in().await;
    ada.refreshes(&tokens).await.granted();
    signet.site.get("/no/such/ada-the-secret-path").answer().await.is(404);
    let text = read(&site).await;
    assert!((value(&text, log_in) - 1.0).abs() < f64::EPSILON);
    let refresh = r#"signet_events_total{event="refresh",outcome="done",reason=""}"#;
    assert!((value(&text, refresh) - 1.0).abs() < f64::EPSILON);
    let token = r#"signet_http_requests_total{route="/oauth/token",method="POST",status="200"}"#;
    assert!((value(&text, token) - 2.0).abs() < f64::EPSILON);
    let unknown = r#"signet_http_requests_total{route="unknown",method="GET",status="404"}"#;
    assert!((value(&text, unknown) - 1.0).abs() < f64::EPSILON);
    let timed = r#"signet_http_request_duration_seconds_count{route="/oauth/token"}"#;
    assert!((value(&text, timed) - 2.0).abs() < f64::EPSILON);
    let pool = |state: &str| value(&text, &format!("signet_database_connections{{state=\"{state}\"}}"));
    assert!(pool("busy") + pool("idle") >= 1.0, "{text}");
    for name in ["signet_password_hashes_waiting", "signet_revocations_known", "signet_outbox_waiting"] {
        assert!(value(&text, name).abs() < f64::EPSILON, "{name}: {text}");
    }
    assert!(value(&text, "signet_revocations_age_seconds") < 5.0, "{text}");
    assert!(text.contains("signet_build_info{version="), "{text}");
    for secret in ["secret", PASSWORD, "first-party", &tokens.access] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

async fn events_that_are_logged_at_a_commit_are_counted(builder: TestEnvBuilder) {
    let (signet, site) = measured(builder).await;
    let mut ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    ada.revokes(&tokens.refresh).await.is(200);
    let tokens = ada.logs_in().await;
    ada.changes_password(&tokens, NEW_PASSWORD).await;
    let tokens = ada.logs_in().await;
    let password = Some(json!({"password": NEW_PASSWORD}));
    ada.sends(Method::DELETE, "/v1/users/me", &tokens, password).await.is(204);
    let text = read(&site).await;
    for event in ["register", "revoke", "session_end", "password_change", "account_delete"] {
        let counted = format!("signet_events_total{{event=\"{event}\",outcome=\"done\"");
        assert!(text.contains(&counted), "{event}: {text}");
    }
}

/// A brute force is seen: what a limit refuses is counted, by limit, and apart from wrong passwords.
async fn refusals_are_counted_by_limit(builder: TestEnvBuilder) {
    let limits = [("enabled", "true"), ("account", "5/5m"), ("token", "8/1h"), ("availability", "2/1h")];
    let builder =
        limits.into_iter().fold(builder, |builder, (key, value)| builder.set(&format!("rate_limits.{key}"), value));
    let (signet, site) = measured(builder).await;
    signet.registers("ada").await;
    for _ in 0..12 {
        let body = json!({"username": "nobody", "password": "wrong guess 12"});
        signet.site.post("/v1/sessions").json(&body).answer().await;
    }
    for _ in 0..5 {
        signet.site.get("/v1/users/availability?username=eve").answer().await;
    }
    let text = read(&site).await;
    let is = |name: &str, count: f64| assert!((value(&text, name) - count).abs() < f64::EPSILON, "{name}: {text}");
    let event = |reason: &str| {
        format!("signet_events_total{{event=\"password_check\",outcome=\"refused\",reason=\"{reason}\"}}")
    };
    let sessions =
        |status| format!("signet_http_requests_total{{route=\"/v1/sessions\",method=\"POST\",status=\"{status}\"}}");
    is(&event("unknown_name"), 5.0);
    is(&event("throttled"), 3.0);
    is(&sessions(401), 5.0);
    is(&sessions(429), 7.0);
    is(r#"signet_rate_limit_refusals_total{class="account"}"#, 3.0);
    is(r#"signet_rate_limit_refusals_total{class="token"}"#, 4.0);
    is(r#"signet_rate_limit_refusals_total{class="availability"}"#, 3.0);
    is("signet_log_lines_dropped_total", 0.0);
}

async fn connections_keys_and_malformed_requests_are_counted(builder: TestEnvBuilder) {
    let (signet, site) = measured(builder).await;
    let malformed = |status: u16| format!("signet_http_malformed_requests{{status=\"{status}\"}}");
    let mut idle = Line::to(&signet.site).await;
    idle.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.head().await;
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    for (bytes, status) in [(head.as_bytes(), 431), (b"NOT HTTP\r\n\r\n", 400)] {
        let mut client = Line::to(&signet.site).await;
        client.send(bytes).await;
        assert_eq!(client.status().await, status);
    }
    eventually(std::time::Duration::from_secs(5), "they are counted", async || {
        let text = read(&site).await;
        [400, 431].iter().all(|status| value(&text, &malformed(*status)) >= 1.0)
    })
    .await;
    let text = read(&site).await;
    assert!(value(&text, "signet_connections") >= 1.0, "{text}");
    let ages: Vec<_> = text.lines().filter(|line| line.starts_with("signet_key_age_seconds{")).collect();
    for kind in ["ES256", "root"] {
        assert!(ages.iter().any(|line| line.contains(&format!("kind=\"{kind}\""))), "{ages:?}");
    }
    drop(idle);
}

async fn only_a_get_of_metrics_is_answered_there_and_nowhere_else(builder: TestEnvBuilder) {
    let (signet, site) = measured(builder).await;
    signet.site.get("/metrics").answer().await.is(404);
    let status = async |request: reqwest::RequestBuilder| request.send().await.expect("it listens").status().as_u16();
    assert_eq!(status(site.post("/metrics")).await, 405);
    assert_eq!(status(site.get("/readyz")).await, 404);
    assert_eq!(status(site.get("/v1/users/me")).await, 404);
}

async fn the_port_that_was_asked_for_has_to_be_had(mut env: TestEnv) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    env.set("metrics_listen", &address);
    env.runs(&["serve"]).await.with(1, &[&address, "metrics_listen"]);
}

async fn a_default_port_that_is_taken_stops_nothing(env: TestEnv) {
    // Where another program of this machine has it, that serves as well.
    let _taken = std::net::TcpListener::bind("127.0.0.1:9464");
    let listen = format!("127.0.0.1:{}", run::free_port());
    let mut environment = env.environment(&[("listen", &listen)]);
    environment.retain(|(name, _)| name != "SIGNET_METRICS_LISTEN");
    let process = Process::start(&env.folder, &environment, &["serve"], "").ready().await;
    let log = process.whole_log().await;
    assert!(log.contains("no metrics"), "{log}");
}

/// A client that is down for long may have any number of them, and they are counted every few seconds.
async fn waiting_jobs_are_counted_no_further_than_to_ten_thousand(builder: TestEnvBuilder) {
    let address = format!("127.0.0.1:{}", run::free_port());
    let env = builder.set("metrics_listen", &address).env().await;
    let store = env.store().await;
    schema::up(&store.clone().into()).await.expect("the schema is made");
    let later = SystemClock.now() + days(1);
    let row = |n: u128, kind: &str| job::ActiveModel {
        id: Set(Uuid::from_u128(n)),
        kind: Set(kind.into()),
        topic: Set("client".into()),
        user_id: Set(Some(Uuid::nil())),
        payload: Set("{}".into()),
        created_at: Set(later),
        due_at: Set(Some(later)),
        attempts: Set(0),
        claim: Set(None),
        dead_at: Set(None),
        last_error: Set(None),
    };
    let rows: Vec<_> = (1..=10_500).map(|n| row(n, if n <= 3 { "email" } else { "logout_notice" })).collect();
    for rows in rows.chunks(500) {
        job::Entity::insert_many(rows.to_vec()).exec_without_returning(&store).await.expect("they are inserted");
    }
    let _signet = env.open().await;
    let site = Site::at(format!("http://{address}"));
    eventually(Duration::from_secs(30), "they are counted", async || {
        let text = read(&site).await;
        let is = |name: &str, count: f64| (value(&text, name) - count).abs() < f64::EPSILON;
        is("signet_logout_notices_waiting", 10_000.0)
            && is("signet_outbox_waiting", 3.0)
            && is("signet_outbox_dead", 0.0)
    })
    .await;
}

stories![
    refusals_are_counted_by_limit,
    waiting_jobs_are_counted_no_further_than_to_ten_thousand,
    what_happens_is_counted,
    events_that_are_logged_at_a_commit_are_counted
];
stories_on![Sqlite:
    connections_keys_and_malformed_requests_are_counted,
    only_a_get_of_metrics_is_answered_there_and_nowhere_else,
    the_port_that_was_asked_for_has_to_be_had,
    a_default_port_that_is_taken_stops_nothing,
];
