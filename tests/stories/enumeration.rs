//! Finding out who has an account: whatever is wrong with a log-in, one answer, in one time.

use entity::user;
use reqwest::{Method, RequestBuilder};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use crate::harness::{Answer, Ask, PASSWORD, Site, TestApp, TestEnvBuilder, stories};

pub(crate) const WRONG: &str = "wrong guess 12";

/// What is done to an account through the back door.
async fn alters(signet: &TestApp, username: &str, column: user::Column, value: Expr) {
    let update = user::Entity::update_many().col_expr(column, value).filter(user::Column::UsernameKey.eq(username));
    assert_eq!(update.exec(&signet.store().await).await.expect("it is SQL").rows_affected, 1);
}

/// A house with one account of every kind. Each has a verified address but the one that has not.
pub(crate) async fn with_all_kinds(builder: TestEnvBuilder) -> TestApp {
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

pub(crate) fn knocks(site: &Site, door: &str, name: &str, password: &str) -> RequestBuilder {
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

stories![
    every_failed_log_in_gets_the_same_answer,
    every_name_is_refused_after_as_many_failures,
    a_registration_does_not_tell_whose_an_address_is,
];
