//! Password guessing: few guesses are checked, at any endpoint, and the owner can still log in.

use entity::{throttle, user};
use reqwest::{Method, RequestBuilder};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use crate::harness::{
    Answer, Ask, PASSWORD, Person, Site, TestApp, TestEnvBuilder, days, seconds, stories, stories_on,
};

/// How many failures of one network are free.
pub(crate) const FREE: usize = 5;
/// How many networks use up what is free for all of them together: the limit is ten times as many failures.
const NETWORKS: usize = 10;
/// Seconds until one more is: the limit is five in five minutes.
pub(crate) const STEP: i64 = 60;
/// Nobody's password.
pub(crate) const WRONG: &str = "wrong guess 12";

/// An app with rate limits.
pub(crate) async fn counting(builder: TestEnvBuilder) -> TestApp {
    counting_place(builder).env().await.open().await
}

pub(crate) fn counting_place(builder: TestEnvBuilder) -> TestEnvBuilder {
    builder.set("rate_limits.enabled", "true").set("rate_limits.account", "5/5m").set("rate_limits.token", "1000000/1s")
}

/// A login through the JSON API.
pub(crate) fn log_in(site: &Site, name: &str, password: &str) -> RequestBuilder {
    site.post("/v1/sessions").json(&json!({"username": name, "password": password}))
}

pub(crate) async fn tries(site: &Site, name: &str, password: &str) -> Answer {
    log_in(site, name, password).answer().await
}

/// From an address of their own, as the proxy says.
pub(crate) async fn a_stranger_tries(site: &Site, name: &str, password: &str) -> Answer {
    log_in(site, name, password).header("X-Forwarded-For", "203.0.113.9").answer().await
}

/// From the address of one of many networks, as the proxy says.
async fn tries_from(site: &Site, network: usize, name: &str, password: &str) -> Answer {
    let address = format!("198.18.{}.{}", network / 256, network % 256);
    log_in(site, name, password).header("X-Forwarded-For", address).answer().await
}

/// Strangers in so many networks guess that attempts from anywhere are refused.
pub(crate) async fn strangers_hammer(site: &Site, name: &str) {
    for network in 0..NETWORKS {
        for _ in 0..FREE {
            let answer = tries_from(site, network, name, WRONG).await;
            assert!([401, 429].contains(&answer.status), "{answer:?}");
        }
    }
}

/// An app behind a trusted proxy, so that requests can have any client address.
pub(crate) async fn behind_a_proxy(builder: TestEnvBuilder) -> TestApp {
    counting(builder.set("trusted_proxies", "127.0.0.1/32")).await
}

/// Gives the account a verified address, as the owner's click on a link would.
pub(crate) async fn verifies(signet: &TestApp, person: &Person, email: &str) {
    let update = user::Entity::update_many()
        .col_expr(user::Column::Email, Expr::value(email))
        .col_expr(user::Column::EmailKey, Expr::value(email))
        .col_expr(user::Column::EmailVerified, Expr::value(true))
        .filter(user::Column::UsernameKey.eq(&person.username));
    assert_eq!(update.exec(&signet.store().await).await.expect("it is SQL").rows_affected, 1);
}

/// Asserts a 429 with this `Retry-After` in seconds.
pub(crate) fn told_to_wait(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 429, "{answer:?}");
    answer.header("retry-after").parse().unwrap_or_else(|_| panic!("no Retry-After: {answer:?}"))
}

async fn too_many_guesses_at_a_name_are_not_looked_at(builder: TestEnvBuilder) {
    let signet = counting(builder).await;
    signet.registers("ada").await;
    for name in ["ada", "nobody", "nobody@example.org"] {
        for _ in 0..FREE {
            tries(&signet.site, name, WRONG).await.problem(401, "invalid_credentials");
        }
        for password in [WRONG, PASSWORD] {
            let answer = tries(&signet.site, name, password).await.problem(429, "too_many_requests");
            assert_eq!(told_to_wait(&answer), STEP, "{name}: {answer:?}");
        }
    }
    signet.clock.advance(seconds(STEP - 1));
    assert_eq!(told_to_wait(&tries(&signet.site, "ada", PASSWORD).await), 1);
    signet.clock.advance(seconds(1));
    tries(&signet.site, "ada", PASSWORD).await.is(200);
}

/// All spellings and routes share one count.
async fn every_spelling_and_every_route_count_together(builder: TestEnvBuilder) {
    let signet = counting(builder).await;
    signet.registers("ada").await;
    let body = |name: &str| json!({"username": name, "password": WRONG});
    let site = &signet.site;
    tries(site, "ADA", WRONG).await.is(401);
    tries(site, "ａｄａ", WRONG).await.is(401);
    site.token(&[("grant_type", "password"), ("username", "Ada"), ("password", WRONG)]).answer().await.is(400);
    site.post("/users/auth").json(&body("aDa")).answer().await.is(401);
    site.request(Method::DELETE, "/users/delete").json(&body("adA")).answer().await.is(401);

    told_to_wait(&tries(site, "ada", PASSWORD).await.problem(429, "too_many_requests"));
    let grant = [("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)];
    told_to_wait(&site.token(&grant).answer().await.oauth_error(429, "temporarily_unavailable"));
    for (method, path) in
        [(Method::GET, "/users/auth"), (Method::POST, "/users/auth"), (Method::DELETE, "/users/delete")]
    {
        let answer = site.request(method, path).json(&json!({"username": "ada", "password": PASSWORD})).answer().await;
        told_to_wait(&answer);
        assert_eq!(answer.json()["success"], false, "{answer:?}");
    }
}

/// One stranger is refused, however long they go on; nobody else is, wherever they come from.
async fn a_stranger_shuts_nobody_else_out(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let ada = signet.registers("ada").await;
    verifies(&signet, &ada, "ada@example.org").await;
    let mut refused = 0;
    for second in 0..200 {
        let name = ["ada", "ada@example.org"][second % 2];
        refused += i32::from(a_stranger_tries(&signet.site, name, WRONG).await.status == 429);
        if second % 5 == 0 {
            tries_from(&signet.site, second, name, PASSWORD).await.is(200);
        }
        signet.clock.advance(seconds(1));
    }
    assert!(refused > 150, "{refused}");
    // Not even a device that the owner was never seen on, after a quiet day of the owner and none of the stranger.
    signet.clock.advance(days(1));
    for _ in 0..4 * FREE {
        a_stranger_tries(&signet.site, "ada", WRONG).await.blames_the_sender();
    }
    tries_from(&signet.site, 999, "ada", PASSWORD).await.is(200);
}

/// Attempts from many networks are an attack on the account: then all networks wait, for a name without an account too.
async fn many_networks_together_are_refused(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    signet.registers("ada").await;
    let mut seen = Vec::new();
    for name in ["ada", "nobody", "nobody@example.org"] {
        strangers_hammer(&signet.site, name).await;
        let answer = tries_from(&signet.site, 99, name, PASSWORD).await.problem(429, "too_many_requests");
        seen.push((told_to_wait(&answer), answer.text()));
    }
    assert!(seen.iter().all(|one| *one == seen[0] && one.0 <= STEP), "{seen:?}");
    signet.clock.advance(seconds(STEP));
    tries_from(&signet.site, 98, "ada", PASSWORD).await.is(200);
}

/// The owner's network has attempts of its own, and nobody can see which network that is.
async fn no_answer_tells_where_the_owner_is(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let home = 77;
    signet.registers("ada").await;
    tries_from(&signet.site, home, "ada", PASSWORD).await.is(200);
    strangers_hammer(&signet.site, "ada").await;
    for _ in 0..2 * FREE {
        let [neighbour, other] = [
            tries_from(&signet.site, home, "ada", WRONG).await,
            tries_from(&signet.site, home + 1, "ada", WRONG).await,
        ];
        assert_eq!((told_to_wait(&neighbour), neighbour.text()), (told_to_wait(&other), other.text()));
    }
    told_to_wait(&tries_from(&signet.site, home + 2, "ada", PASSWORD).await);
}

/// Replicas share the counts of a network, and of all.
async fn replicas_count_one_network_together(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let replica = signet.replica().await;
    signet.registers("ada").await;
    for n in 0..FREE {
        a_stranger_tries([&signet.site, &replica.site][n % 2], "ada", WRONG).await.is(401);
    }
    for site in [&signet.site, &replica.site] {
        told_to_wait(&a_stranger_tries(site, "ada", PASSWORD).await);
        tries_from(site, 1, "ada", PASSWORD).await.is(200);
    }
    replica.stop().await;
}

/// What was counted while the clock was ahead locks nobody once it is right again.
async fn a_clock_that_is_set_back_locks_nobody(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    signet.registers("ada").await;
    signet.clock.advance(days(40));
    strangers_hammer(&signet.site, "ada").await;
    for _ in 0..2 * FREE {
        a_stranger_tries(&signet.site, "ada", WRONG).await.blames_the_sender();
    }
    told_to_wait(&a_stranger_tries(&signet.site, "ada", PASSWORD).await);
    signet.clock.is_set_back(days(40));
    a_stranger_tries(&signet.site, "ada", PASSWORD).await.is(200);
    tries_from(&signet.site, 1, "ada", PASSWORD).await.is(200);
}

/// Email address and name share one count, and no answer reveals it.
async fn an_account_is_guessed_at_once_however_it_is_called(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let ada = signet.registers("ada").await;
    verifies(&signet, &ada, "ada@example.org").await;
    strangers_hammer(&signet.site, "ada").await;
    // The address has its own attempts, but the account has none: the answer to the right password is that to a wrong one.
    let right = a_stranger_tries(&signet.site, "ada@example.org", PASSWORD).await.problem(401, "invalid_credentials");
    let wrong = a_stranger_tries(&signet.site, "ada@example.org", WRONG).await.problem(401, "invalid_credentials");
    let nobody = a_stranger_tries(&signet.site, "eve@example.org", WRONG).await.problem(401, "invalid_credentials");
    assert!(right.text() == wrong.text() && wrong.text() == nobody.text());
    signet.clock.advance(seconds(STEP));
    a_stranger_tries(&signet.site, "ada@example.org", PASSWORD).await.is(200);
    a_stranger_tries(&signet.site, "ada", PASSWORD).await.is(200);
}

async fn waits_grow_and_a_patient_owner_gets_in(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    signet.registers("ada").await;
    for _ in 0..FREE {
        a_stranger_tries(&signet.site, "ada", WRONG).await.is(401);
    }
    for wait in [STEP, 2 * STEP, 4 * STEP, 8 * STEP] {
        signet.clock.advance(seconds(wait - 1));
        let early = a_stranger_tries(&signet.site, "ada", PASSWORD).await;
        assert!([401, 429].contains(&early.status), "{early:?}");
        // Attempts during the wait neither count nor extend it, so the owner could log in now.
        signet.clock.advance(seconds(1 + STEP));
        a_stranger_tries(&signet.site, "ada", WRONG).await.is(401);
    }
    signet.clock.advance(seconds(16 * STEP));
    a_stranger_tries(&signet.site, "ada", PASSWORD).await.is(200);
}

/// A hundred failures in a row, by whatever patience, and the account rests for thirty days (NIST SP 800-63B-4 §3.2.2).
async fn a_hundred_failures_are_the_end_for_thirty_days(builder: TestEnvBuilder) {
    let signet = counting(builder.set("password.workers", "1")).await;
    let ada = signet.registers("ada").await;
    let store = signet.store().await;
    let failures = async || {
        let rows = throttle::Entity::find().filter(throttle::Column::Counting.eq(4)).all(&store).await.expect("rows");
        rows.iter().map(|row| row.failures).max().unwrap_or_default()
    };
    for n in 1..=100 {
        tries(&signet.site, "ada", WRONG).await.is(401);
        assert_eq!(failures().await, n);
        if n < 100 {
            signet.clock.advance(days(1));
        }
    }
    signet.clock.advance(days(29));
    tries(&signet.site, "ada", WRONG).await.is(401);
    assert_eq!(failures().await, 100, "it was not looked at");
    signet.clock.advance(days(1));
    ada.logs_in().await;
}

/// A right password resets the account's failures and returns the attempt.
async fn the_owner_never_waits_for_right_passwords(builder: TestEnvBuilder) {
    let signet = behind_a_proxy(builder).await;
    let ada = signet.registers("ada").await;
    for _ in 0..3 * FREE {
        ada.logs_in().await;
    }
    for _ in 0..FREE - 1 {
        ada.tries(WRONG).await.refused("invalid_grant");
    }
    for _ in 0..2 * FREE {
        ada.logs_in().await;
    }
    ada.tries(WRONG).await.refused("invalid_grant");
    told_to_wait(&tries(&signet.site, "ada", PASSWORD).await);
    a_stranger_tries(&signet.site, "ada", PASSWORD).await.is(200);
}

stories![
    too_many_guesses_at_a_name_are_not_looked_at,
    a_stranger_shuts_nobody_else_out,
    many_networks_together_are_refused,
    no_answer_tells_where_the_owner_is,
    a_clock_that_is_set_back_locks_nobody,
    every_spelling_and_every_route_count_together,
    an_account_is_guessed_at_once_however_it_is_called,
    waits_grow_and_a_patient_owner_gets_in,
    a_hundred_failures_are_the_end_for_thirty_days,
    the_owner_never_waits_for_right_passwords,
];

stories_on![Postgres:
    replicas_count_one_network_together,
];
