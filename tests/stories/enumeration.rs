//! Finding out who has an account: whatever is wrong with a log-in, one answer, in one time.

use std::time::{Duration, Instant};

use entity::user;
use reqwest::{Method, RequestBuilder};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use crate::harness::{Answer, Ask, PASSWORD, Site, TestApp, TestEnvBuilder, stories, stories_on};

const WRONG: &str = "wrong guess 12";
/// Beyond this many standard deviations two samples of times differ: by chance once in a million comparisons.
const DIFFER: f64 = 5.0;

/// What is done to an account through the back door.
async fn alters(signet: &TestApp, username: &str, column: user::Column, value: Expr) {
    let update = user::Entity::update_many().col_expr(column, value).filter(user::Column::UsernameKey.eq(username));
    assert_eq!(update.exec(&signet.store().await).await.expect("it is SQL").rows_affected, 1);
}

/// A house with one account of every kind. Each has a verified address but the one that has not.
async fn with_all_kinds(builder: TestEnvBuilder) -> TestApp {
    // So many attempts that none is refused for their number, and each is counted.
    let builder = builder.set("rate_limits.enabled", "true").set("rate_limits.account", "1000000/1s");
    let signet = builder.set("rate_limits.token", "1000000/1s").open().await;
    for name in ["ada", "disabled", "passwordless", "unverified"] {
        signet.registers(name).await;
        let address = format!("{name}@example.org");
        alters(&signet, name, user::Column::Email, Expr::value(&*address)).await;
        alters(&signet, name, user::Column::EmailKey, Expr::value(&*address)).await;
        alters(&signet, name, user::Column::EmailVerified, Expr::value(name != "unverified")).await;
    }
    alters(&signet, "disabled", user::Column::DisabledAt, Expr::current_timestamp()).await;
    alters(&signet, "passwordless", user::Column::PasswordHash, Expr::value(None::<String>)).await;
    signet
}

/// Log-ins that must not be told apart: what is typed as name and password.
const ALIKE: [(&str, &str); 11] = [
    ("nobody", PASSWORD),
    ("nobody@example.org", PASSWORD),
    ("not a name", PASSWORD),
    ("ada", WRONG),
    ("ada@example.org", WRONG),
    ("disabled", PASSWORD),
    ("disabled", WRONG),
    ("disabled@example.org", PASSWORD),
    ("passwordless", PASSWORD),
    ("passwordless@example.org", PASSWORD),
    ("unverified@example.org", PASSWORD),
];

/// Every door at which a name and a password are tried.
const DOORS: [&str; 5] = ["session", "grant", "auth by GET", "auth by POST", "delete"];

fn knocks(site: &Site, door: &str, name: &str, password: &str) -> RequestBuilder {
    let json = json!({"username": name, "password": password});
    match door {
        "session" => site.post("/v1/sessions").json(&json),
        "grant" => site.token(&[("grant_type", "password"), ("username", name), ("password", password)]),
        "auth by GET" => site.get("/users/auth").json(&json),
        "auth by POST" => site.post("/users/auth").json(&json),
        _ => site.request(Method::DELETE, "/users/delete").json(&json),
    }
}

/// All of an answer that a stranger can compare: what differs with every answer is left out.
fn told(answer: &Answer) -> String {
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        // How much of a network's quota is left differs with every request, whoever it is about.
        .filter(|(name, _)| !["x-request-id", "date", "ratelimit"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    format!("{}\n{}\n{}", answer.status, headers.join("\n"), answer.text())
}

async fn every_failed_log_in_gets_the_same_answer(builder: TestEnvBuilder) {
    let signet = with_all_kinds(builder).await;
    for door in DOORS {
        let mut first = None;
        for (name, password) in ALIKE {
            let told = told(&knocks(&signet.site, door, name, password).answer().await.blames_the_sender());
            let first = first.get_or_insert_with(|| told.clone());
            assert_eq!(*first, told, "{door}: {name}");
        }
    }
    for door in ["session", "grant", "auth by GET"] {
        knocks(&signet.site, door, "ada@example.org", PASSWORD).answer().await.is(200);
    }
}

/// And the same too once there were too many of them.
async fn every_name_is_refused_after_as_many_failures(mut signet: TestApp) {
    let settings =
        [("rate_limits.enabled", "true"), ("rate_limits.account", "3/3m"), ("rate_limits.token", "1000000/1s")];
    signet.registers("ada").await;
    alters(&signet, "ada", user::Column::Email, Expr::value("ada@example.org")).await;
    alters(&signet, "ada", user::Column::EmailKey, Expr::value("ada@example.org")).await;
    alters(&signet, "ada", user::Column::EmailVerified, Expr::value(true)).await;
    signet.restart_with(&settings).await;
    for door in DOORS {
        let mut first = None;
        for name in ["ada@example.org", "nobody@example.org", "eve@example.com"] {
            let mut all = Vec::new();
            for _ in 0..5 {
                all.push(told(&knocks(&signet.site, door, name, WRONG).answer().await.blames_the_sender()));
            }
            assert!(all[4].starts_with("429"), "{all:?}");
            let first = first.get_or_insert_with(|| all.clone());
            assert_eq!(*first, all, "{door}: {name}");
        }
        signet.clock.advance(chrono::TimeDelta::days(60));
    }
}

/// A registration with an address that somebody else has verified is like any other.
async fn a_registration_does_not_tell_whose_an_address_is(builder: TestEnvBuilder) {
    let signet = with_all_kinds(builder).await;
    let register = async |name: &str, email: &str| {
        let body = json!({"username": name, "password": PASSWORD, "email": email});
        let answer = signet.site.post("/v1/users").json(&body).answer().await.is(201);
        let json = answer.json();
        let unlike = [json["id"].as_str(), json["created_at"].as_str(), Some(name), Some(email)];
        unlike.into_iter().flatten().fold(told(&answer), |told, text| told.replace(text, "~"))
    };
    let taken = register("eve1", "ada@example.org").await;
    assert_eq!(taken, register("eve2", "eve@example.org").await);
    assert_eq!(taken, register("eve3", "adb@example.org").await);
}

/// By how many standard deviations the ranks of one sample differ from chance (Mann and Whitney, 1947).
fn z(one: &[Duration], other: &[Duration]) -> f64 {
    let wins: f64 = one
        .iter()
        .flat_map(|a| {
            other.iter().map(move |b| match a.cmp(b) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            })
        })
        .sum();
    let count = |sample: &[Duration]| f64::from(u32::try_from(sample.len()).expect("some hundreds"));
    let (n, m) = (count(one), count(other));
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[test]
fn the_statistic_sees_what_differs_and_nothing_else() {
    let sample = |offset: u64| (0..200).map(|n| Duration::from_micros(n * 7919 % 1009 + offset)).collect::<Vec<_>>();
    assert!(z(&sample(0), &sample(0)).abs() < 0.001);
    assert!(z(&sample(400), &sample(0)) > DIFFER && z(&sample(0), &sample(400)) < -DIFFER);
}

/// Times are taken in turns, so that whatever else the machine does meets all of them alike.
async fn every_failed_log_in_takes_the_same_time(builder: TestEnvBuilder) {
    const SAMPLES: usize = 150;
    const KINDS: [(&str, &str); 6] = [
        ("nobody@example.org", PASSWORD),
        ("ada@example.org", WRONG),
        ("disabled@example.org", PASSWORD),
        ("passwordless@example.org", PASSWORD),
        ("unverified@example.org", PASSWORD),
        ("frugal", WRONG), // the control
    ];
    // Tens of milliseconds a hash, and for the control next to none: everything else about it is the same.
    let mut signet = with_all_kinds(builder.set("password.memory_kib", "24576")).await;
    signet.restart_with(&[("password.memory_kib", "64")]).await;
    signet.registers("frugal").await;
    signet.restart_with(&[("password.memory_kib", "24576")]).await;
    let mut times = vec![Vec::with_capacity(SAMPLES); KINDS.len()];
    // The first round warms connections and caches up, and is not counted.
    for round in 0..=SAMPLES {
        for turn in 0..KINDS.len() {
            let kind = (turn * 5 + round) % KINDS.len();
            let (name, password) = KINDS[kind];
            let request = knocks(&signet.site, "session", name, password);
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
        let differs = z(sample, &times[0]);
        assert!(differs.abs() < DIFFER, "{} differs from nobody by {differs:.1}: {medians:?}", KINDS[kind].0);
        let seen = z(sample, &control);
        assert!(seen > DIFFER, "the control is told apart by {seen:.1} only: a hash would not be seen: {medians:?}");
    }
}

/// Where the queue is full, who is refused does not depend on who asks.
async fn a_full_queue_refuses_all_alike(builder: TestEnvBuilder) {
    const ROUNDS: usize = 12;
    const AT_ONCE: usize = 12;
    let builder =
        builder.set("password.memory_kib", "16384").set("password.workers", "1").set("password.max_wait", "20ms");
    let signet = with_all_kinds(builder).await;
    let mut refused = [0_u32; 2];
    for round in 0..ROUNDS {
        let knock = |n: usize| {
            let known = (n + round) % 2;
            let request = knocks(&signet.site, "session", ["nobody@example.org", "ada@example.org"][known], WRONG);
            tokio::spawn(async move { (known, request.answer().await) })
        };
        let all: Vec<_> = (0..2 * AT_ONCE).map(knock).collect();
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

stories![
    every_failed_log_in_gets_the_same_answer,
    every_name_is_refused_after_as_many_failures,
    a_registration_does_not_tell_whose_an_address_is,
];

stories_on![Postgres: every_failed_log_in_takes_the_same_time, a_full_queue_refuses_all_alike];
