//! Endurance: slow databases, guessing, crafted input, files that vanish or that others could read.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use serde_json::{Value, json};

use crate::harness::{
    Answer, Ask, Durability, NEW_PASSWORD, PASSWORD, Person, TestApp, TestEnv, TestEnvBuilder, eventually, jwt,
    register, stories, stories_on,
};

/// The number that an SQL query gives.
async fn count(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.expect("the database answers").expect("a count is one row");
    row.try_get_by_index(0).expect("a number")
}

/// A database that does not answer is a 503, and leaves no running statement behind.
async fn a_database_that_is_slow_is_not_the_users_fault(builder: TestEnvBuilder) {
    let signet = builder.on_its_own_cluster(Durability::None).open().await;
    let ada = signet.registers("ada").await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(ada.logs_in().await);
    }
    let db = signet.store().await;
    let lock = db.begin().await.expect("a transaction");
    lock.execute_unprepared("LOCK TABLE session IN ACCESS EXCLUSIVE MODE").await.expect("nobody else has it");

    let begin = Instant::now();
    for answer in join_all(sessions.iter().map(|tokens| ada.refreshes(tokens))).await {
        assert_eq!(answer.unavailable().string("error"), "temporarily_unavailable");
    }
    assert!(begin.elapsed() < Duration::from_secs(30), "it took {:?}", begin.elapsed());
    let left = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'signet' AND state = 'active'";
    let patience = Duration::from_secs(5);
    eventually(patience, "nothing is left in the database", async || count(&db, left).await == 0).await;

    lock.rollback().await.expect("it ends");
    for tokens in &sessions {
        ada.is_let_in(&ada.refreshes(tokens).await.granted()).await;
    }
}

/// While the newest logouts are unknown, access tokens are refused and the service is not ready.
async fn it_is_not_ready_while_the_newest_revocations_are_not_known(signet: TestApp) {
    let ada = signet.registers("ada").await;
    let tokens = ada.logs_in().await;
    let db = signet.store().await;
    let lock = db.begin().await.expect("a transaction");
    lock.execute_unprepared("LOCK TABLE change IN ACCESS EXCLUSIVE MODE").await.expect("nobody holds it for long");
    eventually(Duration::from_secs(15), "it is not ready", async || {
        signet.site.get("/readyz").answer().await.status == 503
    })
    .await;
    let answer = signet.site.get("/readyz").answer().await.unavailable();
    assert_eq!(answer.string("reason"), "the newest revocations are not known here yet");
    ada.looks(&tokens).await.unavailable();
    signet.site.get("/livez").answer().await.is(200);

    lock.rollback().await.expect("it ends");
    eventually(Duration::from_secs(15), "it is ready again", async || {
        signet.site.get("/readyz").answer().await.status == 200
    })
    .await;
    ada.is_let_in(&tokens).await;
}

async fn a_term_signal_ends_a_start_that_waits(env: TestEnv) {
    let db = env.store().await;
    let turn = db.begin().await.expect("a transaction");
    let lock = format!("SELECT pg_advisory_xact_lock({})", 0x7369_676e_6574_i64); // the one of all migrations
    turn.execute_unprepared(&lock).await.expect("nobody else has it");
    let process = env.serves(&[]);
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let patience = Duration::from_secs(30);
    eventually(patience, "it waits for its turn", async || count(&db, waiting).await == 1).await;

    // The lock is held until after the end: a start that waited for its turn would never end.
    process.signal("TERM");
    process.ends().await.well();
    turn.rollback().await.expect("it ends");
    env.serves(&[]).ready().await;
}

/// A refused request does not take the name, and no account is created without its token.
async fn a_registration_is_whole_or_is_not(builder: TestEnvBuilder) {
    let builder =
        builder.set("password.memory_kib", "65536").set("password.workers", "1").set("password.max_wait", "100ms");
    let signet = builder.open().await;
    let creates = async |username: &str| {
        let body = json!({"username": username, "password": PASSWORD});
        signet.site.post("/users/create").json(&body).answer().await
    };
    let names: Vec<String> = (0..40).map(|n| format!("person{n}")).collect();
    let answers = join_all(names.iter().map(|name| creates(name))).await;
    let (made, refused): (Vec<_>, Vec<_>) = names.iter().zip(answers).partition(|(_, answer)| answer.status == 200);
    assert!(!made.is_empty() && !refused.is_empty(), "{} of 40 were made", made.len());
    for (name, answer) in made {
        let body = json!({"session_id": answer.string("session_id")});
        signet.site.post("/users/session_auth").json(&body).answer().await.is(200);
        creates(name).await.blames_the_sender();
    }
    for (name, answer) in refused {
        let answer = answer.unavailable();
        assert_eq!(answer.json()["success"], false, "{answer:?}");
        let query = [("username", name.as_str())];
        let answer = signet.site.get_with("/v1/users/availability", &query).answer().await.is(200);
        assert_eq!(answer.json()["available"], true, "{name} is taken by nobody: {answer:?}");
    }
}

/// At every endpoint a guess leaves the account's id in the log, and nothing of the typed text.
async fn guesses_leave_traces(mut env: TestEnv) {
    env.set("log_format", "json");
    let process = env.serves(&[]).ready().await;
    let site = process.site.clone();
    let ada = Person::registers(&site, "ada").await;
    let tokens = ada.logs_in().await;
    let guess = "a wrong guess, zyxwvut";
    let checks = async || -> Vec<Value> {
        let log = process.whole_log().await;
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == "password_check").collect()
    };
    let mine = async |method, path, body| ada.sends(method, path, &tokens, Some(body)).await;
    let new = json!({"current_password": guess, "new_password": NEW_PASSWORD});
    let email = json!({"email": "ada@example.org", "current_password": guess});
    let known = json!({"username": "ada", "password": guess});
    let mut seen = checks().await.len();
    let mut leaves_a_trace = async |answer: Answer, account: Option<&str>| {
        let answer = answer.blames_the_sender();
        let all = checks().await;
        let traces = &all[seen..];
        assert!(!traces.is_empty(), "no trace of {answer:?}");
        for trace in traces {
            assert_eq!((&trace["outcome"], trace["account"].as_str()), (&json!("refused"), account), "{trace}");
            assert!(trace["reason"].is_string() && trace["span"]["peer"].is_string(), "{trace}");
        }
        seen = all.len();
    };
    leaves_a_trace(mine(Method::DELETE, "/v1/users/me", json!({"password": guess})).await, Some(&ada.id)).await;
    leaves_a_trace(mine(Method::PATCH, "/v1/users/me", email).await, Some(&ada.id)).await;
    leaves_a_trace(mine(Method::PUT, "/v1/users/me/password", new).await, Some(&ada.id)).await;
    leaves_a_trace(site.request(Method::DELETE, "/users/delete").json(&known).answer().await, Some(&ada.id)).await;
    leaves_a_trace(site.post("/users/auth").json(&known).answer().await, Some(&ada.id)).await;
    leaves_a_trace(ada.tries_a_session(guess).await, Some(&ada.id)).await;
    leaves_a_trace(ada.tries(guess).await, Some(&ada.id)).await;
    let nobody = Person { username: "typed-zyxwvut-as-name".into(), ..ada.clone() };
    leaves_a_trace(nobody.tries_a_session(guess).await, None).await;
    leaves_a_trace(nobody.tries(guess).await, None).await;
    ada.logs_in().await;
    let log = process.whole_log().await;
    assert!(!log.contains("zyxwvut"), "{log}");
}

/// If a key file vanishes, the service keeps its loaded keys and logs an error.
async fn a_lost_signing_key_is_told_and_ends_no_token(mut env: TestEnv) {
    env.set("signing_algorithm", "EdDSA");
    let first = env.serves(&[]).ready().await;
    first.signal("TERM");
    first.ends().await.well();
    let others = env.key_files();
    env.set("signing_algorithm", "ES256");
    let process = env.serves(&[]).ready().await;
    let active = env.key_files().into_iter().find(|file| !others.contains(file)).expect("a second key");
    let ada = Person::registers(&process.site, "ada").await;
    let tokens = ada.logs_in().await;
    assert_eq!(jwt::header(&tokens.access)["alg"], "ES256");

    fs::rename(&active, env.folder.join("away.pem")).expect("it is ours");
    let logged = || process.log().matches("the last good keys stay").count();
    eventually(Duration::from_secs(10), "it says so", async || logged() > 0).await;
    // An absence has no event to wait for: the folder is read every second, and so at least twice more here.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(logged(), 1, "{}", process.log());
    ada.is_logged_in(&tokens).await;
    ada.is_let_in(&ada.logs_in().await).await;
    let keys = process.site.get("/.well-known/jwks.json").answer().await.is(200).json();
    let kid = &jwt::header(&tokens.access)["kid"];
    assert!(keys["keys"].as_array().expect("a list").iter().any(|key| &key["kid"] == kid), "no {kid}: {keys}");
}

async fn a_sqlite_file_is_its_owners_alone(env: TestEnv) {
    fs::set_permissions(&env.folder, Permissions::from_mode(0o755)).expect("it is ours");
    let process = env.serves(&[]).ready().await;
    Person::registers(&process.site, "ada").await;
    for name in ["signet.db", "signet.db-wal", "signet.db-shm"] {
        let file = fs::metadata(env.folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

async fn a_database_in_memory_is_refused(env: TestEnv) {
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite://signet.db?mode=memory"] {
        env.serves(&[("database_url", url)]).ends().await.with(2, &["database_url", "file"]);
    }
    assert!(env.key_files().is_empty(), "nothing starts");
}

/// The lock is on the file that the driver opens, however its name is written.
async fn a_path_means_one_file_in_every_spelling(env: TestEnv) {
    let folder = env.folder.display();
    let encoded = format!("sqlite://{folder}/my%20data/signet%231.db?mode=rwc");
    let plain = format!("sqlite://{folder}/my data/signet#1.db?mode=rwc");
    let process = env.serves(&[("database_url", &encoded)]).ready().await;
    Person::registers(&process.site, "ada").await;
    for name in ["signet#1.db", "signet#1.db.lock"] {
        assert!(env.folder.join("my data").join(name).is_file(), "no {name}");
    }
    assert!(!env.folder.join("my%20data").exists());
    for url in [&encoded, &plain] {
        env.serves(&[("database_url", url)]).ends().await.with(1, &["SQLite", "my data/signet#1.db"]);
    }
    process.signal("TERM");
    process.ends().await.well();
    let again = env.serves(&[("database_url", &plain)]).ready().await;
    register(&again.site, "ada", PASSWORD).await.is(409);
}

/// A private key that was once in our database is nobody's secret any more.
async fn a_clients_private_key_is_not_taken(env: TestEnv) {
    let file = env.folder.join("jwks.json");
    let path = file.display().to_string();
    let arguments =
        ["client", "create", "--name", "Billing", "--auth-method", "private_key_jwt", "--jwks", path.as_str()];
    let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    let y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
    for name in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
        let mut key = public.clone();
        key[name] = if name == "oth" { json!([{"d": "c2VjcmV0"}]) } else { json!("c2VjcmV0") };
        fs::write(&file, json!({"keys": [public, key]}).to_string()).expect("the folder is ours");
        let ended = env.runs(&arguments).await.with(2, &["--jwks", "private"]);
        assert!(!ended.err.contains("c2VjcmV0"), "{ended:?}");
    }
    assert_eq!(env.runs(&["client", "list"]).await.well().json(), json!([]));
    fs::write(&file, json!({"keys": [public]}).to_string()).expect("the folder is ours");
    env.runs(&arguments).await.well();
}

async fn only_a_trusted_proxy_says_where_a_log_in_came_from(mut signet: TestApp) {
    let ada = signet.registers("ada").await;
    for (proxies, ip) in [(None, "127.0.0.1"), (Some("127.0.0.0/8"), "203.0.113.9"), (Some("10.0.0.0/8"), "127.0.0.1")]
    {
        if let Some(proxies) = proxies {
            signet.restart_with(&[("trusted_proxies", proxies)]).await;
        }
        let body = json!({"username": "ada", "password": PASSWORD});
        let request = signet.site.post("/v1/sessions").header("x-forwarded-for", "198.51.100.1, 203.0.113.9");
        let tokens = request.json(&body).answer().await.granted();
        let sessions = ada.sessions(&tokens).await;
        let current = sessions.iter().find(|session| session["current"] == true).expect("this one");
        assert_eq!(current["ip"], ip, "{proxies:?}");
    }
}

stories![a_registration_is_whole_or_is_not, only_a_trusted_proxy_says_where_a_log_in_came_from];

stories_on![Postgres:
    a_database_that_is_slow_is_not_the_users_fault,
    it_is_not_ready_while_the_newest_revocations_are_not_known,
    a_term_signal_ends_a_start_that_waits,
];

stories_on![Sqlite:
    guesses_leave_traces,
    a_lost_signing_key_is_told_and_ends_no_token,
    a_sqlite_file_is_its_owners_alone,
    a_database_in_memory_is_refused,
    a_path_means_one_file_in_every_spelling,
    a_clients_private_key_is_not_taken,
];
