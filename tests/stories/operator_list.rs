//! `signet user show` and `signet user list`.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use entity::user::{Column, Entity, Model};
use sea_orm::{EntityTrait, IntoActiveModel, QueryOrder};
use serde_json::json;
use uuid::Uuid;

use crate::{
    harness::{TestApp, TestEnv, stories, stories_on, test_env::list},
    operator::creates,
};

/// Makes one account as an operator does, and so many others like it, but without a password.
async fn is_peopled(env: &TestEnv, others: usize) {
    creates(env, &["ada"]).await;
    let store = env.store().await;
    let row = Entity::find().one(&store).await.expect("the database answers").expect("ada");
    let named = |n: usize| {
        let name = format!("person{n}");
        let id = Uuid::new_v4();
        Model {
            id,
            username_key: name.clone(),
            username: name,
            username_skeleton: None,
            password_hash: None,
            ..row.clone()
        }
        .into_active_model()
    };
    let rows: Vec<_> = (0..others).map(named).collect();
    for some in rows.chunks(500) {
        Entity::insert_many(some.to_vec()).exec(&store).await.expect("they are new");
    }
}

async fn an_account_is_shown_without_its_secrets(signet: TestApp) {
    let ada = signet.registers("ada").await;
    ada.logs_in().await;
    let shown = signet.runs(&["user", "show", "ada"]).await.well();
    let json = shown.json();
    let members: BTreeSet<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    let known = "id username email email_verified roles created_at disabled_at has_password sessions locked_until \
                 locked_everywhere";
    assert_eq!(members, known.split(' ').collect());
    assert_eq!((&json["id"], &json["sessions"], &json["has_password"]), (&json!(ada.id), &json!(1), &json!(true)));
    let listed = signet.runs(&["user", "list"]).await.well();
    for text in [shown.out, shown.err, listed.out, listed.err] {
        assert!(!text.contains("argon2"), "{text}");
    }
}

async fn all_accounts_are_listed(env: TestEnv) {
    const MANY: usize = 1_234;
    env.runs(&["migrate", "up"]).await.well();
    assert_eq!(env.runs(&["user", "list", "--json"]).await.well().out, "[]\n");
    assert_eq!(env.runs(&["user", "list", "--json"]).await.well().out, "[]\n");
    is_peopled(&env, MANY - 1).await;
    let listed = env.runs(&["user", "list", "--json"]).await.well();
    assert_eq!(listed.out.lines().count(), MANY + 2, "one account a line");
    let json = listed.json();
    let found: Vec<&str> = list(&json).iter().map(|account| account["id"].as_str().expect("an id")).collect();
    let store = env.store().await;
    let rows = Entity::find().order_by_asc(Column::Id).all(&store).await.expect("the database answers");
    let known: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    assert_eq!(found, known);
    assert_eq!(list(&json).iter().filter(|account| account["has_password"] == true).count(), 1);
}

/// As in `signet user list | head -1`.
async fn a_reader_may_close_the_list_early(env: TestEnv) {
    is_peopled(&env, 1_000).await; // more than a pipe holds, and more than one page
    let mut listing = Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(["user", "list"])
        .current_dir(&env.folder)
        .env_clear()
        .envs(env.environment(&[]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut first = String::new();
    BufReader::new(listing.stdout.take().expect("it is piped")).read_line(&mut first).expect("a line");
    let ended = listing.wait_with_output().expect("it is our child");
    assert_eq!((first.as_str(), ended.status.code()), ("[\n", Some(0)), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

stories![an_account_is_shown_without_its_secrets, all_accounts_are_listed];

stories_on![Sqlite: a_reader_may_close_the_list_early];
