//! A flood of logins delays its senders, and nobody else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::{Ask, Person, TestEnv, TestEnvBuilder, process::Process, stories_on};

/// The longest wait of a login; no other request may wait this long.
const MAX_WAIT: Duration = Duration::from_secs(6);
const WORKERS: u64 = 2;
/// Memory of one hash: so much that a few extra hashes would show.
const MEMORY_KIB: u64 = 64 * 1024;
/// Memory for everything else: connections, answers, statements.
const BASE_KIB: u64 = 96 * 1024;
const LOG_INS: usize = 150;

/// The most memory that a process ever held, in kibibytes.
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Asserts that a request does not queue behind the logins.
async fn in_time<T>(what: &str, answer: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let answer = answer.await;
    assert!(begin.elapsed() < MAX_WAIT, "{what} took {:?}", begin.elapsed());
    answer
}

async fn flooded(builder: TestEnvBuilder) -> TestEnv {
    let builder =
        builder.set("password.workers", &WORKERS.to_string()).set("password.memory_kib", &MEMORY_KIB.to_string());
    let builder = builder.set("password.max_wait", &format!("{}s", MAX_WAIT.as_secs())).set("password.iterations", "4");
    let mut env = builder.env().await;
    env.set("issuer", "http://127.0.0.1:8080");
    env
}

async fn a_flood_of_log_ins_holds_nobody_else_up_and_takes_no_memory(builder: TestEnvBuilder) {
    let env = flooded(builder).await;
    let process = env.serves(&[]).ready().await;
    let before = peak(&process);
    let ada = Person::registers(&process.site, "ada").await;
    let introspector = env.registers_service(&["--audience", "http://127.0.0.1:8080"]).await;
    let mut tokens = ada.logs_in().await;

    let open = Arc::new(AtomicUsize::new(LOG_INS));
    let log_ins: Vec<_> = (0..LOG_INS)
        .map(|n| {
            let body = json!({"username": format!("nobody{n}"), "password": "wrong guess 12"});
            let (request, open) = (process.site.post("/v1/sessions").json(&body), Arc::clone(&open));
            tokio::spawn(async move {
                let status = request.answer().await.status;
                open.fetch_sub(1, Ordering::SeqCst);
                status
            })
        })
        .collect();
    let mut rounds = 0;
    while open.load(Ordering::SeqCst) > 0 {
        tokens = in_time("a refresh", async { ada.refreshes(&tokens).await.granted() }).await;
        in_time("the keys", process.site.get("/.well-known/jwks.json").answer()).await.is(200);
        in_time("introspection", introspector.introspects(&process.site, &tokens.access)).await.active();
        rounds += 1;
    }
    assert!(rounds > 2, "the flood was over before anything was asked");
    let mut refused = 0;
    for one in log_ins {
        match one.await.expect("it was answered") {
            401 => {}
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0, "the queue did not overflow");
    let grown = peak(&process) - before;
    assert!(grown < WORKERS * MEMORY_KIB + BASE_KIB, "{LOG_INS} logins took {grown} KiB");
    assert!(grown > MEMORY_KIB, "{grown} KiB is less than one hash takes: nothing was measured");
    ada.logs_in().await;
}

stories_on![Sqlite: a_flood_of_log_ins_holds_nobody_else_up_and_takes_no_memory];
