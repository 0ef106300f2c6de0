//! Clients that hold connections rather than use them, and the cost for everybody else.

use std::time::{Duration, Instant};

use crate::harness::{Ask, Person, TestEnv, process::Process, raw::Line, slowloris::Slowloris, stories, stories_on};

/// The largest share of one core that such clients may cost. A spinning loop takes all of one; an
/// unoptimized build beside other stories was seen to take a quarter, an optimized one takes a twentieth.
const SHARE: f64 = 0.5;
/// Longer than any deadline, so that each client is disconnected and reconnects at least once.
const SIEGE: Duration = Duration::from_secs(20);

/// Requests the endpoints that everybody needs, once each.
async fn is_answered(process: &Process, ada: &Person) {
    process.site.get("/livez").answer().await.is(200);
    process.site.get("/.well-known/jwks.json").answer().await.is(200);
    ada.logs_in().await;
    // Without a connection from before, too.
    let mut line = Line::to(&process.site).await;
    line.send(b"GET /livez HTTP/1.1\r\nHost: signet\r\nConnection: close\r\n\r\n").await;
    assert_eq!(line.status().await, 200);
}

/// Everybody else is answered while so many clients hold connections, and these cost next to nothing.
async fn a_crowd_is_held_out(process: &Process, count: u32) {
    const ROUNDS: u32 = 10;
    let ada = Person::registers(&process.site, "ada").await;
    let begin = process.processor_time();
    for _ in 0..ROUNDS {
        is_answered(process, &ada).await;
    }
    // The usual cost of the answers, hashes included.
    let usual = process.processor_time().saturating_sub(begin) / ROUNDS;

    let _crowd = Slowloris::visits(&process.site, count);
    let (begin, spent) = (Instant::now(), process.processor_time());
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let mut rounds = 0;
    while begin.elapsed() < SIEGE {
        pace.tick().await;
        is_answered(process, &ada).await;
        rounds += 1;
    }
    let spent = process.processor_time().saturating_sub(spent + usual * rounds);
    let share = spent.as_secs_f64() / begin.elapsed().as_secs_f64();
    assert!(share < SHARE, "{share:.2} of a core was spent");
}

async fn two_thousand_who_never_finish_keep_nobody_out(env: TestEnv) {
    let process = env.serves(&[]).ready().await;
    a_crowd_is_held_out(&process, 2000).await;
}

/// At the limit, waiting connections are closed, and the rest of the service keeps the files that it needs.
async fn more_connections_than_open_files_keep_nobody_out(env: TestEnv) {
    let process = env.serves_with_files(256, &[]).ready().await;
    a_crowd_is_held_out(&process, 400).await;
    let log = process.whole_log().await;
    assert_eq!(log.matches("the limit of connections is reached").count(), 1, "once, not for each: {log}");
    assert!(!log.contains("cannot be accepted"), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}

stories!(more_connections_than_open_files_keep_nobody_out);
stories_on!(Sqlite: two_thousand_who_never_finish_keep_nobody_out);
