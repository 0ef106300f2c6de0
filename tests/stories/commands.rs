//! Commands beside the service: what they make, what they say, and copies of the database.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

use crate::harness::{
    Ask, Durability, PASSWORD, Person, TestEnv, TestEnvBuilder, eventually, process::Process, register, run, stories,
    stories_on,
};

/// In a wrong folder, an empty list would read as "there are no users".
async fn a_command_that_only_reads_makes_no_database(env: TestEnv) {
    let empty = |env: &TestEnv| fs::read_dir(&env.folder).expect("ours").count() == 0;
    let commands: [&[&str]; 9] = [
        &["user", "list"],
        &["user", "show", "ada"],
        &["user", "disable", "ada"],
        &["user", "revoke-sessions", "ada"],
        &["client", "list"],
        &["client", "show", "web"],
        &["client", "update", "web", "--name", "x"],
        &["client", "delete", "web"],
        &["migrate", "down", "--yes"],
    ];
    for arguments in commands {
        env.runs(arguments).await.with(1, &["there is no database", "signet.db"]);
        assert!(empty(&env), "{arguments:?}: {:?}", fs::read_dir(&env.folder).expect("ours").collect::<Vec<_>>());
    }
    // The steps are known without a database.
    let status = env.runs(&["migrate", "status"]).await.well();
    assert!(
        status.out.lines().count() > 10 && status.out.lines().all(|line| line.starts_with("pending ")),
        "{status:?}"
    );
    assert!(empty(&env));
    env.runs_on(&format!("{PASSWORD}\n"), &["user", "create", "ada"]).await.well();
    assert_eq!(env.runs(&["user", "list"]).await.well().json().as_array().map(Vec::len), Some(1));
}

async fn every_problem_has_the_programs_name_and_its_remedy(env: TestEnv) {
    let ended = env.serves(&[("nonsense", "1"), ("refresh_grace", "soon"), ("listne", "x")]).ends().await;
    assert!(ended.err.lines().count() >= 3, "{ended:?}");
    assert!(ended.err.lines().all(|line| line.starts_with("signet: ")), "{ended:?}");
    ended.with(2, &["SIGNET_NONSENSE", "signet --help"]);
    let help = env.runs(&["--help"]).await.well();
    assert!(help.out.contains("--refresh-grace"), "{help:?}");
}

async fn a_closed_port_is_called_refused_and_quickly(mut env: TestEnv) {
    let port = run::free_port();
    env.set("database_url", &format!("postgres://signet:hunter2@127.0.0.1:{port}/signet"));
    let begin = Instant::now();
    for arguments in [&["serve"][..], &["user", "list"], &["migrate", "status"]] {
        let ended = env.runs(arguments).await;
        assert!(!ended.err.contains("hunter2"), "{ended:?}");
        ended.with(1, &["onnection refused", "database_url"]);
    }
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

async fn programs_read_json(env: TestEnv) {
    let up = env.runs(&["migrate", "status", "--json"]).await.well().json();
    let steps = up.as_array().expect("an array");
    assert!(steps.len() > 10 && steps.iter().all(|step| step["name"].is_string() && step["applied"] == false), "{up}");
    let made = env.runs(&["client", "create", "--name", "billing", "--json"]).await.well().json();
    assert!(made["client_id"].is_string() && made["client_secret"].is_string(), "{made}");
    let up = env.runs(&["migrate", "status", "--json"]).await.well().json();
    assert!(up.as_array().expect("an array").iter().all(|step| step["applied"] == true), "{up}");
}

/// A program that compares the API's dates with the commands' compares text.
async fn dates_have_one_spelling(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let ada = Person::registers(&process.site, "ada").await;
    let tokens = ada.logs_in().await;
    let me = process.site.get("/v1/users/me").bearer_auth(&tokens.access).answer().await.is(200).json();
    let sessions = process.site.get("/v1/sessions").bearer_auth(&tokens.access).answer().await.is(200).json();
    let client = env.registers_client(&["--name", "billing"]).await;
    let shown = [
        me["created_at"].clone(),
        register(&process.site, "bob", PASSWORD).await.is(201).json()["created_at"].clone(),
        sessions[0]["created_at"].clone(),
        sessions[0]["last_used_at"].clone(),
        env.runs(&["client", "show", &client.id]).await.well().json()["created_at"].clone(),
        env.runs(&["client", "list"]).await.well().json()[0]["created_at"].clone(),
        env.runs(&["user", "show", "ada"]).await.well().json()["created_at"].clone(),
        env.runs(&["user", "list"]).await.well().json()[0]["created_at"].clone(),
    ];
    for date in shown {
        let text = date.as_str().unwrap_or_else(|| panic!("{date}"));
        assert!(text.ends_with('Z') && text.len() == "2026-01-31T12:00:00.000000Z".len(), "{text}");
    }
}

/// Services called signet-something stand in the same namespace.
async fn variables_of_other_programs_are_ignored(env: TestEnv) {
    let others = [
        ("service_host", "10.0.0.1"),
        ("service_port_http", "80"),
        ("port", "tcp://10.0.0.1:80"),
        ("port_80_tcp_addr", "10.0.0.1"),
        ("postgresql_service_host", "10.0.0.2"),
        ("postgresql_service_port", "5432"),
        ("postgresql_service_port_tcp_postgresql", "5432"),
        ("postgresql_port", "tcp://10.0.0.2:5432"),
        ("postgresql_port_5432_tcp_proto", "tcp"),
        ("test_tools", "/somewhere"),
        ("test_postgres_bin", "/somewhere"),
    ];
    let process = env.serves(&others).ready().await;
    process.signal("TERM");
    process.ends().await.well();
    for (key, value) in [("postgresql_host", "x"), ("tests", "x"), ("portal", "x")] {
        env.serves(&[(key, value)]).ends().await.with(2, &[&format!("SIGNET_{}", key.to_uppercase())]);
    }
}

/// Every key of the public interface is known.
async fn keys_of_features_to_come_are_taken_with_a_warning(env: TestEnv) {
    let keys = [
        ("key_rotation", "90d"),
        ("key_lead_time", "10m"),
        ("keys_passphrase", "correct horse battery staple"),
        ("reserved_usernames", "admin,root"),
        ("audit_retention", "30d"),
        ("otlp_endpoint", "http://127.0.0.1:4318"),
        ("rate_limits.network", "false"),
        ("shutdown_delay", "1s"),
    ];
    let environment = env.environment(&keys);
    let shown = Process::start(&env.folder, &environment, &["config"], "").ends().await.well();
    for (key, _) in keys {
        assert!(shown.out.lines().any(|line| line.starts_with(key)), "{key}: {shown:?}");
    }
    assert!(!(shown.out.clone() + &shown.err).contains("correct horse"), "{shown:?}");
    for (key, value) in [("key_rotation", "soon"), ("audit_retention", "-1s")] {
        env.serves(&[(key, value)]).ends().await.with(2, &[key]);
    }
}

/// The copy is whole and consistent, and the service does not notice.
async fn a_backup_beside_a_busy_service_is_whole(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let copy = |n: usize| env.folder.join(format!("copy {n}.db"));
    for n in 0..3 {
        let mut before = Vec::new();
        for i in 0..10 {
            before.push(Person::registers(&process.site, &format!("before-{n}-{i}")).await);
        }
        let path = copy(n).display().to_string();
        let during: Vec<String> = (0..20).map(|i| format!("during-{n}-{i}")).collect();
        let busy = join_all(during.iter().map(|name| Person::registers(&process.site, name)));
        let arguments = ["backup", path.as_str()];
        let (people, ended) = tokio::join!(busy, env.runs(&arguments));
        ended.well();
        assert_eq!(people.len(), 20);
        assert_eq!(fs::metadata(copy(n)).expect("the copy").permissions().mode() & 0o777, 0o600);
        // The copy serves.
        let keys = env.keys().display().to_string();
        let url = format!("sqlite://{}", copy(n).display().to_string().replace(' ', "%20"));
        let settings = [("database_url", url.as_str()), ("database_listen_url", url.as_str()), ("keys_dir", &keys)];
        let restored = env.serves(&settings).ready().await;
        for person in &before {
            person.at(&restored.site).logs_in().await;
        }
        let checked = sea_orm::Database::connect(&url).await.expect("it opens");
        let row = checked
            .query_one_raw(sea_orm::Statement::from_string(checked.get_database_backend(), "PRAGMA integrity_check"))
            .await
            .expect("a row")
            .expect("a row");
        assert_eq!(row.try_get_by_index::<String>(0).expect("text"), "ok");
    }
    // Nothing is written over, and nothing is left of what failed.
    let taken = copy(0).display().to_string();
    let size = fs::metadata(copy(0)).expect("the copy").len();
    env.runs(&["backup", &taken]).await.with(1, &["copy 0.db", "exists"]);
    assert_eq!(fs::metadata(copy(0)).expect("the copy").len(), size);
    let nowhere = env.folder.join("no/such/folder/copy.db").display().to_string();
    env.runs(&["backup", &nowhere]).await.with(1, &["no/such/folder"]);
    process.signal("TERM");
    process.ends().await.well();
    let idle = env.folder.join("idle.db").display().to_string();
    env.runs(&["backup", &idle]).await.well(); // with no service too
}

async fn a_backup_of_postgres_is_made_by_its_own_means(env: TestEnv) {
    env.runs(&["migrate", "up"]).await.well();
    let copy = env.folder.join("copy.db");
    env.runs(&["backup", &copy.display().to_string()]).await.with(2, &["SQLite", "pg_dump"]);
    assert!(!copy.exists());
}

async fn a_backup_needs_a_database(env: TestEnv) {
    let copy = env.folder.join("copy.db");
    env.runs(&["backup", &copy.display().to_string()]).await.with(1, &["there is no database"]);
    assert_eq!(fs::read_dir(&env.folder).expect("ours").count(), 0);
}

/// A backend that hangs in the middle of a statement answers nothing, and nobody but us ends the wait.
async fn a_statement_that_hangs_costs_its_request_ten_seconds_at_most(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let ada = signet.registers("ada").await;
    let store = signet.store().await;
    // The login waits for this lock: its backend is in the middle of a statement.
    let lock = store.begin().await.expect("a transaction");
    lock.execute_unprepared("LOCK TABLE session IN ACCESS EXCLUSIVE MODE").await.expect("the lock");
    let begin = Instant::now();
    let waiting = tokio::spawn({
        let ada = ada.clone();
        async move { ada.tries_a_session(PASSWORD).await }
    });
    let mut pids: Vec<i32> = Vec::new();
    eventually(Duration::from_secs(2), "it waits", async || {
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'signet' AND wait_event_type = 'Lock'";
        let rows = store.query_all_raw(sea_orm::Statement::from_string(store.get_database_backend(), sql)).await;
        pids = rows.expect("rows").iter().map(|row| row.try_get_by_index(0).expect("a number")).collect();
        !pids.is_empty()
    })
    .await;
    let signals = |name: &str| {
        let ids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        let kill = format!("kill -{name} {}", ids.join(" "));
        drop(std::process::Command::new("sh").args(["-c", &kill]).status());
    };
    signals("STOP");
    lock.rollback().await.expect("it ends");
    waiting.await.expect("it does not panic").unavailable();
    let took = begin.elapsed();
    signals("CONT");
    assert!(took < Duration::from_secs(10), "{took:?}");
    eventually(Duration::from_secs(30), "it goes on", async || ada.tries_a_session(PASSWORD).await.status == 200).await;
}

stories![programs_read_json];

stories_on![Postgres:
    a_backup_of_postgres_is_made_by_its_own_means,
    a_statement_that_hangs_costs_its_request_ten_seconds_at_most,
];

stories_on![Sqlite:
    a_command_that_only_reads_makes_no_database,
    every_problem_has_the_programs_name_and_its_remedy,
    a_closed_port_is_called_refused_and_quickly,
    dates_have_one_spelling,
    variables_of_other_programs_are_ignored,
    keys_of_features_to_come_are_taken_with_a_warning,
    a_backup_beside_a_busy_service_is_whole,
    a_backup_needs_a_database,
];
