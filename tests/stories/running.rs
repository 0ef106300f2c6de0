//! A running service: its log, its readiness, its end, and who may speak to it in the clear.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use sea_orm::ConnectionTrait as _;

use crate::harness::{
    Ask, Durability, PASSWORD, Person, Site, TestEnv, TestEnvBuilder, eventually, process::Process, raw::Line,
    register, run, statements::Statements, stories, stories_on,
};

async fn stops(process: Process) {
    process.signal("TERM");
    process.ends().await.well();
}

/// The value of the one line of the metrics that begins so.
async fn metric(address: &str, name: &str) -> f64 {
    let answer = Site::at(format!("http://{address}")).get("/metrics").send().await.expect("it listens");
    let text = answer.text().await.expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or_else(|| panic!("no {name}: {text}"))
}

/// Journald and container runtimes in blocking mode stop to read, and so does a terminal after Ctrl-S.
async fn a_log_that_nobody_reads_stops_nothing(env: TestEnv) {
    let listen = format!("127.0.0.1:{}", run::free_port());
    let metrics = format!("127.0.0.1:{}", run::free_port());
    let mut environment = env.environment(&[("listen", &listen), ("metrics_listen", &metrics)]);
    environment.push(("RUST_LOG".to_owned(), "trace".to_owned()));
    // The shell opens the pipe for reading too, and becomes the service: nobody ever reads, and the pipe never closes.
    let launch = "mkfifo log && exec 3<>log && exec \"$0\" \"$@\" 2>log";
    let process = Process::launch(&["sh", "-c", launch], &env.folder, &environment, &["serve"], "").ready().await;
    eventually(Duration::from_mins(5), "lines are dropped, and counted", async || {
        let asks = (0..100).map(|_| process.site.get("/.well-known/jwks.json").answer());
        futures_util::future::join_all(asks).await.into_iter().for_each(|answer| drop(answer.is(200)));
        metric(&metrics, "signet_log_lines_dropped_total").await > 0.0
    })
    .await;
    Person::registers(&process.site, "ada").await.logs_in().await;
    process.site.get("/readyz").answer().await.is(200);
    let begin = Instant::now();
    stops(process).await;
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// A balancer must learn of the end before the port closes.
async fn before_the_port_closes_it_is_not_ready(env: TestEnv) {
    let process = env.serves(&[("shutdown_delay", "3s")]).ready().await;
    process.signal("TERM");
    let begin = Instant::now();
    let reason = loop {
        let answer = process.site.get("/readyz").answer().await;
        if answer.status == 503 {
            break answer.unavailable().string("reason");
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "it stays ready");
    };
    assert_eq!(reason, "the service is stopping");
    // On connections of their own.
    let mut line = Line::to(&process.site).await;
    line.send(b"GET /livez HTTP/1.1\r\nHost: signet\r\nConnection: close\r\n\r\n").await;
    assert_eq!(line.status().await, 200);
    Person::registers(&process.site, "ada").await;
    process.ends().await.well();
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
}

/// A second signal means that somebody waits.
async fn a_second_signal_does_not_wait_for_the_balancer(env: TestEnv) {
    let process = env.serves(&[("shutdown_delay", "10m")]).ready().await;
    process.signal("TERM");
    eventually(Duration::from_secs(30), "it is not ready", async || {
        process.site.get("/readyz").answer().await.status == 503
    })
    .await;
    stops(process).await;
}

/// Terminals that close send it, and so do tools that want a reload.
async fn a_hangup_stops_nothing(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    process.signal("HUP");
    eventually(Duration::from_secs(30), "it says so", async || process.log().contains("SIGHUP")).await;
    Person::registers(&process.site, "ada").await.logs_in().await;
    stops(process).await;
}

/// A full disk, as the system tells of it: no file may grow.
async fn a_service_that_cannot_write_is_not_ready_on_sqlite(env: TestEnv) {
    let listen = format!("127.0.0.1:{}", run::free_port());
    let environment = env.environment(&[("listen", &listen)]);
    let launch = "trap '' XFSZ && exec \"$0\" \"$@\"";
    let process = Process::launch(&["sh", "-c", launch], &env.folder, &environment, &["serve"], "").ready().await;
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process id"));
    let log = fs::metadata(env.folder.join("signet.db-wal")).expect("the write-ahead log").len();
    let limit = |most| prlimit(pid, Resource::Fsize, Rlimit { current: most, maximum: None }).expect("it is ours");
    limit(Some(log.min(4096)));
    eventually(Duration::from_secs(30), "it is not ready", async || {
        process.site.get("/readyz").answer().await.status == 503
    })
    .await;
    let reason = process.site.get("/readyz").answer().await.unavailable().string("reason");
    assert_eq!(reason, "the database cannot be written");
    register(&process.site, "ada", PASSWORD).await.unavailable();
    process.site.get("/livez").answer().await.is(200);
    limit(None);
    eventually(Duration::from_secs(30), "it is ready again", async || {
        process.site.get("/readyz").answer().await.status == 200
    })
    .await;
    Person::registers(&process.site, "ada").await.logs_in().await;
}

/// After a failover, or where somebody set it: the sessions that the pool holds stay read-only when the database is
/// not any more.
async fn a_service_that_cannot_write_is_not_ready_on_postgres(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let ada = signet.registers("ada").await;
    let store = signet.store().await;
    let runs = async |sql: &str| store.execute_unprepared(sql).await.map(|_| ()).expect("it is allowed");
    runs("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE").await;
    let name = store
        .query_one_raw(sea_orm::Statement::from_string(store.get_database_backend(), "SELECT current_database()::text"))
        .await
        .expect("a row")
        .expect("a row")
        .try_get_by_index::<String>(0)
        .expect("text");
    runs(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    runs("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'signet'").await;
    eventually(Duration::from_secs(30), "it is not ready", async || {
        signet.site.get("/readyz").answer().await.status == 503
    })
    .await;
    let reason = signet.site.get("/readyz").answer().await.unavailable().string("reason");
    assert_eq!(reason, "the database cannot be written");
    // The pool fills with connections that cannot write.
    let asks = (0..8).map(|_| ada.tries(PASSWORD));
    futures_util::future::join_all(asks).await.into_iter().for_each(|answer| drop(answer.unavailable()));
    runs(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    eventually(Duration::from_secs(3), "it is ready at once", async || {
        signet.site.get("/readyz").answer().await.status == 200
    })
    .await;
    for _ in 0..20 {
        ada.logs_in().await;
    }
}

/// Anybody may ask, so asking must cost the database nothing.
async fn readiness_is_checked_at_most_once_a_second(builder: TestEnvBuilder) {
    let signet = builder.with_statements_counted().open().await;
    let statements = Statements::of(&signet).await;
    let begin = Instant::now();
    statements.reset().await;
    for _ in 0..300 {
        signet.site.get("/readyz").answer().await.is(200);
    }
    let seconds = i64::try_from(begin.elapsed().as_secs()).expect("few") + 1;
    let counted = statements.counted().await;
    let looks: i64 = counted.iter().map(|counted| counted.calls).sum();
    assert!(looks <= 2 * seconds + 5, "in {seconds} s: {counted:?}");
}

/// An address of this machine that is not its loopback's.
fn own_address() -> std::net::IpAddr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // No packet is sent.
    socket.connect("192.0.2.1:9").expect("a route: this story needs a network interface");
    let address = socket.local_addr().expect("it is bound").ip();
    assert!(!address.is_loopback(), "this story needs a network interface");
    address
}

/// Passwords must not cross a network in the clear.
async fn plain_http_is_for_proxies_alone(env: TestEnv) {
    let port = run::free_port();
    let (listen, own) = (format!("0.0.0.0:{port}"), own_address());
    let off_loopback = async |proxies: &str| {
        let settings = [("listen", listen.as_str()), ("issuer", "https://auth.example"), ("trusted_proxies", proxies)];
        Process::start(&env.folder, &env.environment(&settings), &["serve"], "").ready().await
    };
    let process = off_loopback("198.51.100.0/24").await;
    let (loopback, network) = (Site::at(format!("http://127.0.0.1:{port}")), Site::at(format!("http://{own}:{port}")));
    loopback.get("/livez").answer().await.is(200);
    for path in ["/livez", "/readyz", "/.well-known/jwks.json", "/no/such/path", "/v1/users/me", "/login"] {
        network.get(path).answer().await.is(421);
    }
    register(&network, "ada", PASSWORD).await.is(421).some_problem(421);
    network.token(&[("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)]).answer().await.is(421);
    // A forwarding field makes nobody a proxy.
    network.get("/livez").header("x-forwarded-for", "127.0.0.1").answer().await.is(421);
    stops(process).await;
    let process = off_loopback(&format!("{own}/32")).await;
    network.get("/livez").answer().await.is(200);
    Person::registers(&network, "ada").await.logs_in().await;
    stops(process).await;
}

async fn a_proxy_that_is_not_named_is_told_of(mut env: TestEnv) {
    env.set("issuer", "https://auth.example");
    let shown = env.runs(&["config"]).await.well();
    assert!(shown.err.contains("trusted_proxies is not set"), "{shown:?}");
    assert!(shown.err.contains("smtp_url is not set"), "{shown:?}");
    let process = env.serves(&[]).ready().await;
    let heard = |log: &str| log.matches("forwarding field of a peer").count();
    let log = process.whole_log().await;
    assert!(log.contains("trusted_proxies is not set") && heard(&log) == 0, "{log}");
    for field in ["x-forwarded-for", "forwarded", "x-forwarded-for"] {
        process.site.get("/livez").header(field, "for=198.51.100.1").answer().await.is(200);
    }
    let log = process.whole_log().await;
    assert_eq!(heard(&log), 1, "once: {log}");
    stops(process).await;
    let process = env.serves(&[("trusted_proxies", "127.0.0.1")]).ready().await;
    process.site.get("/livez").header("x-forwarded-for", "198.51.100.1").answer().await.is(200);
    let log = process.whole_log().await;
    assert!(!log.contains("trusted_proxies is not set") && heard(&log) == 0, "{log}");
}

/// It drops a table that the service uses.
async fn a_running_service_keeps_its_schema(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    let before = env.runs(&["migrate", "status"]).await.well().out;
    env.runs(&["migrate", "down", "--yes"]).await.with(1, &["signet", "stop"]);
    assert_eq!(env.runs(&["migrate", "status"]).await.well().out, before);
    Person::registers(&process.site, "ada").await.logs_in().await;
    stops(process).await;
    env.runs(&["migrate", "down", "--yes"]).await.well();
    assert_ne!(env.runs(&["migrate", "status"]).await.well().out, before);
}

async fn a_newer_schema_is_called_by_its_name(env: TestEnv) {
    env.runs(&["migrate", "up"]).await.well();
    let insert = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20991231_000001_of_the_future', 0)";
    env.store().await.execute_unprepared(insert).await.expect("a row");
    let commands: [&[&str]; 7] = [
        &["serve"],
        &["migrate", "up"],
        &["migrate", "down", "--yes"],
        &["migrate", "status"],
        &["user", "list"],
        &["client", "list"],
        &["client", "create", "--name", "x"],
    ];
    for arguments in commands {
        let ended = env.runs(arguments).await;
        ended.with(1, &["this database was migrated by a newer signet", "m20991231_000001_of_the_future"]);
    }
    env.serves(&[("auto_migrate", "false")]).ends().await.with(1, &["newer signet"]);
}

/// A restored file often has the mode of the archive.
async fn others_cannot_read_the_database(env: TestEnv) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |name: &str| fs::metadata(env.folder.join(name)).expect("ours").permissions().mode() & 0o777;
    let opens = |name: &str| {
        let path = env.folder.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("ours");
    };
    let process = env.serves(&[]).ready().await;
    Person::registers(&process.site, "ada").await;
    process.signal("KILL");
    process.ends().await;
    let files = ["signet.db", "signet.db-wal", "signet.db-shm"];
    for name in files {
        opens(name);
    }
    let process = env.serves(&[]).ready().await;
    for name in files {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let log = process.whole_log().await;
    assert!(log.contains("signet.db could be read or written by others"), "{log}");
    Person::registers(&process.site, "bob").await;
    process.signal("KILL");
    process.ends().await;
    for name in files {
        opens(name);
    }
    env.runs(&["user", "list"]).await.well();
    assert_eq!(mode("signet.db"), 0o600);
}

stories![a_running_service_keeps_its_schema, a_newer_schema_is_called_by_its_name];

stories_on![Postgres:
    a_service_that_cannot_write_is_not_ready_on_postgres,
    readiness_is_checked_at_most_once_a_second,
];

stories_on![Sqlite:
    a_log_that_nobody_reads_stops_nothing,
    before_the_port_closes_it_is_not_ready,
    a_second_signal_does_not_wait_for_the_balancer,
    a_hangup_stops_nothing,
    a_service_that_cannot_write_is_not_ready_on_sqlite,
    plain_http_is_for_proxies_alone,
    a_proxy_that_is_not_named_is_told_of,
    others_cannot_read_the_database,
];
