//! Finding out by the clock who has an account.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    enumeration::{WRONG, attempts, with_all_kinds},
    guessing::verifies,
    harness::{
        Ask, PASSWORD, TestApp, TestEnvBuilder,
        inbox::Inbox,
        statistics::{DIFFER, mann_whitney},
        stories, stories_on,
    },
    recovery::{ADA, asks, disable},
};

/// The kinds take turns, so that other load on the machine affects all of them alike.
async fn every_failed_log_in_takes_the_same_time(builder: TestEnvBuilder) {
    const SAMPLES: usize = 150;
    const KINDS: [(&str, &str); 8] = [
        ("nobody@example.org", PASSWORD),
        ("ada@example.org", WRONG),
        ("disabled@example.org", PASSWORD),
        ("passwordless@example.org", PASSWORD),
        ("unverified@example.org", PASSWORD),
        ("cheap@example.org", WRONG), // whose hash is older than the parameters, which were raised,
        ("costly@example.org", WRONG), // or lowered
        ("", WRONG),                  // the control: refused without a hash
    ];
    // Tens of milliseconds a hash.
    let mut signet = with_all_kinds(builder.set("password.memory_kib", "24576")).await;
    for (name, memory) in [("cheap", "64"), ("costly", "49152")] {
        signet.restart_with(&[("password.memory_kib", memory)]).await;
        let person = signet.registers(name).await;
        verifies(&signet, &person, &format!("{name}@example.org")).await;
    }
    signet.restart_with(&[("password.memory_kib", "24576")]).await;
    let mut times = vec![Vec::with_capacity(SAMPLES); KINDS.len()];
    // The first round warms connections and caches up, and is not counted.
    for round in 0..=SAMPLES {
        for turn in 0..KINDS.len() {
            let kind = (turn * 5 + round) % KINDS.len();
            let (name, password) = KINDS[kind];
            let request = attempts(&signet.site, "session", name, password);
            let begin = Instant::now();
            request.answer().await.blames_the_sender();
            if round > 0 {
                times[kind].push(begin.elapsed());
            }
        }
    }
    let median = |sample: &Vec<Duration>| {
        let mut sorted = sample.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let medians: Vec<_> = KINDS.iter().zip(&times).map(|((name, _), sample)| (name, median(sample))).collect();
    let control = times.pop().expect("the last");
    for (kind, sample) in times.iter().enumerate() {
        let differs = mann_whitney(sample, &times[0]);
        assert!(differs.abs() < DIFFER, "{} differs from nobody by {differs:.1}: {medians:?}", KINDS[kind].0);
        let seen = mann_whitney(sample, &control);
        assert!(seen > DIFFER, "the control is told apart by {seen:.1} only: a hash would not be seen: {medians:?}");
    }
}

/// A full hash queue refuses logins of existing and missing accounts equally often.
async fn a_full_queue_refuses_all_alike(builder: TestEnvBuilder) {
    const ROUNDS: usize = 12;
    const AT_ONCE: usize = 12;
    let builder =
        builder.set("password.memory_kib", "16384").set("password.workers", "1").set("password.max_wait", "20ms");
    let signet = with_all_kinds(builder).await;
    let mut refused = [0_u32; 2];
    for round in 0..ROUNDS {
        let attempt = |n: usize| {
            let known = (n + round) % 2;
            let request = attempts(&signet.site, "session", ["nobody@example.org", "ada@example.org"][known], WRONG);
            tokio::spawn(async move { (known, request.answer().await) })
        };
        let all: Vec<_> = (0..2 * AT_ONCE).map(attempt).collect();
        for one in all {
            let (known, answer) = one.await.expect("it was answered");
            match answer.status {
                401 => {}
                503 => refused[known] += 1,
                _ => panic!("{answer:?}"),
            }
        }
    }
    let total = f64::from(u32::try_from(ROUNDS * AT_ONCE).expect("few"));
    let [nobody, ada] = refused.map(|count| f64::from(count) / total);
    let all = f64::midpoint(nobody, ada);
    assert!(all > 0.1 && all < 0.99, "the queue does not overflow, or nothing else: {refused:?} of {total}");
    // Two shares of one population (the pooled two-proportion test).
    let differs = (nobody - ada) / (all * (1.0 - all) * 2.0 / total).sqrt();
    assert!(differs.abs() < DIFFER, "{refused:?} of {total} each: they differ by {differs:.1}");
}

async fn no_time_tells_whether_there_is_an_account(signet: TestApp) {
    let mut inbox = Inbox::of(&signet).await;
    inbox.registers_verified(&signet, "ada", ADA).await;
    inbox.registers_verified(&signet, "eve", "eve@example.org").await;
    disable(&signet, "eve").await;
    inbox.registers(&signet, "bob", "bob@example.org").await;
    inbox.delivers().await;
    let names = ["ada", "eve", "bob", "nobody"];
    let mut times = [const { Vec::new() }; 4];
    for round in 0..300 {
        // Each name follows each other name equally often, so that after-effects are shared.
        for turn in 0..names.len() {
            let who = (turn * [1, 3][round % 2] + round) % names.len();
            let begin = Instant::now();
            asks(&signet.site, &json!({"username": names[who]})).await.is(202);
            times[who].push(begin.elapsed());
        }
    }
    for (name, sample) in names.iter().zip(&times) {
        let off = mann_whitney(sample, &times[3]);
        assert!(off.abs() < DIFFER, "{name} is {off} deviations from nobody");
    }
}

stories![no_time_tells_whether_there_is_an_account];

stories_on![Postgres: every_failed_log_in_takes_the_same_time, a_full_queue_refuses_all_alike];
