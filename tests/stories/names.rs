//! Usernames that nobody may choose: ids, reserved names, and what looks like another account's name.

use entity::user;
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use crate::{
    harness::{Answer, Ask, PASSWORD, TestApp, TestEnvBuilder, register, stories, stories_on},
    operator::creates,
};

async fn availability(signet: &TestApp, name: &str) -> Answer {
    signet.site.get_with("/v1/users/availability", &[("username", name)]).answer().await
}

async fn is_free(signet: &TestApp, name: &str) -> bool {
    availability(signet, name).await.is(200).json()["available"] == true
}

/// An id is an account's alone, in every way to write it, so that no account hides behind another one's id.
async fn no_name_is_an_id(signet: TestApp) {
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let tokens = ada.logs_in().await;
    let id = bob.looks(&bob.logs_in().await).await.string("id");
    for name in [id.clone(), id.to_uppercase(), id.replace('-', ""), id.replace('-', "_")] {
        register(&signet.site, &name, PASSWORD).await.problem(422, "invalid_fields").blames("username");
        availability(&signet, &name).await.blames("username");
        let body = json!({"username": name});
        ada.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await.blames("username");
        signet.runs_on(PASSWORD, &["user", "create", &name]).await.with(2, &["UUID"]);
    }
    signet.runs(&["user", "show", &id]).await.well();
}

/// Accounts that took such a name before this was refused log in, and the operator reaches each by its id.
async fn an_account_whose_name_is_another_ones_id_is_within_reach(signet: TestApp) {
    let (ada, bob) = (signet.registers("ada").await, signet.registers("bob").await);
    let mut ids = Vec::new();
    for person in [&ada, &bob] {
        ids.push(person.looks(&person.logs_in().await).await.string("id"));
    }
    let store = signet.store().await;
    for (name, other) in [("ada", &ids[1]), ("bob", &ids[0])] {
        let renamed = user::Entity::update_many()
            .col_expr(user::Column::Username, Expr::value(other.as_str()))
            .col_expr(user::Column::UsernameKey, Expr::value(other.as_str()))
            .filter(user::Column::UsernameKey.eq(name));
        renamed.exec(&store).await.expect("it is SQL");
    }
    let login = json!({"username": ids[1], "password": PASSWORD});
    signet.site.post("/v1/sessions").json(&login).answer().await.is(200);
    signet.runs(&["user", "show", &ids[0]]).await.with(1, &["--id"]);
    for id in &ids {
        let shown = signet.runs(&["user", "show", "--id", id]).await.well().json();
        assert_eq!(shown["id"], *id.as_str());
    }
    let adas = ids[0].as_str();
    let new = "a basket of 12 quinces";
    for command in ["disable", "enable", "revoke-sessions", "unlock"] {
        signet.runs(&["user", command, "--id", adas]).await.well();
    }
    signet.runs_on(new, &["user", "set-password", "--id", adas]).await.well();
    signet.runs(&["user", "grant-role", "--id", adas, "editor"]).await.well();
    assert_eq!(signet.runs(&["user", "show", "--id", adas]).await.well().json()["roles"], json!(["editor"]));
    signet.runs(&["user", "revoke-role", "--id", adas, "editor"]).await.well();
    signet.runs(&["user", "delete", "--id", adas]).await.well();
    signet.runs(&["user", "show", "--id", adas]).await.with(1, &["no such account"]);
    // One account, named in one way.
    for wrong in [&["user", "show"][..], &["user", "show", "ada", "--id", adas], &["user", "grant-role", "ada"]] {
        signet.runs(wrong).await.with(2, &[]);
    }
}

/// A name that is drawn as another account's is taken, in whatever script.
async fn a_look_alike_of_a_name_is_taken(signet: TestApp) {
    signet.registers("paypal").await;
    let eve = signet.registers("eve").await;
    let tokens = eve.logs_in().await;
    for name in ["раураӏ", "PaypaI", "PAYPAI", "paypa1"] {
        assert!(!is_free(&signet, name).await, "{name}");
        register(&signet.site, name, PASSWORD).await.problem(409, "username_taken");
        let body = json!({"username": name});
        is_refused_as_taken(&eve.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await);
        signet.runs_on(PASSWORD, &["user", "create", name]).await.with(1, &["taken"]);
    }
    assert!(is_free(&signet, "paypai").await);
    // Its owner may write it otherwise.
    let body = json!({"username": "Eve"});
    eve.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await.is(200);
}

#[track_caller]
fn is_refused_as_taken(answer: &Answer) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("username_taken")), "{answer:?}");
}

/// Names of authority are the operator's to give.
async fn a_reserved_name_is_the_operators_to_give(signet: TestApp) {
    let eve = signet.registers("eve").await;
    let tokens = eve.logs_in().await;
    for name in ["admin", "Support", "SIGNET", "supp0rt", "postmaster", "null"] {
        assert!(!is_free(&signet, name).await, "{name}");
        register(&signet.site, name, PASSWORD).await.problem(409, "username_taken");
        let original = json!({"username": name, "password": PASSWORD});
        let answer = signet.site.post("/users/create").json(&original).answer().await.is(409);
        assert_eq!(answer.json()["success"], false);
        let body = json!({"username": name});
        is_refused_as_taken(&eve.sends(Method::PATCH, "/v1/users/me", &tokens, Some(body)).await);
    }
    let made = creates(&signet, &["admin"]).await;
    assert_eq!(made["username"], "admin");
}

async fn the_operator_says_which_names_are_reserved(builder: TestEnvBuilder) {
    let signet = builder.set("reserved_usernames", "billing, acme").open().await;
    for name in ["billing", "ACME"] {
        register(&signet.site, name, PASSWORD).await.problem(409, "username_taken");
    }
    signet.registers("support").await;
}

stories![
    no_name_is_an_id,
    an_account_whose_name_is_another_ones_id_is_within_reach,
    a_look_alike_of_a_name_is_taken,
    a_reserved_name_is_the_operators_to_give,
];
stories_on![Sqlite: the_operator_says_which_names_are_reserved];
