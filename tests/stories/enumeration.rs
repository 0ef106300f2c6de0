//! User enumeration: every failed login gets the same answer.

use entity::user;
use reqwest::{Method, RequestBuilder};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use crate::harness::{Answer, Ask, PASSWORD, Site, TestApp, TestEnvBuilder, stories};

pub(crate) const WRONG: &str = "wrong guess 12";

/// Changes a column of an account in the database.
async fn alters(signet: &TestApp, username: &str, column: user::Column, value: Expr) {
    let update = user::Entity::update_many().col_expr(column, value).filter(user::Column::UsernameKey.eq(username));
    assert_eq!(update.exec(&signet.store().await).await.expect("it is SQL").rows_affected, 1);
}

/// An app with one account of every kind. All but one have a verified email address.
pub(crate) async fn with_all_kinds(builder: TestEnvBuilder) -> TestApp {
    // The limits are on, so that attempts are counted, and too high to be reached.
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

/// Names and passwords of failed logins that must be indistinguishable.
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

/// Every endpoint that takes a name and a password.
const ENDPOINTS: [&str; 5] = ["session", "grant", "auth by GET", "auth by POST", "delete"];

pub(crate) fn attempts(site: &Site, endpoint: &str, name: &str, password: &str) -> RequestBuilder {
    let json = json!({"username": name, "password": password});
    match endpoint {
        "session" => site.post("/v1/sessions").json(&json),
        "grant" => site.token(&[("grant_type", "password"), ("username", name), ("password", password)]),
        "auth by GET" => site.get("/users/auth").json(&json),
        "auth by POST" => site.post("/users/auth").json(&json),
        _ => site.request(Method::DELETE, "/users/delete").json(&json),
    }
}

/// The parts of an answer that an attacker can compare, without those that differ in every answer.
fn observable(answer: &Answer) -> String {
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        // The rest of a network's quota differs with every request, for every account.
        .filter(|(name, _)| !["x-request-id", "date", "ratelimit"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    format!("{}\n{}\n{}", answer.status, headers.join("\n"), answer.text())
}

async fn every_failed_log_in_gets_the_same_answer(builder: TestEnvBuilder) {
    let signet = with_all_kinds(builder).await;
    for endpoint in ENDPOINTS {
        let mut first = None;
        for (name, password) in ALIKE {
            let seen = observable(&attempts(&signet.site, endpoint, name, password).answer().await.blames_the_sender());
            let first = first.get_or_insert_with(|| seen.clone());
            assert_eq!(*first, seen, "{endpoint}: {name}");
        }
    }
    for endpoint in ["session", "grant", "auth by GET"] {
        attempts(&signet.site, endpoint, "ada@example.org", PASSWORD).answer().await.is(200);
    }
}

/// Too many failures get the same refusals, whether the account exists or not.
async fn every_name_is_refused_after_as_many_failures(mut signet: TestApp) {
    let settings =
        [("rate_limits.enabled", "true"), ("rate_limits.account", "3/3m"), ("rate_limits.token", "1000000/1s")];
    signet.registers("ada").await;
    alters(&signet, "ada", user::Column::Email, Expr::value("ada@example.org")).await;
    alters(&signet, "ada", user::Column::EmailKey, Expr::value("ada@example.org")).await;
    alters(&signet, "ada", user::Column::EmailVerified, Expr::value(true)).await;
    signet.restart_with(&settings).await;
    for endpoint in ENDPOINTS {
        let mut first = None;
        for name in ["ada@example.org", "nobody@example.org", "eve@example.com"] {
            let mut all = Vec::new();
            for _ in 0..5 {
                all.push(observable(&attempts(&signet.site, endpoint, name, WRONG).answer().await.blames_the_sender()));
            }
            assert!(all[4].starts_with("429"), "{all:?}");
            let first = first.get_or_insert_with(|| all.clone());
            assert_eq!(*first, all, "{endpoint}: {name}");
        }
        signet.clock.advance(chrono::TimeDelta::days(60));
    }
}

/// A registration with an email address that another account has verified is answered like any other.
async fn a_registration_does_not_tell_whose_an_address_is(builder: TestEnvBuilder) {
    let signet = with_all_kinds(builder).await;
    let register = async |name: &str, email: &str| {
        let body = json!({"username": name, "password": PASSWORD, "email": email});
        let answer = signet.site.post("/v1/users").json(&body).answer().await.is(201);
        let json = answer.json();
        let unlike = [json["id"].as_str(), json["created_at"].as_str(), Some(name), Some(email)];
        unlike.into_iter().flatten().fold(observable(&answer), |seen, text| seen.replace(text, "~"))
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
